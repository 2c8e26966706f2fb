package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resumedel",
	Summary: "Resume deliveries.",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		resumeSending(env)
		return nil
	},
})
