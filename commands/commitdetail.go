package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "commitdetail",
	Summary: "Show what the last commit changed.",
	Help:    "Passphrases are not shown.",
	Source:  "public (first line), invented (the changes)",
	Run: func(ctx context.Context, env *shell.Env) error {
		last, changes := env.Appliance.Config.LastCommit()
		if last.Number == 0 {
			env.Printf("No changes have been committed yet.\n")
			return nil
		}
		env.Printf("Commit at %s with comments: \"%s\".\n\n", moment(env, last.Time), last.Comment)
		return printChanges(env.Pager(ctx), changes)
	},
})
