package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "setgateway",
	Summary: "Set the default gateway (router).",
	Help: "The answer none removes the gateway. A gateway must be in the network of an IP\n" +
		"interface.",
	Source: "public (warning, question), invented (IP version, refusals)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Commit: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		v6 := false
		if supportsIPv6(env) {
			n, err := env.Choose(ctx, "Set the default gateway for:", 0, "IPv4", "IPv6")
			if err != nil {
				return err
			}
			v6 = n == 1
		}
		env.Printf("Warning: setting an incorrect default gateway may cause the current connection\n" +
			"to be interrupted when the changes are committed.\n")
		return askGateway(ctx, env, "Enter new default gateway:", v6, nil)
	},
})
