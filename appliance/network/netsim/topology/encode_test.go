package topology_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

// reloaded returns a topology that was encoded and loaded again.
func reloaded(t *testing.T, original *topology.Topology) *topology.Topology {
	t.Helper()
	text := original.Encode()
	again, err := netsim.Load(original.File, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return again
}

func compareTopologies(t *testing.T, got, want *topology.Topology) {
	t.Helper()
	all := cmp.Exporter(func(x reflect.Type) bool {
		return x.PkgPath() == "net/netip" || strings.HasPrefix(x.PkgPath(), "unique")
	})
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(topology.Topology{}), cmpopts.EquateComparable(), all); diff != "" {
		t.Error("-want +got: ", diff)
	}
}

// Every topology of the program is read back as it was.
func TestEncodeBuiltIn(t *testing.T) {
	for _, name := range fixtures.Topologies() {
		t.Run(name, func(t *testing.T) {
			file, data, _ := fixtures.Topology(name)
			want, err := netsim.Load(file, data)
			if err != nil {
				t.Fatal(err)
			}
			compareTopologies(t, reloaded(t, want), want)
		})
	}
}

// Texts that YAML would read as something else, and lists that are empty but not left out.
func TestEncodeTexts(t *testing.T) {
	file, data, _ := fixtures.Topology("lab")
	want, err := netsim.Load(file, data)
	if err != nil {
		t.Fatal(err)
	}
	want.Appliance.NTP = []string{}
	for i, text := range []string{
		"null", "~", "true", "no", "1e3", "0x10", "2026-12-01", "a: b", "# no comment", " blanks ", `"quoted"`, "- dash",
		"two\nlines", "tab\there", "é ü", "<&>", "{a}", "[a]", "*a", "&a", "!a", "|", ">", "%", "@", "`", "'", "\\",
	} {
		want.Rules = append(want.Rules, topology.Rule{Name: text, Action: "drop", Loss: 0})
		want.About = text
		got := reloaded(t, want)
		if got.About != text || got.Rules[i].Name != text {
			t.Errorf("%q is read back as %q", text, got.Rules[i].Name)
		}
	}
	if got := reloaded(t, want); got.Appliance.NTP == nil {
		t.Error("an empty list is read back as none")
	}
}
