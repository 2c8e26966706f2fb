package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "dnsflush",
	Summary: "Clear all entries from the DNS cache.",
	Source:  "public (question)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		sure, err := env.Confirm(ctx, "Are you sure you want to clear out the DNS cache?", false)
		if err == nil && sure {
			env.Appliance.Resolver.Flush()
		}
		return err
	},
})
