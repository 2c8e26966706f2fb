package topology_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Files that would take long to parse or check are refused, with the reason.
func TestBoundsOfAFile(t *testing.T) {
	var deep strings.Builder
	for i := range 600 {
		fmt.Fprintf(&deep, "%*sa:\n", i, "")
	}
	var hosts strings.Builder
	hosts.WriteString("hosts:\n")
	for i := range 12_000 {
		fmt.Fprintf(&hosts, "- {name: h%d, addresses: [11.0.%d.%d]}\n", i, i>>8, i&255)
	}
	const nested = "values are nested more than 32 deep"
	for _, test := range []struct{ name, data, want string }{
		{"flow mappings", strings.Repeat("{a: ", 60_000), nested},
		{"flow sequences", strings.Repeat("[", 250_000), nested},
		{"block sequences", strings.Repeat("- ", 120_000), nested},
		{"keys", strings.Repeat("? ", 120_000), nested},
		{"mixed", strings.Repeat("- a: [", 40_000), nested},
		{"block mappings", deep.String(), nested},
		{"size", "about: " + strings.Repeat("x", 1<<20), "expected at most 1048576"},
		{"hosts", hosts.String(), "hosts has 12000 values, expected at most 10000"},
		{"rules", "rules:\n" + strings.Repeat("- {action: drop}\n", 300), "rules has 300 values, expected at most 256"},
		{"mail", "mail:\n" + strings.Repeat("- {host: a}\n", 1001), "mail has 1001 values, expected at most 1000"},
	} {
		_, err := topology.Load("x.yaml", []byte(test.data), nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %.200v, want %q", test.name, err, test.want)
		}
	}
}
