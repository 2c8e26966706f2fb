package commands

import (
	"context"
	"net/netip"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "traceroute6",
	Summary: "Display the network route to a remote host using IPv6.",
	Help: "traceroute6 [host]\n\n" + traceHelp + "\n" +
		"An IP interface of the appliance must have an IPv6 address.",
	Source: "B48; traceroute6(8) of FreeBSD (output, errors); public (questions)",
	Since:  ipv6Version,
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if !hasIPv6(env) {
			return refusal.New("No interface of this appliance has an IPv6 address. Use traceroute instead.")
		}
		src, host, err := askTarget(ctx, env, 6, traceSourceQuestion, traceHostQuestion)
		if err != nil {
			return err
		}
		env.Printf("Press Ctrl-C to stop.\n")
		addrs, err := lookUpTarget(ctx, env, host, 6,
			"traceroute6: hostname nor servname provided, or not known",
			"traceroute6: Name could not be resolved at this time")
		if err != nil {
			return err
		}
		t := &tracer{
			// The head line gives the size without the headers of 40 and 8 bytes.
			env: env, command: "traceroute6", host: host, dst: addrs[0], src: src,
			packetSize: 60, shownSize: 12,
			formatRouter:     func(name string, _ netip.Addr) string { return name },
			destinationCodes: map[uint8]bool{4: true},
			marks:            map[uint8]string{0: "!N", 1: "!P", 2: "!S", 3: "!A"},
		}
		if len(addrs) > 1 {
			env.Printf("traceroute6: Warning: %s has multiple addresses; using %v\n", host, t.dst)
		}
		if !src.IsValid() {
			if t.src, err = sourceAddrFor(ctx, env, t.dst); err != nil {
				text := sendErrorText(err)
				if text == "" {
					return err
				}
				return refusal.Newf("connect: %s", text)
			}
		}
		env.Printf("traceroute6 to %s (%v) from %v, %d hops max, %d byte packets\n",
			host, t.dst, t.src, traceMaxHops, t.shownSize)
		return t.run(ctx)
	},
})
