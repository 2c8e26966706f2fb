package commands

import (
	"context"
	"fmt"
	"strconv"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "rollbackconfig",
	Summary: "Return to one of the last ten configurations.",
	Help: "Offers the configurations that commit saved for rollback. The chosen configuration\n" +
		"takes effect when it is committed.",
	Source: "public (one of the last ten), invented (texts)",
	Roles:  []users.Role{users.Administrator}, // because a configuration contains accounts
	Since:  product.Version{Major: 8, Minor: 5},
	Mode:   shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		kept := env.Appliance.Config.History()
		if len(kept) == 0 {
			env.Printf("There are no configurations to roll back to.\n")
			return nil
		}
		chosen, err := chooseRevision(ctx, env, kept)
		if err != nil {
			return err
		}
		warning := ""
		if env.Draft.Pending() {
			warning = "Uncommitted changes will be lost.\n"
		}
		sure, err := env.Confirm(ctx,
			warning+"Are you sure you want to roll back to this configuration?", false)
		if err != nil || !sure {
			return err
		}
		if err := env.Appliance.Config.Rollback(env.Draft, chosen.Number); err != nil {
			return err
		}
		if !env.Draft.Pending() {
			env.Printf("This configuration does not differ from the current one.\n")
			return nil
		}
		env.Printf("The configuration of %s has been loaded.\n", moment(env, chosen.Time))
		now, err := env.Confirm(ctx, "Do you want to commit it now?", false)
		if err != nil {
			return err
		}
		if !now {
			env.Printf("Be sure to run \"commit\" to make these settings active.\n")
			return nil
		}
		comment := "Rolled back to " + moment(env, chosen.Time)
		if err := commitDraft(ctx, env, env.Draft, comment, true); err != nil {
			return err
		}
		env.Printf("Changes committed: %s\n", moment(env, env.Appliance.Now()))
		return nil
	},
})

// chooseRevision lists the saved configurations and asks for one of them.
func chooseRevision(
	ctx context.Context, env *shell.Env, kept []config.Revision) (config.Revision, error) {
	width := len("User")
	for _, r := range kept {
		width = max(width, len(r.User))
	}
	env.Printf("Previous configurations:\n\n    %-28s  %-*s  %s\n",
		"Committed", width, "User", "Comment")
	for i, r := range kept {
		env.PrintWrapped(fmt.Sprintf("%2d. %-28s  %-*s  %s",
			i+1, moment(env, r.Time), width, r.User, r.Comment))
	}
	var n int
	const question = "Enter the number of the configuration to roll back to."
	_, err := env.Ask(ctx, question, "", func(s string) (err error) {
		n, err = strconv.Atoi(s)
		if err != nil || n < 1 || n > len(kept) {
			return refusal.Newf("The value must be an integer from 1 to %d.", len(kept))
		}
		return nil
	})
	if err != nil {
		return config.Revision{}, err
	}
	return kept[n-1], nil
}
