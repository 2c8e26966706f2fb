package daemon

import (
	"net/netip"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
)

// A Port is the group of sockets of a process for one service.
type Port struct {
	Process Process
	Backlog int
	Mapped  bool // shown as a Java process's sockets are, see network.ListenConfig
	// Addrs returns the addresses to listen on under a configuration, in the order in which the
	// sockets are opened.
	Addrs func(config.View) []netip.AddrPort

	// BacklogOf returns the backlog of an address under a configuration; nil: Backlog, for all.
	BacklogOf func(v config.View, addr netip.AddrPort) int

	// farewell returns what a Placeholder sends before it closes a connection; nil: nothing.
	farewell func(hostname string) string
}

// backlog returns the backlog of an address.
func (p Port) backlog(v config.View, addr netip.AddrPort) int {
	if p.BacklogOf != nil {
		return p.BacklogOf(v, addr)
	}
	return p.Backlog
}

// The ports of services that the appliance provides (B35, B41).

// SSHPort is where ginetd listens for SSH.
func SSHPort() Port {
	return perAddress(Ginetd, 10, func(i netconfig.IPInterface) uint16 { return i.SSH })
}

// FTPPort is where ftpd listens.
func FTPPort() Port {
	return perAddress(FTPD, 10, func(i netconfig.IPInterface) uint16 { return i.FTP })
}

// HTTPPort is where the page listens for HTTP. It opens before HTTPSPort.
func HTTPPort() Port {
	return perAddress(GUI, 20, func(i netconfig.IPInterface) uint16 { return i.HTTP })
}

// HTTPSPort is where the page listens for HTTPS.
func HTTPSPort() Port {
	return perAddress(GUI, 20, func(i netconfig.IPInterface) uint16 { return i.HTTPS })
}

// placeholderPorts returns the ports of a process of B35 that has no part of its own, with the
// backlogs of B41, in the order in which the process opens them.
func placeholderPorts(p Process) []Port {
	switch p {
	case Postgres:
		return []Port{onLocalhost(p, 208, 5432)}
	case Controller:
		return []Port{onLocalhost(p, 10, 53)}
	case Quarantine:
		port := onLocalhost(p, 20, 18081)
		port.Mapped = true
		return []Port{port}
	case APIServer:
		http := perAddress(p, 15, func(i netconfig.IPInterface) uint16 { return i.APIHTTP })
		http.farewell = httpUnavailable
		https := perAddress(p, 15, func(i netconfig.IPInterface) uint16 { return i.APIHTTPS })
		return []Port{http, onLocalhost(p, 15, 60001), https}
	case Nginx:
		return []Port{{Process: p, Backlog: 128, Addrs: nginxAddrs}}
	case NextGUI:
		return []Port{onLocalhost(p, 50, 9999)}
	}
	return nil
}

// httpUnavailable is the answer of the API's port to any request.
func httpUnavailable(string) string {
	return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
}

// onLocalhost returns a port of the appliance's own use.
func onLocalhost(p Process, backlog int, number uint16) Port {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), number)
	return Port{Process: p, Backlog: backlog, Addrs: func(config.View) []netip.AddrPort {
		return []netip.AddrPort{at}
	}}
}

// perAddress returns a port with a socket on each address of the IP interfaces on which the service
// is on. number returns its port number on an interface, 0 if it is off there.
func perAddress(p Process, backlog int, number func(netconfig.IPInterface) uint16) Port {
	return Port{Process: p, Backlog: backlog, Addrs: func(v config.View) []netip.AddrPort {
		var out []netip.AddrPort
		for _, i := range netconfig.Interfaces.Get(v).List {
			if n := number(i); n != 0 {
				out = append(out, i.AddrPorts(n)...)
			}
		}
		return out
	}}
}

// nginxAddrs returns the addresses of nginx: it has one socket on the unspecified address for each
// port number that the next GUI has on some IP interface.
func nginxAddrs(v config.View) []netip.AddrPort {
	var out []netip.AddrPort
	for _, i := range netconfig.Interfaces.Get(v).List {
		if i.NextGUI != 0 {
			out = append(out, netip.AddrPortFrom(netip.IPv4Unspecified(), i.NextGUI))
		}
	}
	return out
}
