package commands

import (
	"context"
	"strings"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "whoami",
	Summary: "Show your user name and groups.",
	Source:  "public",
	Mode:    shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		env.Printf("Username: %s\nFull Name: %s\nGroups: %s\n",
			env.Account.Name, env.Account.FullName, strings.Join(env.Account.Role.Groups(), ", "))
		return nil
	},
})
