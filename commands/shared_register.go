package commands

import (
	"cmp"
	"slices"

	"github.com/esasim/esasim/shell"
)

var table []*shell.Command

// register adds c to the table; it is called from the var declaration at the head
// of each command's file. It panics on a word already taken.
func register(c *shell.Command) *shell.Command {
	for _, word := range append([]string{c.Name}, c.Aliases...) {
		if i := slices.IndexFunc(table, func(o *shell.Command) bool { return o.HasName(word) }); i >= 0 {
			panic("commands: " + c.Name + " and " + table[i].Name + " are both called " + word)
		}
	}
	table = append(table, c)
	return c
}

// All returns every command, sorted by name.
func All() []*shell.Command {
	return slices.SortedFunc(slices.Values(table), func(a, b *shell.Command) int { return cmp.Compare(a.Name, b.Name) })
}
