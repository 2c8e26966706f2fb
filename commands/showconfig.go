package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "showconfig",
	Summary: "Show the whole configuration as XML.",
	Help:    "showconfig [y|n] [option]\n\n" + passphraseHelp,
	Source:  "public",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		passphrases, err := choosePassphrases(ctx, env)
		if err != nil {
			return err
		}
		return config.WriteXML(env.Pager(ctx), env.Appliance.Config.Committed(),
			configFileOptions(env, passphrases))
	},
})
