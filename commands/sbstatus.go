package commands

import (
	"context"
	"net/netip"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "sbstatus",
	Summary: "Display status of SenderBase queries.",
	Help: foldHelp("The first part tells whether the reputation service can be reached, the second " +
		"one whether it answers for an address. Both are asked now, by DNS queries."),
	Source: "mail.md 3.10",
	Mode:   shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		test := netip.AddrFrom4([4]byte{127, 0, 0, 2}) // every DNS list has it (RFC 5782)
		for i, part := range []struct{ title, name, kind string }{
			{"SenderBase Host Status", listener.ReputationZone, "SOA"},
			{"SBRS Status", resolver.ListName(test, listener.ReputationZone), "TXT"},
		} {
			r, err := env.Appliance.Resolver.Query(ctx, resolver.Query{Name: part.name, Type: part.kind})
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			state := "down"
			if err == nil && len(r.Answer) > 0 {
				state = "up"
			}
			if i > 0 {
				env.Printf("\n")
			}
			env.Printf("%s\nStatus as of:  %s\nHost up/down:  %s\n",
				part.title, moment(env, env.Appliance.Now()), state)
		}
		return nil
	},
})
