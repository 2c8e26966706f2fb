package commands

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "tcpservices",
	Summary: "Display information about the TCP/IP services of the processes.",
	Help: "tcpservices\n\n" +
		"Lists the processes that listen on TCP ports, in the order in which they were started.",
	Source: "B34, B35, B54, B55",
	Mode:   shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		sockets, err := env.Appliance.Net.Sockets()
		if err != nil {
			return networkRefusal(err, "list its sockets")
		}
		printLegend(env,
			"System Processes (Note: All processes may not always be present)", systemProcesses)
		printLegend(env, "Feature Processes", featureProcesses)
		env.Printf(serviceRow, "COMMAND", "USER", "TYPE", "NODE", "NAME")
		for _, s := range listenersByProcess(sockets) {
			kind, name := serviceName(s)
			for _, user := range append([]string{s.User}, s.Workers...) {
				env.Printf(serviceRow, fmt.Sprintf("%.9s", s.Owner), user, kind, "TCP", name)
			}
		}
		return nil
	},
})

const serviceRow = "%-12s %-12s %-4s %-6s %s\n"

// The legends list every process that an appliance may have, whether or not it runs.
var (
	systemProcesses = [][2]string{
		{"ftpd.main", "The FTP daemon"},
		{"ginetd", "The INET daemon"},
		{"interface", "The interface controller for inter-process communication"},
		{"ipfw", "The IP firewall"},
		{"slapd", "The Standalone LDAP daemon"},
		{"sntpd", "The SNTP daemon"},
		{"sshd", "The SSH daemon"},
		{"syslogd", "The system logging daemon"},
		{"winbindd", "The Samba Name Service Switch daemon"},
	}
	featureProcesses = [][2]string{
		{"euq_webui", "GUI for ISQ"},
		{"gui", "GUI process"},
		{"hermes", "MGA mail server"},
		{"postgres", "Process for storing and querying quarantine data"},
		{"splunkd", "Processes for storing and querying Email Tracking data"},
	}
)

func printLegend(env *shell.Env, title string, legend [][2]string) {
	env.Printf("%s\n", title)
	for _, l := range legend {
		env.Printf("  %-12s - %s\n", l[0], l[1])
	}
	env.Printf("\n")
}

// listenersByProcess returns the TCP listeners, ordered by process in the order in which the
// processes were started, and then in the order in which they were opened.
func listenersByProcess(sockets []network.Socket) []network.Socket {
	listeners := slices.DeleteFunc(sockets, func(s network.Socket) bool { return s.State != "LISTEN" })
	// A socket that was opened for a single connection, such as one for FTP data, has no PID.
	// It is listed with the process of the same name and user.
	pids := map[[2]string]int{}
	for _, s := range listeners {
		pids[[2]string{s.Owner, s.User}] = max(s.PID, pids[[2]string{s.Owner, s.User}])
	}
	pid := func(s network.Socket) int {
		return cmp.Or(s.PID, pids[[2]string{s.Owner, s.User}])
	}
	slices.SortFunc(listeners, func(a, b network.Socket) int {
		return cmp.Or(pid(a)-pid(b), cmp.Compare(a.Seq, b.Seq))
	})
	return listeners
}

// serviceName returns the cells of the columns TYPE and NAME.
func serviceName(s network.Socket) (kind, name string) {
	addr, port := s.Local.Addr(), s.Local.Port()
	switch {
	case s.Mapped && addr.Is4():
		// This table writes IPv4-mapped addresses without ffff.
		return "IPv6", fmt.Sprintf("[::%v]:%d", addr, port)
	case addr.IsUnspecified() && addr.Is4():
		return "IPv4", fmt.Sprintf("*:%d", port)
	case addr.IsUnspecified():
		return "IPv6", fmt.Sprintf("*:%d", port)
	case addr.Is4():
		return "IPv4", netip.AddrPortFrom(addr, port).String()
	}
	return "IPv6", netip.AddrPortFrom(addr, port).String()
}
