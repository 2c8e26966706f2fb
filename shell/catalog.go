package shell

import (
	"cmp"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// A catalog is the commands that this version of the product has. It never changes
// once it is made.
type catalog struct {
	sorted []*Command
	byWord map[string]*Command // names and aliases
}

func newCatalog(all []*Command, v product.Version) *catalog {
	c := &catalog{byWord: make(map[string]*Command, len(all))}
	for _, cmd := range all {
		if !cmd.AvailableIn(v) {
			continue
		}
		c.sorted = append(c.sorted, cmd)
		for _, w := range append([]string{cmd.Name}, cmd.Aliases...) {
			c.byWord[w] = cmd
		}
	}
	slices.SortFunc(c.sorted, func(a, b *Command) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

// find returns the command that is called word, in any case; nil if there is none.
func (c *catalog) find(word string) *Command {
	if cmd := c.byWord[word]; cmd != nil {
		return cmd
	}
	return c.byWord[strings.ToLower(word)]
}

// allowed returns what an account of this role may type.
func (c *catalog) allowedTo(r users.Role) []*Command {
	var out []*Command
	for _, cmd := range c.sorted {
		if cmd.Allows(r) {
			out = append(out, cmd)
		}
	}
	return out
}

// candidates returns the words that the last word of a line may become: a command
// at the beginning of the line, and again after a command that describes commands.
func completions(allowed []*Command, line string) []string {
	line = strings.TrimLeft(line, " ")
	before, prefix := "", line
	if i := strings.LastIndexByte(line, ' '); i >= 0 {
		before, prefix = strings.TrimRight(line[:i], " "), line[i+1:]
	}
	if before != "" && !slices.ContainsFunc(allowed, func(c *Command) bool { return c.TakesCommandName && c.HasName(strings.ToLower(before)) }) {
		return nil
	}
	var out []string
	for _, c := range allowed {
		if strings.HasPrefix(c.Name, strings.ToLower(prefix)) {
			out = append(out, c.Name)
		}
	}
	return out
}
