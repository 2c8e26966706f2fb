package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

// passwd says "password" in every version, because clients wait for that word.
var _ = register(&shell.Command{
	Name:    "passwd",
	Secret:  true,
	Summary: "Change your password.",
	Help:    "Takes effect at once, without commit.",
	Source:  "public (questions, result), invented (refusals)",
	Mode:    shell.ClusterMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		return changePassphrase(ctx, env, "password")
	},
})
