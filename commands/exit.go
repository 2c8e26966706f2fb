package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "exit",
	Aliases: []string{"quit", "q"},
	Summary: "Log out of the command line.",
	Help:    "Uncommitted changes are lost.",
	Source:  "public (names), invented (question)",
	Run:     func(ctx context.Context, env *shell.Env) error { return env.Leave(ctx) },
})
