package commands

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "status",
	Summary: "Show the status of the system.",
	Help:    "status [detail]",
	Source:  "public (contents), invented (layout)",
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(_ context.Context, env *shell.Env) error {
		detail := len(env.Args) > 0
		if len(env.Args) > 1 || detail && env.Args[0] != "detail" {
			return shell.InvalidArgumentf(env.Args[len(env.Args)-1], "The only argument is: detail.")
		}
		now, up := env.Appliance.Now(), env.Appliance.Started()
		if !detail {
			env.Printf("Enter \"status detail\" for more information.\n\n")
		}
		env.Printf("%-30s %s\n", "Status as of:", moment(env, now))
		env.Printf("%-30s %s (%s)\n", "Up since:", moment(env, up), uptimeText(now.Sub(up)))
		env.Printf("%-30s %s\n", "Last counter reset:", "Never")
		env.Printf("%-30s %s\n", "System status:", "Online")
		env.Printf("%-30s %s\n", "Oldest Message:", "No Messages")
		if detail {
			return printGauges(env)
		}
		return nil
	},
})

// uptimeText formats a duration as 22h 45m 29s or 3d 22h 45m 29s.
func uptimeText(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	text := fmt.Sprintf("%dh %02dm %02ds", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		text = fmt.Sprintf("%dd %s", days, text)
	}
	return text
}

// printGauges prints the values of the gauges.
func printGauges(env *shell.Env) error {
	sockets, err := env.Appliance.Net.Sockets()
	if err != nil {
		return networkRefusal(err, "list its sockets")
	}
	in, out := mailConnections(sockets)
	used, quota := env.Appliance.Files.Usage()
	env.Printf("\nGauges:                             Current\n")
	env.Printf("  System\n")
	env.Printf("    %-31s %s\n", "Log Space Used", kilobytes(used))
	env.Printf("    %-31s %s\n", "Log Space Available", kilobytes(quota-used))
	env.Printf("  Connections\n")
	env.Printf("    %-31s %d\n", "Current Inbound Conn.", in)
	env.Printf("    %-31s %d\n", "Current Outbound Conn.", out)
	return nil
}

// mailConnections returns the number of established connections on which mail is received or sent:
// those of hermes, apart from its connections to web services of the vendor.
func mailConnections(sockets []network.Socket) (in, out int) {
	for _, s := range sockets {
		if s.State != "ESTABLISHED" || s.Owner != daemon.Hermes.Name() {
			continue
		}
		accepted := slices.ContainsFunc(sockets, func(l network.Socket) bool {
			return l.State == "LISTEN" && l.Owner == s.Owner && l.Local.Port() == s.Local.Port()
		})
		switch web := s.Remote.Port() == 80 || s.Remote.Port() == 443; {
		case accepted:
			in++
		case !web:
			out++
		}
	}
	return in, out
}

// kilobytes writes a number of bytes as 1,234K.
func kilobytes(bytes int64) string { return thousands(max(bytes, 0)/1024) + "K" }
