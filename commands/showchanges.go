package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "showchanges",
	Summary: "Show the uncommitted changes of this session.",
	Help: "Passphrases are not shown. commit makes the changes take effect, and clearchanges\n" +
		"discards them.",
	Source: "public (a nested tree), invented (its form)",
	Run: func(ctx context.Context, env *shell.Env) error {
		changes := env.Draft.Changes()
		if len(changes) == 0 {
			env.Printf("There are no changes since the last commit.\n")
			return nil
		}
		env.Printf("Changes since the last commit:\n\n")
		return printChanges(env.Pager(ctx), changes)
	},
})
