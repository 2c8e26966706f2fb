package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "dnsstatus",
	Summary: "Display DNS statistics.",
	Source:  "public (rows, columns), invented (layout)",
	Mode:    shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		up, ever := env.Appliance.Resolver.Stats(), env.Appliance.Resolver.Lifetime()
		env.Printf("Status as of: %s\n", moment(env, env.Appliance.Now()))
		env.Printf("%-30s %15s %15s %15s\n", "Counters:", "Reset", "Uptime", "Lifetime")
		for _, row := range []struct {
			name  string
			count func(resolver.Stats) uint64
		}{
			{"DNS Requests", func(s resolver.Stats) uint64 { return s.Requests }},
			{"Network Requests", func(s resolver.Stats) uint64 { return s.Network }},
			{"Cache Hits", func(s resolver.Stats) uint64 { return s.Hits }},
			{"Cache Misses", func(s resolver.Stats) uint64 { return s.Misses }},
			{"Cache Exceptions", func(s resolver.Stats) uint64 { return s.Exceptions }},
			{"Cache Expired", func(s resolver.Stats) uint64 { return s.Expired }},
		} {
			// resetcounters does not reset DNS counters, so the column Reset shows the lifetime.
			env.Printf("  %-28s %15s %15s %15s\n", row.name,
				thousands(row.count(ever)), thousands(row.count(up)), thousands(row.count(ever)))
		}
		return nil
	},
})
