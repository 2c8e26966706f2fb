package check

import (
	"regexp"
	"strconv"
	"strings"
)

// logInvariants are about lines of logs, alerts, and syslog records.
func logInvariants() []Invariant {
	return []Invariant{{
		Name:     "lines-once",
		Sentence: "An event is told once in a log: it does not cause the same line twice.",
		check:    checkLinesOnce,
	}, {
		Name:     "lines-name-their-cause",
		Sentence: "A line of the mail log names the MID, ICID or DCID of the event that it tells.",
		check:    checkLineNumbers,
	}, {
		Name:     "commands-in-the-log",
		Sentence: "A command is in the CLI log once, or never if there is no such log.",
		check:    checkCommandsLogged,
	}, {
		Name:     "alerts-have-trouble",
		Sentence: "An alert is about a trouble that was found, with the same text, or a repetition of one.",
		check:    checkAlerts,
	}, {
		Name:     "syslog-was-logged",
		Sentence: "A record that a syslog server has received is a line that was logged before.",
		check:    checkSyslog,
	}, {
		Name:     "syslog-numbers",
		Sentence: "A syslog server numbers the records that it receives without gaps.",
		check:    checkSyslogNumbers,
	}}
}

func checkLinesOnce(s *story, report reportFunc) {
	type key struct {
		cause     uint64
		log, text string
	}
	seen := make(map[key]*Event)
	for _, e := range s.byKind["log.line"] {
		if cause := s.bySeq[e.Cause]; cause == nil || strings.HasPrefix(cause.Kind, "login.") {
			continue // a login causes the lines of all that is transferred
		}
		k := key{e.Cause, e.text("log"), e.text("text")}
		if other := seen[k]; other != nil {
			report(s.witnesses(s.bySeq[e.Cause], other, e), "an event is told twice")
		}
		seen[k] = e
	}
}

func checkLineNumbers(s *story, report reportFunc) {
	numbers := regexp.MustCompile(`\b(ICID|MID|DCID) ([0-9]+)`)
	for _, e := range s.byKind["log.line"] {
		cause := s.bySeq[e.Cause]
		if e.text("log") != "mail" || cause == nil || !strings.HasPrefix(cause.Kind, "mail.") {
			continue
		}
		named, right := make(map[string]bool), make(map[string]bool)
		for _, m := range numbers.FindAllStringSubmatch(e.text("text"), -1) {
			key := strings.ToLower(m[1])
			if _, has := cause.Fields[key]; has {
				named[key] = true
				right[key] = right[key] || strconv.FormatInt(cause.number(key), 10) == m[2]
			}
		}
		for key := range named {
			if !right[key] {
				report(s.witnesses(cause, e), "the line has another %s than the event", strings.ToUpper(key))
			}
		}
	}
}

func checkCommandsLogged(s *story, report reportFunc) {
	lines := make(map[uint64][]*Event)
	logged := false
	for _, e := range s.byKind["log.line"] {
		if e.text("log") == "cli" {
			logged = true
			lines[e.Cause] = append(lines[e.Cause], e)
		}
	}
	constant := len(s.byKind["commit.done"])+len(s.byKind["world.reset"])+len(s.byKind["appliance.down"]) <= 1
	for _, e := range s.byKind["command.entered"] {
		list := lines[e.Seq]
		switch {
		case len(list) > 1:
			report(s.witnesses(append([]*Event{e}, list...)...), "a command is in the log twice")
		case len(list) == 0 && logged && constant && len(s.byKind["commit.done"]) == 0 && !s.lossy &&
			e != s.events[len(s.events)-1]:
			report(s.witnesses(e), "a command is not in the CLI log")
		}
	}
}

func checkAlerts(s *story, report reportFunc) {
	raised := make(map[string]bool)
	for _, e := range s.byKind["alert.raised"] {
		cause := s.bySeq[e.Cause]
		switch {
		case cause != nil && cause.text("text") == e.text("text"):
		case cause != nil:
			report(s.witnesses(cause, e), "an alert is about something else than its trouble")
		case e.number("repeats") > 0 && raised[e.text("text")]:
		case e.Cause != 0 && len(s.events) > 0 && e.Cause < s.events[0].Seq:
		default:
			report(s.witnesses(e), "an alert is about no trouble that the record knows")
		}
		raised[e.text("text")] = true
	}
}

// lineKey bounds the part of a line that is compared: servers may get less of long lines.
const lineKey = 60

// keyOfLine returns the part of a line that is compared: the level and the beginning of the text, up
// to the first character that a log may write in another way.
func keyOfLine(level, text string) string {
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }); i >= 0 {
		text = text[:i]
	}
	return level + ": " + text[:min(len(text), lineKey)]
}

func checkSyslog(s *story, report reportFunc) {
	written := make(map[string]bool)
	for _, e := range s.events {
		switch e.Kind {
		case "log.line":
			written[keyOfLine(e.text("level"), e.text("text"))] = true
		case "server.syslog":
			if record := e.text("record"); !s.lossy && s.events[0].Seq == 1 && !wasWritten(record, written) {
				report(s.witnesses(e), "no such line was logged before")
			}
		}
	}
}

// wasWritten reports whether a record ends with a line that was written. Records without a level in
// it are not those of this appliance.
func wasWritten(record string, written map[string]bool) bool {
	known := false
	for _, level := range []string{"Critical", "Warning", "Info", "Debug", "Trace"} {
		i := strings.Index(record, level+": ")
		if i < 0 {
			continue
		}
		known = true
		rest := record[i+len(level)+2:]
		key := keyOfLine(level, rest)
		if written[key] {
			return true
		}
		for n := len(key) - 1; n > len(level)+2; n-- { // the line had a character that the server has not
			if written[key[:n]] {
				return true
			}
		}
	}
	return !known
}

func checkSyslogNumbers(s *story, report reportFunc) {
	last := make(map[string]*Event)
	for _, e := range s.events {
		if e.Kind == "appliance.up" || e.Kind == "server.started" {
			clear(last)
		}
		if e.Kind != "server.syslog" {
			continue
		}
		b := last[e.text("server")]
		if b != nil && e.number("number") != b.number("number")+1 {
			report(s.witnesses(b, e), "record %d follows record %d", e.number("number"), b.number("number"))
		}
		last[e.text("server")] = e
	}
}
