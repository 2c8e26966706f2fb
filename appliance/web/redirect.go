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

// secureURL returns the HTTPS address to which a plain HTTP request is redirected. The result
// is "" if the IP interface that received the request has no HTTPS.
//
// A client that names one of the appliance's own addresses is inside the simulated network,
// because these addresses cannot be reached from outside. Every other client came through a
// front door. It is sent to the port of the front door to HTTPS, whichever name it uses for
// this machine.
//
// The client's own name for the host is kept if it is an address, localhost, or one of the
// appliance's names, for which an administrator may have added a line to a hosts file. Any other
// name is replaced by the door's address, so that no cache or proxy on the way can be made to
// store a redirect to a foreign host. A door that listens on all addresses, as in a container,
// has no address to offer. Then the name is kept, because nothing else is known.
func (s *site) secureURL(r *http.Request) string {
	to := localAddr(r)
	i := slices.IndexFunc(s.interfaces(), func(i netconfig.IPInterface) bool {
		return hasAddr(i, to)
	})
	if i < 0 || s.interfaces()[i].HTTPS == 0 {
		return ""
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	literal, _ := netip.ParseAddr(host)
	secure := netip.AddrPortFrom(to, s.interfaces()[i].HTTPS)
	inside := slices.ContainsFunc(s.interfaces(), func(i netconfig.IPInterface) bool {
		return hasAddr(i, literal)
	})
	if door, ok := s.outside(); ok && !inside {
		secure = door
	}
	switch {
	case literal.IsValid() && literal.Zone() == "", s.isOwnName(host):
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

// hasAddr reports whether an interface has an address.
func hasAddr(i netconfig.IPInterface, a netip.Addr) bool {
	return a.IsValid() && (a == i.IPv4 || a == i.IPv6.Addr())
}

// localAddr returns the appliance's address that received a request.
func localAddr(r *http.Request) netip.Addr {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	p, _ := netip.ParseAddrPort(a.String()) // on failure the zero address, which no interface has
	return p.Addr().Unmap()
}

// isOwnName reports whether a name leads to this appliance.
func (s *site) isOwnName(name string) bool {
	if strings.EqualFold(name, "localhost") || isHostName(name) &&
		strings.EqualFold(name, s.appliance.Hostname()) {
		return true
	}
	return slices.ContainsFunc(s.interfaces(), func(i netconfig.IPInterface) bool {
		return isHostName(name) && strings.EqualFold(name, i.Hostname)
	})
}

// isHostName reports whether s, which a client sent, may be used as the name of a host in a URL.
func isHostName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' ||
			c == '.' || c == '_')
	})
}
