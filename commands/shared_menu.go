package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

// withEnv returns f as an operation of a menu.
func withEnv(
	env *shell.Env, f func(context.Context, *shell.Env) error) func(context.Context) error {
	return func(ctx context.Context) error { return f(ctx, env) }
}
