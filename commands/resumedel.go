package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resumedel",
	Summary: "Resume deliveries.",
	Help:    "resumedel",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(_ context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return shell.InvalidArgumentf(printable(env.Args[0]), "No arguments are expected.")
		}
		resumeSending(env)
		return nil
	},
})
