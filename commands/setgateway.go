package commands

import (
	"context"
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
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
		now := netconfig.Gateways.Get(env.Draft).IPv4
		if v6 {
			now = netconfig.Gateways.Get(env.Draft).IPv6
		}
		preset := ""
		if now.IsValid() {
			preset = now.String()
		}
		_, err := env.Ask(ctx, "Enter new default gateway:", preset, func(answer string) (err error) {
			if answer == "" || strings.EqualFold(answer, "none") {
				now = netip.Addr{}
				return nil
			}
			now, err = parseHostAddr(answer, v6)
			return err
		})
		if err != nil {
			return err
		}
		return editSection(env, netconfig.Gateways, func(g *netconfig.DefaultGateways) error {
			if v6 {
				g.IPv6 = now
			} else {
				g.IPv4 = now
			}
			return nil
		})
	},
})
