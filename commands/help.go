package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:             "help",
	Aliases:          []string{"h", "?"},
	Summary:          "List the commands, or describe one.",
	Help:             "help [command]",
	Source:           "public (names and forms), invented (texts)",
	Batch:            true,
	TakesCommandName: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 1 {
			return shell.InvalidArgumentf(env.Args[1], "Only one command can be described at a time.")
		}
		out := env.Pager(ctx)
		if len(env.Args) == 0 {
			width := 0
			for _, c := range env.Commands {
				width = max(width, len(c.Name))
			}
			for _, c := range env.Commands {
				if _, err := fmt.Fprintf(out, "%-*s  %s\n", width, c.Name, c.Summary); err != nil {
					return err
				}
			}
			return nil
		}
		word := strings.ToLower(env.Args[0])
		i := slices.IndexFunc(env.Commands, func(c *shell.Command) bool { return c.HasName(word) })
		if i < 0 {
			return shell.UnknownCommand(env.Appliance.Product.Version, env.Args[0])
		}
		_, err := out.Write([]byte(describe(env.Commands[i])))
		return err
	},
})

// describe returns the description of a command.
func describe(c *shell.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n", c.Name, c.Summary)
	if len(c.Aliases) > 0 {
		fmt.Fprintf(&b, "Other names: %s\n", strings.Join(c.Aliases, ", "))
	}
	if c.Help != "" {
		fmt.Fprintf(&b, "\n%s\n", c.Help)
	}
	var remarks []string
	if c.Commit {
		remarks = append(remarks, "Changes take effect when they are committed.")
	}
	if c.Mode != shell.AnyMode {
		remarks = append(remarks,
			fmt.Sprintf("In a cluster this command is restricted to %s mode.", c.Mode))
	}
	if len(remarks) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(remarks, "\n"))
	}
	return b.String()
}
