package commands

import (
	"context"
	"errors"
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
	item, err := findInline(args[0], m)
	switch {
	case err != nil:
		return err
	case len(args) > 1:
		return shell.InvalidArgumentf(printable(args[1]), "No more arguments are expected.")
	}
	return item.Run(ctx)
}

// findInline returns the operation of m that an argument names. The refusal says what the menu
// itself would say, such as that the operation is not possible now. A word that means nothing is
// answered with those that do.
func findInline(word string, m shell.Menu) (shell.Item, error) {
	item, err := m.Find(word)
	var unknown *shell.UnknownOperationError
	if errors.As(err, &unknown) {
		return item, shell.InvalidArgumentf(printable(word), "%s", expectedKeys(m))
	}
	return item, invalidArgument(word, err)
}

// expectedKeys says which words name the operations of m.
func expectedKeys(m shell.Menu) string {
	return "Expected one of: " + strings.ToLower(strings.Join(m.Keys(), ", ")) + "."
}
