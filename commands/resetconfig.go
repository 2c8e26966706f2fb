package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resetconfig",
	Summary: "Return to the factory configuration.",
	Help:    "Takes effect at once, without commit.",
	Source:  "public (only the user admin), invented (texts)",
	Roles:   []users.Role{users.Administrator},
	Mode:    shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		if env.Account.Name != users.FactoryName {
			return refusal.Newf("Only the user %s may reset the configuration.", users.FactoryName)
		}
		sure, err := env.Confirm(ctx, "Are you sure you want to reset all configuration values?", false)
		if err != nil || !sure {
			return err
		}
		factory := env.Appliance.Config.NewDraft()
		env.Appliance.Config.ResetToFactory(factory)
		if factory.Pending() {
			err := commitDraft(ctx, env, factory, "Reset to the factory configuration", true)
			if err != nil {
				return err
			}
		}
		env.Draft.Discard()
		env.Printf("All settings have been restored to the factory default.\n")
		return nil
	},
})
