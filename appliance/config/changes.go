package config

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance/refusal"
)

// A ChangeLine is a line of a tree of changes, as people read it.
type ChangeLine struct {
	Depth  int    // 0 for a section
	Name   string // of the element, with the key of an element of a list: "interface Data 1"
	Change string // "added", "1 -> 2" and the like; empty if only the lines below have changes
}

// ChangeLines formats changes as a tree, one line for each element. arrow stands between an old
// and a new value.
func ChangeLines(changes []Difference, arrow string) []ChangeLine {
	var lines []ChangeLine
	for _, d := range changes {
		lines = appendLines(lines, d, 0, arrow)
	}
	return lines
}

func appendLines(lines []ChangeLine, d Difference, depth int, arrow string) []ChangeLine {
	name := d.Name
	if d.Key != "" {
		name += " " + FormatValue(d.Key)
	}
	lines = append(lines, ChangeLine{depth, name, d.change(arrow)})
	if d.Kind == Removed {
		return lines // its children are removed with it
	}
	for _, child := range d.Children {
		lines = appendLines(lines, child, depth+1, arrow)
	}
	return lines
}

// change describes the change of the element itself, without that of its children.
func (d Difference) change(arrow string) string {
	leaf := len(d.Children) == 0
	switch {
	case d.Kind == Removed:
		return "removed"
	case leaf && d.Kind == Added && d.Key == "":
		return FormatValue(d.New)
	case d.Kind == Added:
		return "added"
	case leaf && d.Old != d.New:
		return FormatValue(d.Old) + " " + arrow + " " + FormatValue(d.New)
	case leaf && d.New != "": // a passphrase, which is masked before and after
		return "changed"
	case leaf:
		return "order changed"
	}
	return ""
}

// FormatValue returns "(none)" for an empty value. It quotes values that contain characters which
// a terminal would act on.
func FormatValue(s string) string {
	switch {
	case s == "":
		return "(none)"
	case strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }):
		return strconv.Quote(s)
	}
	return s
}

// CheckComment refuses the comment of a commit if it cannot be shown to other administrators.
func CheckComment(s string) error {
	const maxLength = 1000
	switch {
	case len(s) > maxLength:
		return refusal.Newf("The comment must not be longer than %d characters.", maxLength)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return refusal.New("The comment must not contain control characters.")
	}
	return nil
}
