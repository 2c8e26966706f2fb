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
		env.Printf("%s\n", moment(env, env.Appliance.Now()))
		return nil
	},
})
