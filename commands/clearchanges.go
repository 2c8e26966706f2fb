package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "clearchanges",
	Aliases: []string{"clear"},
	Summary: "Discard the uncommitted changes of this session.",
	Help:    "Committed changes are not affected.",
	Source:  "public (question, result), invented (nothing to clear)",
	Run: func(ctx context.Context, env *shell.Env) error {
		if !env.Draft.Pending() {
			env.Printf("There are no changes to clear.\n")
			return nil
		}
		sure, err := env.Confirm(ctx,
			"Are you sure you want to clear all changes since the last commit?", true)
		if err != nil || !sure {
			return err
		}
		env.Draft.Discard()
		env.Printf("Changes cleared: %s\n", moment(env, env.Appliance.Now()))
		return nil
	},
})
