package commands

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "traceroute",
	Summary: "Display the network route to a remote host.",
	Help:    "traceroute [host]\n\n" + traceHelp,
	Source:  "B48, B49, B53; traceroute(8) of FreeBSD (spacing, errors); public (questions)",
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		src, host, err := askTarget(ctx, env, 4, traceSourceQuestion, traceHostQuestion)
		if err != nil {
			return err
		}
		env.Printf("Press Ctrl-C to stop.\n")
		addrs, err := lookUpTarget(ctx, env, host, 4,
			"traceroute: unknown host "+host, "traceroute: "+host+": Host name lookup failure")
		if err != nil {
			return err
		}
		t := &tracer{
			env: env, command: "traceroute", host: host, dst: addrs[0], src: src,
			packetSize: 40, shownSize: 40,
			formatRouter: func(name string, a netip.Addr) string {
				return fmt.Sprintf("%s (%v)", name, a)
			},
			destinationCodes: map[uint8]bool{2: true, 3: true},
			marks: map[uint8]string{
				0: "!N", 1: "!H", 2: "!P", 5: "!S", 6: "!U", 7: "!W", 8: "!I",
				9: "!A", 10: "!Z", 11: "!Q", 12: "!T", 13: "!X", 14: "!V", 15: "!C",
			},
		}
		if len(addrs) > 1 {
			env.Printf("traceroute: Warning: %s has multiple addresses; using %v\n", host, t.dst)
		}
		from := ""
		if src.IsValid() {
			from = " from " + src.String()
		} else if t.src, err = sourceAddrFor(ctx, env, t.dst); err != nil {
			if sendErrorText(err) == "" {
				return err
			}
			return refusal.New("traceroute: findsaddr: failed to connect to peer for src addr selection.")
		}
		env.Printf("traceroute to %s (%v)%s, %d hops max, %d byte packets\n",
			host, t.dst, from, traceMaxHops, t.shownSize)
		return t.run(ctx)
	},
})
