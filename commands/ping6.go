package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "ping6",
	Summary: "Ping a network host using IPv6.",
	Help:    "ping6 [host]\n\n" + pingHelp,
	Source:  "ping6(8) of FreeBSD (output, errors); public (questions)",
	Since:   ipv6Version,
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if !hasIPv6(env) {
			return refusal.New("No interface of this appliance has an IPv6 address. Use ping instead.")
		}
		src, host, err := askTarget(ctx, env, 6, pingSourceQuestion, pingHostQuestion)
		if err != nil {
			return err
		}
		env.Printf("Press Ctrl-C to stop.\n")
		addrs, err := lookUpTarget(ctx, env, host, 6,
			"ping6: hostname nor servname provided, or not known",
			"ping6: Name could not be resolved at this time")
		if err != nil {
			return err
		}
		p := &pinger{
			env: env, command: "ping6", sendCall: "sendmsg", deviation: "std-dev",
			host: host, dst: addrs[0], src: src, data: 8,
			printReply: func(seq uint16, r network.Reply) {
				env.Printf("%d bytes from %v, icmp_seq=%d hlim=%d time=%.3f ms\n",
					r.Bytes, r.From, seq, r.TTL, milliseconds(r.RTT))
			},
			// Without its option -v, FreeBSD's ping6 does not show ICMPv6 errors.
			afterSendError: func() { env.Printf("ping6: wrote %s 16 chars, ret=-1\n", host) },
		}
		if !p.src.IsValid() {
			if p.src, err = sourceAddrFor(ctx, env, p.dst); err != nil {
				text := sendErrorText(err)
				if text == "" {
					return err
				}
				return refusal.Newf("ping6: UDP connect: %s", text)
			}
		}
		env.Printf("PING6(%d=40+8+%d bytes) %v --> %v\n", 40+8+p.data, p.data, p.src, p.dst)
		return p.run(ctx)
	},
})
