package commands

import (
	"context"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "date",
	Summary: "Show the date and time of the system.",
	Source:  "invented, after public samples",
	Run: func(_ context.Context, env *shell.Env) error {
		env.Printf("%s\n", env.Box.Now().Format("Mon Jan _2 15:04:05 2006 MST"))
		return nil
	},
})
