package commands

import (
	"context"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "commit",
	Summary: "Make the changes of this session take effect.",
	Help: "commit [\"comment\"] [Y|N]\ncommit -y\n\n" +
		"The second argument says whether the configuration is kept for rollbackconfig.",
	Source: "public (prompt, rollback question, results, inline form), invented (refusals)",
	// Read-only operators may edit a draft, but not commit it.
	Roles: []users.Role{users.Administrator, users.Operator},
	Batch: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		comment, keep, err := commitArguments(env.Args)
		if err != nil {
			return err
		}
		if !env.Draft.Pending() {
			env.Printf("There is no data to commit.\n")
			return nil
		}
		if !env.Inline {
			if comment, keep, err = askCommitComment(ctx, env); err != nil {
				return err
			}
		}
		if err := commitDraft(ctx, env, env.Draft, comment, keep); err != nil {
			return err
		}
		if !env.Inline {
			env.Printf("Changes committed: %s\n", moment(env, env.Appliance.Now()))
		}
		return nil
	},
})

func askCommitComment(ctx context.Context, env *shell.Env) (comment string, keep bool, err error) {
	comment, err = env.Ask(ctx,
		"Please enter some comments describing your changes:", "", config.CheckComment)
	if err != nil || env.Appliance.Product.Version.Before(product.Version{Major: 8, Minor: 5}) {
		return comment, true, err
	}
	keep, err = env.Confirm(ctx, "Do you want to save the current configuration for rollback?", true)
	return comment, keep, err
}

// commitArguments parses the inline form.
func commitArguments(args []string) (comment string, keep bool, err error) {
	switch {
	case len(args) == 0, len(args) == 1 && strings.EqualFold(args[0], "-y"):
		return "", true, nil
	case len(args) > 2:
		return "", false, shell.InvalidArgumentf(args[2],
			"Two arguments are expected at most: a comment in quotation marks, and Y or N.")
	}
	if err := config.CheckComment(args[0]); err != nil {
		return "", false, invalidArgument(args[0], err)
	}
	if len(args) == 1 {
		return args[0], true, nil
	}
	switch strings.ToLower(args[1]) {
	case "y", "yes":
		return args[0], true, nil
	case "n", "no":
		return args[0], false, nil
	}
	return "", false, shell.InvalidArgumentf(args[1], "The second argument must be Y or N.")
}
