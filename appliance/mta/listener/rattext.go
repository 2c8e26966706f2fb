package listener

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// The text form of the recipient access table is that of the public guides: an address and ACCEPT or
// REJECT on each line, ALL last. A custom answer and the note about receiving control follow; their
// form is our own.

const bypassNote = "(bypasses receiving control)"

// Text returns the table in its text form. A recipient that no entry matches is rejected.
func (t RecipientTable) Text() string {
	var b strings.Builder
	all := false
	for _, e := range t.Entries {
		action := "ACCEPT"
		if e.Reject {
			action = "REJECT"
		}
		fmt.Fprintf(&b, "%s %s", e.Address, action)
		if e.Code != 0 {
			fmt.Fprintf(&b, " %d %s", e.Code, e.Reply)
		}
		if e.Bypass {
			b.WriteString(" " + bypassNote)
		}
		b.WriteString("\n")
		all = all || strings.EqualFold(e.Address, "ALL")
	}
	if !all {
		b.WriteString("ALL REJECT\n")
	}
	return b.String()
}

// ParseRecipients returns the entries of a text. A refusal names the line that is wrong.
func ParseRecipients(text string) (entries []RecipientEntry, err error) {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseRecipient(line)
		if err != nil {
			return nil, refusal.Because(err, "Line %d: %v", n, err)
		}
		if !strings.EqualFold(e.Address, "ALL") || e != (RecipientEntry{Address: e.Address, Reject: true}) {
			entries = append(entries, e) // ALL REJECT holds anyway
		}
	}
	return entries, RecipientTable{Entries: entries}.check()
}

func parseRecipient(line string) (e RecipientEntry, err error) {
	rest, bypass := strings.CutSuffix(line, bypassNote)
	address, rest, _ := strings.Cut(strings.ReplaceAll(rest, "\t", " "), " ")
	action, answer, _ := strings.Cut(strings.TrimSpace(rest), " ")
	e = RecipientEntry{Address: address, Bypass: bypass}
	switch strings.ToUpper(action) {
	case "ACCEPT":
	case "REJECT":
		e.Reject = true
	default:
		return e, refusal.Newf("%q is no entry: expected an address and ACCEPT or REJECT.", line)
	}
	if answer = strings.TrimSpace(answer); answer == "" {
		return e, nil
	}
	code, text, _ := strings.Cut(answer, " ")
	if e.Code, err = strconv.Atoi(code); err != nil || e.Code == 0 {
		return e, refusal.Newf("%q is no SMTP code.", code)
	}
	e.Reply = strings.TrimSpace(text)
	return e, RecipientTable{Entries: []RecipientEntry{e}}.check()
}
