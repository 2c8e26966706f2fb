package check

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// fileInvariants are about files: captures, logs, and what was fetched.
func fileInvariants() []Invariant {
	return []Invariant{{
		Name:     "one-capture-at-a-time",
		Sentence: "The appliance runs one capture of its users at a time.",
		check:    checkOneCapture,
	}, {
		Name:     "transfers-are-whole",
		Sentence: "A file that was fetched or stored has the size and the SHA-256 that the record says.",
		check:    checkTransfers,
	}, {
		Name:     "log-files-agree",
		Sentence: "A log file has the lines that were written to that log, in their order, each once.",
		check:    checkLogFiles,
	}}
}

func checkOneCapture(s *story, report reportFunc) {
	var running *Event
	for _, e := range s.events {
		switch e.Kind {
		case "capture.started":
			if !contains([]string{"CLI", "GUI", "tcpdump menu"}, e.text("side")) {
				continue
			}
			if running != nil {
				report(s.witnesses(running, e), "a capture is started while another one runs")
			}
			running = e
		case "capture.ended":
			if running != nil && e.Cause == running.Seq {
				running = nil
			}
		}
	}
}

func checkTransfers(s *story, report reportFunc) {
	for _, f := range s.run.Files {
		name := path.Base(filepath.ToSlash(f.Name))
		var known []*Event
		agrees := false
		for _, e := range s.byKind["transfer.done"] {
			if path.Base(e.text("path")) != name || e.text("sha256") == "" {
				continue
			}
			known = append(known, e)
			agrees = agrees || e.text("sha256") == f.SHA256 && e.number("size") == f.Size
		}
		if len(known) > 0 && !agrees {
			report(append(s.witnesses(known...), nowhere(f.Name, "%d bytes, SHA-256 %s", f.Size, f.SHA256)),
				"the file is not the one that was transferred")
		}
	}
}

func checkLogFiles(s *story, report reportFunc) {
	if s.lossy || len(s.events) == 0 || s.events[0].Seq != 1 {
		return
	}
	line := regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} [0-9]{4} ([A-Z][a-z]+): (.*)$`)
	written := make(map[string][]*Event) // by log
	for _, e := range s.byKind["log.line"] {
		written[e.text("log")] = append(written[e.text("log")], e)
	}
	for _, f := range s.run.Logs {
		var best fileMatch
		for _, events := range written {
			if m := matchLog(f, line, events); best.lines == 0 || m.matched > best.matched {
				best = m
			}
		}
		if best.wrong > 0 && best.matched > 0 {
			w := []Witness{{File: f.Name, Line: best.wrong, Text: f.Lines[best.wrong-1]}}
			if best.last != nil {
				w = append(w, s.witness(best.last))
			}
			report(w, "the line was not written to the log after the one before it")
		}
	}
}

// A fileMatch says how the lines of a file are those of a log.
type fileMatch struct {
	lines, matched int
	wrong          int    // the first line that was not written at its place, from 1; 0: none
	last           *Event // the line before it
}

func matchLog(f *LogFile, line *regexp.Regexp, events []*Event) (m fileMatch) {
	next := 0
	for i, text := range f.Lines {
		x := line.FindStringSubmatch(text)
		if x == nil || isHeader(x[2]) {
			continue
		}
		m.lines++
		key := keyOfLine(x[1], x[2])
		j := next
		for j < len(events) && !strings.HasPrefix(key, keyOfLine(events[j].text("level"), events[j].text("text"))) {
			j++
		}
		if j == len(events) {
			if m.wrong == 0 {
				m.wrong = i + 1
				if next > 0 {
					m.last = events[next-1]
				}
			}
			continue
		}
		m.matched++
		next = j + 1
	}
	return m
}

// isHeader reports whether a line belongs to the beginning or end of a file.
func isHeader(text string) bool {
	for _, prefix := range []string{"Begin Logfile", "End Logfile", "Version: ", "Time offset from UTC"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
