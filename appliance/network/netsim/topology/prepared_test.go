package topology_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/fixtures"
)

// comparePrepared loads text in both ways and compares what they return.
func comparePrepared(t *testing.T, name string, text []byte) {
	t.Helper()
	want, err := netsim.Load(name, text)
	if err != nil {
		t.Fatal(err)
	}
	prepared := want.Prepared(text)
	got, ok := netsim.LoadPrepared(name, text, prepared)
	if !ok {
		t.Fatalf("the prepared form cannot be read:\n%s", prepared)
	}
	if got.File != name || !slices.Equal(got.DerivedMACs(), want.DerivedMACs()) {
		t.Errorf("file %q, derived MACs %v, want %q and %v", got.File, got.DerivedMACs(), name, want.DerivedMACs())
	}
	compareTopologies(t, got, want)
	for _, path := range []string{"appliance.hostname", "appliance.interfaces[0].addresses[0]", "hosts"} {
		if got, want := got.ErrorAt(path, "x"), want.ErrorAt(path, "x"); got.Error() != want.Error() {
			t.Errorf("%s: an error is %q, want %q", path, got, want)
		}
	}
}

func TestPreparedBuiltIn(t *testing.T) {
	for _, name := range fixtures.Topologies() {
		t.Run(name, func(t *testing.T) {
			file, data, _ := fixtures.Topology(name)
			comparePrepared(t, file, data)
		})
	}
}

// What the built-in topologies do not have.
func TestPreparedValues(t *testing.T) {
	comparePrepared(t, "all.yaml", []byte(`
about: "two\nlines: [a, b] \"quoted\" é"
appliance:
  hostname: a.example.com
  model: C100V
  serial: 421F6D8FB9C75E19C425-C9AEA81B2B70
  version: 14.0.0-698
  ntp: []
  dns: [192.0.2.53]
  tcp: {window: 4096, options: [mss, sack]}
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.7/24, "2001:db8:2::7/64"], gateway: 192.0.2.1}
    - {name: Data 2, device: nic2, mac: 02:00:00:01:00:02, addresses: [192.0.3.7/24]}
    - {name: Management, device: nic0, dhcp: true}
hosts:
  - name: resolver
    wire: Data 1
    addresses: [192.0.2.53, "2001:db8:2::53"]
    services:
      - {type: dns, options: {records: "a. 1 IN A 192.0.2.1\nb. 1 IN A 192.0.2.2\n"}}
names: {"2001:db8::1": six.example.com, 192.0.2.1: "four.example.com"}
uplinks:
  - {interface: Data 2, to: "unix:/tmp/x:y", expose: true}
rules:
  - {name: "a, b", action: loss, protocol: tcp, loss: 0.05, for: 90s}
`))
}

// A form that is damaged or belongs to another text is not used.
func TestPreparedOfAnotherText(t *testing.T) {
	file, data, _ := fixtures.Topology("lab")
	topo, err := netsim.Load(file, data)
	if err != nil {
		t.Fatal(err)
	}
	good := topo.Prepared(data)
	if _, ok := netsim.LoadPrepared(file, append(slices.Clone(data), '\n'), good); ok {
		t.Error("the prepared form is used for a text that has been changed")
	}
	for old, changed := range map[string]string{
		"  hostname:":       "  hostnam:",
		"  model:":          "   model:",
		"hosts:":            "hosts: 1",
		" [\"10.0.201.4\"]": " [\"10.0.201.4\"",
		"\"10.0.202.53\"":   "\"10.0.202.530\"",
		"interfaces:\n":     "interfaces: {}\n",
		"\nnames:\n":        "\nnames: \"\n",
		"disk_quota: ":      "disk_quota: x",
		"\nhosts:\n":        "\n\nhosts:\n",
		"quiet_ipv6: t":     "quiet_ipv6: x",
		"    services:\n":   "    services\n",
	} {
		text := strings.ReplaceAll(string(good), old, changed)
		if text == string(good) {
			t.Errorf("the prepared form does not have %q", old)
		}
		if _, ok := netsim.LoadPrepared(file, data, []byte(text)); ok {
			t.Errorf("%q instead of %q is accepted", changed, old)
		}
	}
}

func FuzzLoadPrepared(f *testing.F) {
	for _, name := range fixtures.Topologies() {
		file, data, _ := fixtures.Topology(name)
		topo, err := netsim.Load(file, data)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := bytes.Cut(topo.Prepared(data), []byte("\n"))
		f.Add(body)
	}
	head, _, _ := bytes.Cut((&topology.Topology{}).Prepared(nil), []byte("\n"))
	f.Fuzz(func(_ *testing.T, body []byte) {
		if t, ok := netsim.LoadPrepared("x", nil, fmt.Appendf(nil, "%s\n%s", head, body)); ok {
			t.Encode()
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	file, data, _ := fixtures.Topology("lab")
	topo, err := netsim.Load(file, data)
	if err != nil {
		b.Fatal(err)
	}
	prepared := topo.Prepared(data)
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := netsim.Load(file, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("prepared", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := netsim.LoadPrepared(file, data, prepared); !ok {
				b.Fatal("the prepared form cannot be read")
			}
		}
	})
}
