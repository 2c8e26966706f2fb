package listener

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// The text form of the alias table is that of the public guides: global aliases first, then a line
// with domains in square brackets for each context, with its aliases below it. Lines that begin with
// # are comments.

// Text returns the table in its text form.
func (t AliasTable) Text() string {
	var b strings.Builder
	for i, c := range t.Contexts {
		if i > 0 {
			b.WriteString("\n")
		}
		if len(c.Domains) > 0 {
			fmt.Fprintf(&b, "[ %s ]\n", strings.Join(c.Domains, ", "))
		}
		for _, a := range c.Aliases {
			fmt.Fprintf(&b, "%s\n", a.Text())
		}
	}
	return b.String()
}

// Text returns the alias as a line of the table.
func (a Alias) Text() string {
	return strings.Join(a.Names, ", ") + ": " + strings.Join(a.Targets, ", ")
}

// ParseAliases returns the table of a text. A refusal names the line that is wrong.
func ParseAliases(text string) (t AliasTable, err error) {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.parseLine(line); err != nil {
			return AliasTable{}, refusal.Because(err, "Line %d: %v", n, err)
		}
	}
	return t, t.Check()
}

// parseLine appends a context or an alias to the table.
func (t *AliasTable) parseLine(line string) error {
	if inside, ok := strings.CutPrefix(line, "["); ok {
		inside, ok = strings.CutSuffix(inside, "]")
		domains := cutList(inside)
		if !ok || len(domains) == 0 {
			return refusal.New("A domain context must have the form [example.com, .example.net].")
		}
		for _, d := range domains {
			if err := CheckAliasDomain(d); err != nil {
				return err
			}
		}
		t.Contexts = append(t.Contexts, AliasContext{Domains: domains})
		return nil
	}
	names, targets, ok := strings.Cut(line, ":")
	if !ok {
		return refusal.Newf("%q is no alias: expected its name, a colon, and addresses with commas "+
			"between them.", line)
	}
	if len(t.Contexts) == 0 {
		t.Contexts = []AliasContext{{}}
	}
	c := &t.Contexts[len(t.Contexts)-1]
	a := Alias{Names: cutList(names), Targets: cutList(targets)}
	c.Aliases = append(c.Aliases, a)
	return a.check(len(c.Domains) == 0)
}

// cutList returns the elements of a list with commas.
func cutList(s string) (out []string) {
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}
