package netconfig

import (
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Hostname is the section of the host name, which the prompt shows. It has at least two labels.
var Hostname = config.Define("hostname", "example.com", func(name string, _ *config.Config) error {
	return CheckHostname(name)
}, config.In(config.Network, 10))

// CheckHostname returns a refusal unless name is a fully qualified host name (RFC 1123).
func CheckHostname(name string) error {
	labels := strings.Split(name, ".")
	valid := len(name) <= 253 && len(labels) >= 2
	for _, l := range labels {
		valid = valid && l != "" && len(l) <= 63 && l[0] != '-' && l[len(l)-1] != '-'
		for _, c := range l {
			letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
			valid = valid && (letter || c >= '0' && c <= '9' || c == '-')
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		valid = false
	}
	if !valid {
		return refusal.New("The host name must be fully qualified: labels of letters, digits and " +
			"hyphens, with dots between them.")
	}
	return nil
}
