package commands

import (
	"cmp"
	"slices"
	"sync"

	"github.com/esasim/esasim/shell"
)

var table []*shell.Command

// register adds c to the table. The var declaration at the top of each command's file calls
// it. register panics if a word is already taken.
func register(c *shell.Command) *shell.Command {
	for _, word := range append([]string{c.Name}, c.Aliases...) {
		if i := slices.IndexFunc(table, func(o *shell.Command) bool { return o.HasName(word) }); i >= 0 {
			panic("commands: " + c.Name + " and " + table[i].Name + " are both called " + word)
		}
	}
	table = append(table, c)
	return c
}

// All returns every command, sorted by name. All callers share the slice, which must not be changed.
func All() []*shell.Command { return sorted() }

var sorted = sync.OnceValue(func() []*shell.Command {
	byName := func(a, b *shell.Command) int { return cmp.Compare(a.Name, b.Name) }
	return slices.SortedFunc(slices.Values(table), byName)
})
