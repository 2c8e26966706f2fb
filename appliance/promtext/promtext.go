package promtext

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ContentType is the media type of the text format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// A Kind says how the values of a family change.
type Kind string

// The kinds.
const (
	Counter Kind = "counter" // they only grow, except at a restart
	Gauge   Kind = "gauge"   // they go up and down
)

// A Family is all samples of one name.
type Family struct {
	Name    string
	Help    string // what the values are; one or more lines
	Kind    Kind
	Samples []Sample // written in this order
}

// A Sample is one value of a family.
type Sample struct {
	Labels []Label // written in this order
	Value  float64
}

// A Label tells a sample from the others of its family.
type Label struct{ Name, Value string }

// Write writes families in the order of their names; it sorts the slice. A family without samples is
// left out. The error is that of w, or says that a name is not one of Prometheus, or that a family or
// a sample is there twice; then nothing is written.
func Write(w io.Writer, families []Family) error {
	slices.SortFunc(families, func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
	for i := range families {
		if i > 0 && families[i-1].Name == families[i].Name {
			return fmt.Errorf("promtext: %s is there twice", families[i].Name)
		}
		if err := families[i].check(); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(w)
	for _, f := range families {
		if len(f.Samples) == 0 {
			continue
		}
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f.Name, escape(f.Help, false), f.Name, f.Kind)
		for _, s := range f.Samples {
			out.WriteString(f.Name)
			out.WriteString(s.labels())
			out.WriteString(" ")
			out.WriteString(formatValue(s.Value))
			out.WriteString("\n")
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

func (f *Family) check() error {
	if !isName(f.Name, true) {
		return fmt.Errorf("promtext: %q cannot be the name of a family", f.Name)
	}
	if f.Kind != Counter && f.Kind != Gauge {
		return fmt.Errorf("promtext: %s has no kind", f.Name)
	}
	seen := map[string]bool{}
	for _, s := range f.Samples {
		names := map[string]bool{}
		for _, l := range s.Labels {
			if !isName(l.Name, false) || strings.HasPrefix(l.Name, "__") || names[l.Name] {
				return fmt.Errorf("promtext: %q cannot be a label of %s, or is there twice", l.Name, f.Name)
			}
			names[l.Name] = true
		}
		if key := s.labels(); seen[key] {
			return fmt.Errorf("promtext: %s%s is there twice", f.Name, key)
		} else {
			seen[key] = true
		}
	}
	return nil
}

// isName reports whether s is a name of a family or of a label.
func isName(s string, family bool) bool {
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case c == ':' && family, c >= '0' && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

// labels returns the labels as they are written after the name.
func (s *Sample) labels() string {
	if len(s.Labels) == 0 {
		return ""
	}
	var words []string
	for _, l := range s.Labels {
		words = append(words, l.Name+`="`+escape(l.Value, true)+`"`)
	}
	return "{" + strings.Join(words, ",") + "}"
}

// escape escapes a text for a line of help or, with quotes, for the value of a label. Bytes that are
// not UTF-8 are replaced.
func escape(s string, quotes bool) string {
	var b strings.Builder
	for _, c := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '"' && quotes:
			b.WriteString(`\"`)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// formatValue returns a value in the form of Go, which is that of the format: +Inf, -Inf and NaN too.
func formatValue(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
