package commands

import (
	"context"
	"strings"

	"github.com/esasim/esasim/shell"
)

// withEnv returns f as an operation of a menu.
func withEnv(
	env *shell.Env, f func(context.Context, *shell.Env) error) func(context.Context) error {
	return func(ctx context.Context) error { return f(ctx, env) }
}

// runInline runs the operation of m that the only argument names.
func runInline(ctx context.Context, args []string, m shell.Menu) error {
	item, err := m.Find(args[0])
	switch {
	case err != nil:
		return shell.InvalidArgumentf(printable(args[0]), "%s", expectedKeys(m))
	case len(args) > 1:
		return shell.InvalidArgumentf(printable(args[1]), "No more arguments are expected.")
	}
	return item.Run(ctx)
}

// expectedKeys says which words name the operations of m.
func expectedKeys(m shell.Menu) string {
	return "Expected one of: " + strings.ToLower(strings.Join(m.Keys(), ", ")) + "."
}
