package shell

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A Table is printed as rows under headings that are underlined with "=", as in the output of last
// and who. Columns are as wide as their widest cell and two blanks apart.
type Table struct {
	Headings []string
	Rows     [][]string
}

// Add appends a row. If it has fewer cells than there are headings, the rest is empty.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Print writes the table. Lines have no trailing blanks.
func (t *Table) Print(w io.Writer) {
	width := make([]int, len(t.Headings))
	for i, h := range t.Headings {
		width[i] = utf8.RuneCountInString(h)
		for _, r := range t.Rows {
			if i < len(r) {
				width[i] = max(width[i], utf8.RuneCountInString(r[i]))
			}
		}
	}
	rule := make([]string, len(t.Headings))
	for i, n := range width {
		rule[i] = strings.Repeat("=", n)
	}
	var b strings.Builder
	for _, row := range append([][]string{t.Headings, rule}, t.Rows...) {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", width[i], cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	io.WriteString(w, b.String())
}
