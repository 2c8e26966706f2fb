package commands

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "ntpconfig",
	Summary: "Configure NTP time servers.",
	Source:  "cli.md (texts of the list and of NEW), invented (the others)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Commit:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			s := ntp.NTP.Get(env.Draft)
			type change func(context.Context, *shell.Env, *ntp.Settings) error
			edit := func(f change) func(context.Context) error {
				return func(ctx context.Context) error {
					return editSection(env, ntp.NTP, func(s *ntp.Settings) error { return f(ctx, env, s) })
				}
			}
			return shell.Menu{
				Header: func() { printTimeServers(env, s) },
				Items: []shell.Item{
					{Key: "NEW", Text: "Add a server.",
						Hidden: len(s.Servers) >= ntp.MaxServers, Run: edit(newTimeServer)},
					{Key: "DELETE", Text: "Remove a server.",
						Hidden: len(s.Servers) == 0, Run: edit(deleteTimeServer)},
					{Key: "SOURCEINT",
						Text: "Set the interface from whose IP address NTP queries should originate.",
						Run:  edit(chooseTimeSource)},
				},
			}
		})
	},
})

func printTimeServers(env *shell.Env, s ntp.Settings) {
	if len(s.Servers) == 0 {
		env.Printf("\nNo NTP servers are configured.\n")
	} else {
		env.Printf("\nCurrently configured NTP servers:\n")
		env.List(s.Servers...)
	}
	if s.Source != "" {
		env.Printf("NTP queries originate from the interface %s.\n", s.Source)
	}
}

func newTimeServer(ctx context.Context, env *shell.Env, s *ntp.Settings) error {
	const question = "Please enter the fully qualified hostname or IP address of your NTP server."
	name, err := env.Ask(ctx, question, "", func(name string) error {
		if err := ntp.CheckServer(name); err != nil {
			return err
		}
		if slices.ContainsFunc(s.Servers, func(o string) bool { return strings.EqualFold(o, name) }) {
			return refusal.Newf("The server %s is already configured.", name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Servers = append(s.Servers, name)
	return nil
}

func deleteTimeServer(ctx context.Context, env *shell.Env, s *ntp.Settings) error {
	var at int
	const question = "Enter the number of the server you wish to remove."
	_, err := env.Ask(ctx, question, "", func(answer string) error {
		n, err := strconv.Atoi(answer)
		if err != nil {
			n = 1 + slices.IndexFunc(s.Servers, func(o string) bool { return strings.EqualFold(o, answer) })
		}
		if n < 1 || n > len(s.Servers) {
			return refusal.Newf("The value must be an integer from 1 to %d, or a name from the list.",
				len(s.Servers))
		}
		at = n - 1
		return nil
	})
	if err != nil {
		return err
	}
	s.Servers = slices.Delete(s.Servers, at, at+1)
	return nil
}

func chooseTimeSource(ctx context.Context, env *shell.Env, s *ntp.Settings) error {
	return env.Form(ctx, sourceInterface(env, &s.Source,
		"Choose the interface from whose IP address NTP queries should originate."))
}
