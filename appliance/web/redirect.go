package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
)

// secureURL is where a request that came in plain is to go; "" where the IP interface
// that it came to has no HTTPS.
//
// Who wrote one of the appliance's own addresses is inside its network, as nobody outside
// can reach that address; everybody else came by a door, and so goes to the door's port,
// whatever name they have for this machine.
//
// What the client wrote for a host is kept where it cannot lead astray: an address,
// localhost, and the appliance's own names, for which an administrator may have a line in
// a hosts file. Any other name becomes the door's address, so that a cache or a proxy on
// the way can never be given a redirect to somebody else's host. Where the door listens
// on every address, as in a container, it has no address that could be told: then a name
// stays, as it is all that is known of the way here.
func (s *site) secureURL(r *http.Request) string {
	to := localAddr(r)
	i := slices.IndexFunc(s.interfaces(), func(i netconfig.IPInterface) bool { return hasAddr(i, to) })
	if i < 0 || s.interfaces()[i].HTTPS == 0 {
		return ""
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	literal, _ := netip.ParseAddr(host)
	secure := netip.AddrPortFrom(to, s.interfaces()[i].HTTPS)
	inside := slices.ContainsFunc(s.interfaces(), func(i netconfig.IPInterface) bool { return hasAddr(i, literal) })
	if door, ok := s.outside(); ok && !inside {
		secure = door
	}
	switch {
	case literal.IsValid() && literal.Zone() == "", s.isOurs(host):
	case secure.Addr().IsUnspecified() && isHostName(host):
	default:
		host = secure.Addr().String()
	}
	port := strconv.Itoa(int(secure.Port()))
	if host = net.JoinHostPort(host, port); port == "443" {
		host = strings.TrimSuffix(host, ":443")
	}
	return "https://" + host + r.URL.RequestURI()
}

func (s *site) interfaces() []netconfig.IPInterface {
	return netconfig.Interfaces.Get(s.appliance.Config.Committed()).List
}

// has reports whether an interface has an address.
func hasAddr(i netconfig.IPInterface, a netip.Addr) bool {
	return a.IsValid() && (a == i.IPv4 || a == i.IPv6.Addr())
}

// arrival is the appliance's address to which a request came.
func localAddr(r *http.Request) netip.Addr {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	p, _ := netip.ParseAddrPort(a.String()) // what is none is no interface's
	return p.Addr().Unmap()
}

// isOurs reports whether a name is one that leads to this appliance.
func (s *site) isOurs(name string) bool {
	if strings.EqualFold(name, "localhost") || isHostName(name) && strings.EqualFold(name, s.appliance.Hostname()) {
		return true
	}
	return slices.ContainsFunc(s.interfaces(), func(i netconfig.IPInterface) bool {
		return isHostName(name) && strings.EqualFold(name, i.Hostname)
	})
}

// isHostName reports whether s, which the client sent, may stand in an address as the
// name of a host.
func isHostName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}
