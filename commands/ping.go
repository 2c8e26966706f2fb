package commands

import (
	"context"
	"encoding/binary"
	"net/netip"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "ping",
	Summary: "Ping a network host.",
	Help:    "ping [host]\n\n" + pingHelp,
	Source:  "B51, B52; ping(8) of FreeBSD (errors); public (questions)",
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		src, host, err := askTarget(ctx, env, 4, pingSourceQuestion, pingHostQuestion)
		if err != nil {
			return err
		}
		env.Printf("Press Ctrl-C to stop.\n")
		addrs, err := lookUpTarget(ctx, env, host, 4,
			"ping: cannot resolve "+host+": Unknown host",
			"ping: cannot resolve "+host+": Host name lookup failure")
		if err != nil {
			return err
		}
		p := &pinger{
			env: env, command: "ping", sendCall: "sendto", deviation: "stddev",
			host: host, dst: addrs[0], src: src, data: 56,
			printReply: func(seq uint16, r network.Reply) {
				env.Printf("%d bytes from %v: icmp_seq=%d ttl=%d time=%.3f ms\n",
					r.Bytes, r.From, seq, r.TTL, milliseconds(r.RTT))
			},
			printError: func(r network.Reply, from string) {
				env.Printf("%d bytes from %s: ", r.Bytes, from)
				printICMPError(env, r)
			},
		}
		from := ""
		if src.IsValid() {
			from = " from " + src.String()
		}
		env.Printf("PING %s (%v)%s: %d data bytes\n", host, p.dst, from, p.data)
		return p.run(ctx)
	},
})

// printICMPError prints an ICMP error as FreeBSD's ping does: a sentence, the header of the
// quoted packet, and a blank line.
func printICMPError(env *shell.Env, r network.Reply) {
	const unreachable, timeExceeded = 3, 11
	switch {
	case r.Type == timeExceeded && r.Code == 0:
		env.Printf("Time to live exceeded\n")
	case r.Type == timeExceeded && r.Code == 1:
		env.Printf("Frag reassembly time exceeded\n")
	case r.Type == unreachable && r.Code == 4:
		env.Printf("frag needed and DF set (MTU %d)\n", r.MTU)
	case r.Type == unreachable:
		text, ok := map[uint8]string{
			0:  "Destination Net Unreachable",
			1:  "Destination Host Unreachable",
			2:  "Destination Protocol Unreachable",
			3:  "Destination Port Unreachable",
			5:  "Source Route Failed",
			13: "Communication prohibited by filter",
		}[r.Code]
		if ok {
			env.Printf("%s\n", text)
		} else {
			env.Printf("Dest Unreachable, Bad Code: %d\n", r.Code)
		}
	default:
		env.Printf("Bad ICMP type: %d\n", r.Type)
	}
	if ip := r.Quoted; len(ip) >= 20 {
		be := binary.BigEndian
		env.Printf("Vr HL TOS  Len   ID Flg  off TTL Pro  cks      Src      Dst\n")
		env.Printf(" %x  %x  %02x %04x %04x",
			ip[0]>>4, ip[0]&15, ip[1], be.Uint16(ip[2:]), be.Uint16(ip[4:]))
		env.Printf("   %x %04x", ip[6]>>5, be.Uint16(ip[6:])&0x1fff)
		env.Printf("  %02x  %02x %04x", ip[8], ip[9], be.Uint16(ip[10:]))
		env.Printf(" %v  %v \n", netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:])))
	}
	env.Printf("\n")
}
