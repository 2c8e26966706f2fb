package commands

import (
	"context"
	"slices"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "settz",
	Summary: "Set the local time zone.",
	Help:    "settz [zone]\n\nA zone is a name such as America/Los_Angeles.",
	Source:  "invented",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Commit:  true,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		zones, version := fixtures.Zones()
		if len(env.Args) > 0 {
			zone := env.Args[0]
			known := slices.ContainsFunc(zones, func(z fixtures.Zone) bool { return z.Name == zone })
			if len(env.Args) > 1 || !known {
				return shell.InvalidArgumentf(env.Args[len(env.Args)-1],
					"The time zone must be a name such as America/Los_Angeles.")
			}
			appliance.TimeZone.Set(env.Draft, zone)
			return nil
		}
		setUp := func(ctx context.Context) error {
			zone, err := chooseZone(ctx, env, zones, "")
			if err == nil {
				appliance.TimeZone.Set(env.Draft, zone)
			}
			return err
		}
		return env.Menu(ctx, func() shell.Menu {
			return shell.Menu{
				Header: func() {
					env.Printf("\nCurrent time zone: %s\nCurrent time zone version: %s\n",
						appliance.TimeZone.Get(env.Draft), version)
				},
				Items: []shell.Item{{Key: "SETUP", Text: "Set the local time zone.", Run: setUp}},
			}
		})
	},
})
