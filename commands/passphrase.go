package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "passphrase",
	Secret:  true,
	Summary: "Change your passphrase.",
	Help:    "Takes effect at once, without commit.",
	Source:  "invented (after the older passwd)",
	Mode:    shell.ClusterMode,
	Since:   product.Version{Major: 9},
	Run: func(ctx context.Context, env *shell.Env) error {
		return changePassphrase(ctx, env, "passphrase")
	},
})
