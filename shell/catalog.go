package shell

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// A catalog holds the commands that the product's version has. It is safe for concurrent use.
type catalog struct {
	sorted []*Command          // by name
	byWord map[string]*Command // by name and by alias

	mu     sync.Mutex                // a leaf
	byRole map[users.Role][]*Command // of the roles that have been asked for
}

func newCatalog(all []*Command, v product.Version) *catalog {
	c := &catalog{
		byWord: make(map[string]*Command, len(all)), byRole: map[users.Role][]*Command{},
	}
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

// find returns the command with that name or alias, in upper or lower case, or nil.
func (c *catalog) find(word string) *Command {
	if cmd := c.byWord[word]; cmd != nil {
		return cmd
	}
	return c.byWord[strings.ToLower(word)]
}

// allowedTo returns the commands that an account with this role may run. The caller must not change
// the slice.
func (c *catalog) allowedTo(r users.Role) []*Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	allowed, ok := c.byRole[r]
	if !ok {
		for _, cmd := range c.sorted {
			if cmd.Allows(r) {
				allowed = append(allowed, cmd)
			}
		}
		c.byRole[r] = allowed
	}
	return allowed
}

// completions returns the possible completions of a line's last word. It completes names of
// commands: at the beginning of the line, and after a command that takes the name of a command.
func completions(allowed []*Command, line string) []string {
	line = strings.TrimLeft(line, " ")
	before, prefix := "", line
	if i := strings.LastIndexByte(line, ' '); i >= 0 {
		before, prefix = strings.TrimRight(line[:i], " "), line[i+1:]
	}
	takesName := func(c *Command) bool {
		return c.TakesCommandName && c.HasName(strings.ToLower(before))
	}
	if before != "" && !slices.ContainsFunc(allowed, takesName) {
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
