package ntp

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Settings is the value of NTP.
type Settings struct {
	// Servers are names or addresses. They are asked in this order until one answers.
	Servers []string `xml:"ntp_server"`
	// Source is the IP interface that queries are sent from; "": chosen by the routing table.
	Source string `xml:"ntp_source_ip_interface"`
}

// DefaultServer is the factory setting.
const DefaultServer = "time.sco.cisco.com"

// MaxServers is how many servers can be configured.
const MaxServers = 10

// NTP is the configuration section.
var NTP = config.Define("ntp", Settings{Servers: []string{DefaultServer}},
	func(s Settings, _ *config.Config) error { return s.check() }, config.In(config.System, 20))

// check returns nil, or a refusal that says what is wrong with s.
func (s Settings) check() error {
	if len(s.Servers) > MaxServers {
		return refusal.Newf("There are %d NTP servers. At most %d can be configured.",
			len(s.Servers), MaxServers)
	}
	for i, name := range s.Servers {
		if err := CheckServer(name); err != nil {
			return refusal.Newf("The NTP server %q: %v", name, err)
		}
		if slices.Contains(s.Servers[:i], name) {
			return refusal.Newf("The NTP server %s is listed twice.", name)
		}
	}
	return nil
}

// CheckServer returns nil, or a refusal that says what is wrong with the name or address of a
// server.
func CheckServer(name string) error {
	if a, err := netip.ParseAddr(name); err == nil {
		if a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			return refusal.New("The address must be a host's.")
		}
		return nil
	}
	labels := strings.Split(name, ".")
	bad := len(name) > 253 || len(labels) < 2
	for _, l := range labels {
		bad = bad || l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-'
		for _, c := range l {
			bad = bad || !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
				c == '-')
		}
	}
	if last := labels[len(labels)-1]; bad || strings.Trim(last, "0123456789") == "" {
		return refusal.New("The value must be a fully qualified hostname or an IP address.")
	}
	return nil
}
