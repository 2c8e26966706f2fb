package daemon

import (
	"fmt"
	"net/netip"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
)

// A Port is what a process listens on for one service.
type Port struct {
	Process Process
	Backlog int
	Mapped  bool // shown as a Java process's sockets are, see network.ListenConfig
	// Addrs returns the addresses to listen on under a configuration, in the order in which the
	// sockets are opened.
	Addrs func(config.View) []netip.AddrPort

	// farewell returns what a Placeholder sends before it closes a connection; nil: nothing.
	farewell func(hostname string) string
}

// The ports of services that the appliance provides (B35, B41).

// SSHPort is where ginetd listens for SSH.
func SSHPort() Port {
	return Port{Process: Ginetd, Backlog: 10, Addrs: perAddress(func(i netconfig.IPInterface) uint16 { return i.SSH })}
}

// FTPPort is where ftpd listens.
func FTPPort() Port {
	return Port{Process: FTPD, Backlog: 10, Addrs: perAddress(func(i netconfig.IPInterface) uint16 { return i.FTP })}
}

// HTTPPort is where the page listens for HTTP. It opens before HTTPSPort.
func HTTPPort() Port {
	return Port{Process: GUI, Backlog: 20, Addrs: perAddress(func(i netconfig.IPInterface) uint16 { return i.HTTP })}
}

// HTTPSPort is where the page listens for HTTPS.
func HTTPSPort() Port {
	return Port{Process: GUI, Backlog: 20, Addrs: perAddress(func(i netconfig.IPInterface) uint16 { return i.HTTPS })}
}

// placeholderPorts returns what a process of B35 without a part of its own listens on, with the
// backlogs of B41, in the order in which it opens the sockets.
func placeholderPorts(p Process) []Port {
	switch p {
	case Postgres:
		return []Port{{Process: p, Backlog: 208, Addrs: onLocalhost(5432)}}
	case Controller:
		return []Port{{Process: p, Backlog: 10, Addrs: onLocalhost(53)}}
	case Quarantine:
		return []Port{{Process: p, Backlog: 20, Mapped: true, Addrs: onLocalhost(18081)}}
	case APIServer:
		return []Port{
			{Process: p, Backlog: 15, Addrs: perAddress(func(i netconfig.IPInterface) uint16 { return i.APIHTTP }), farewell: httpUnavailable},
			{Process: p, Backlog: 15, Addrs: onLocalhost(60001)},
			{Process: p, Backlog: 15, Addrs: perAddress(func(i netconfig.IPInterface) uint16 { return i.APIHTTPS })},
		}
	case Hermes:
		return []Port{{Process: p, Backlog: 50, Addrs: mailAddrs, farewell: smtpUnavailable}}
	case Nginx:
		return []Port{{Process: p, Backlog: 128, Addrs: onAllAddresses(func(i netconfig.IPInterface) uint16 { return i.NextGUI })}}
	case NextGUI:
		return []Port{{Process: p, Backlog: 50, Addrs: onLocalhost(9999)}}
	}
	return nil
}

// httpUnavailable is the answer of the API's port to any request.
func httpUnavailable(string) string {
	return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
}

// smtpUnavailable is the greeting of a mail server that accepts no mail (RFC 5321, 3.8).
func smtpUnavailable(hostname string) string {
	return fmt.Sprintf("421 4.3.2 %s Service not available, closing transmission channel\r\n", hostname)
}

// onLocalhost is for sockets of the appliance's own use.
func onLocalhost(port uint16) func(config.View) []netip.AddrPort {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	return func(config.View) []netip.AddrPort { return []netip.AddrPort{at} }
}

// perAddress is for a service with a socket on each address of the IP interfaces where it is on:
// port returns its port number on an interface, 0 where it is off.
func perAddress(port func(netconfig.IPInterface) uint16) func(config.View) []netip.AddrPort {
	return func(v config.View) []netip.AddrPort {
		var out []netip.AddrPort
		for _, i := range netconfig.Interfaces.Get(v).List {
			if p := port(i); p != 0 {
				out = append(out, i.AddrPorts(p)...)
			}
		}
		return out
	}
}

// onAllAddresses is for a service with one socket on the unspecified address for each port number
// that it has on some IP interface.
func onAllAddresses(port func(netconfig.IPInterface) uint16) func(config.View) []netip.AddrPort {
	return func(v config.View) []netip.AddrPort {
		var out []netip.AddrPort
		for _, i := range netconfig.Interfaces.Get(v).List {
			if p := port(i); p != 0 {
				out = append(out, netip.AddrPortFrom(netip.IPv4Unspecified(), p))
			}
		}
		return out
	}
}
