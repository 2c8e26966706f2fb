package topology_test

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// servers returns the types of server that the topologies of these tests use.
func servers() topology.ServerTypes {
	noOptions := func(name, _ string) error { return fmt.Errorf("unknown option %q, expected none", name) }
	return topology.ServerTypes{
		"dns":  {Port: 53, CheckOption: noOptions},
		"echo": {Port: 7, CheckOption: noOptions},
		"sink": {CheckOption: noOptions},
		"mx":   {Port: 25, CheckOption: noOptions, HasRules: true},
		"syslogd": {Port: 514, CheckOption: func(name, value string) error {
			if name == "after" && value != "accept" {
				return fmt.Errorf("%q, expected accept", value)
			}
			return nil
		}},
	}
}

func load(t testing.TB, file, text string) *topology.Topology {
	t.Helper()
	topo, err := topology.Load(file, []byte(text), servers())
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// TestDefaults checks the values of fields that a topology leaves out.
func TestDefaults(t *testing.T) {
	minimal := load(t, "t.yaml", valid)
	n := minimal.Appliance.Interfaces[0]
	if n.Link != 1 || n.MTU != 1500 || n.MAC != (topology.MAC{2, 0, 0, 1, 0, 1}) {
		t.Errorf("interface: link %d, MTU %d, MAC %v", n.Link, n.MTU, n.MAC)
	}
	if got := minimal.Appliance.DiskQuota; got != topology.GiB {
		t.Errorf("disk quota %d", got)
	}
	s := minimal.Hosts[0].Services[0]
	if s.Name != "resolver/dns" || s.Port != 53 {
		t.Errorf("service: name %q, port %d", s.Name, s.Port)
	}
	if got := minimal.Doors.In[0].Name; got != "ssh" {
		t.Errorf("door: name %q", got)
	}
}

func TestLoadDecodesEveryKindOfValue(t *testing.T) {
	topo := load(t, "values.yaml", replaceIn(valid, map[string]string{
		"  disk_quota: 1GiB": "  disk_quota: 1536 MiB",
		"# paths": `
paths:
  - {to: 203.0.113.0/24, name: far, delay: 1.5ms, jitter: 20us, loss: 0.25, mtu: 1400, hops: [{silent: true, delay: 1ms}, {members: [198.51.100.1], seed: 2, loss: 1}]}
  - to: 203.0.113.9
    end: silent
`,
	}))
	if got := topo.Appliance.DiskQuota; got != 1536*topology.MiB {
		t.Errorf("disk quota %d", got)
	}
	want := []topology.Path{
		{
			Name: "far", To: netip.MustParsePrefix("203.0.113.0/24"),
			Delay: 1500 * time.Microsecond, Jitter: 20 * time.Microsecond, Loss: 0.25, MTU: 1400,
			Hops: []topology.Hop{
				{Silent: true, Delay: time.Millisecond},
				{Members: []netip.Addr{netip.MustParseAddr("198.51.100.1")}, Seed: 2, Loss: 1},
			},
		},
		{Name: "203.0.113.9/32", To: netip.MustParsePrefix("203.0.113.9/32"), End: "silent"},
	}
	if diff := cmp.Diff(want, topo.Paths, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

// valid is a topology without mistakes. The tests below put one mistake into it.
//
//go:embed testdata/small.yaml
var valid string

func replaceIn(text string, changes map[string]string) string {
	for old, new := range changes {
		text = strings.Replace(text, old, new, 1)
	}
	return text
}

func TestLoadReportsMistakesWithPosition(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		// Syntax and types.
		{"not YAML", "hostname: mail", "hostname: [mail", "t.yaml:3:3: "},
		{"unknown key", "  model:", "  modell:", `t.yaml:3:3: unknown key "modell", expected one of hostname, model, serial`},
		{"key twice", "  serial:", "  model: C600V\n  serial:", `t.yaml:4:3: `},
		{"anchor", "[192.0.2.53]\n  disk", "&a [192.0.2.53]\n  disk", "t.yaml:6:8: anchors, aliases and tags"},
		{"no address", "192.0.2.25/24", "192.0.2.256/24", `t.yaml:11:19: "192.0.2.256/24" here, expected an IP address or a network such as 10.0.202.0/24`},
		{"no list", "[192.0.2.53]\n  disk", "192.0.2.53\n  disk", `t.yaml:6:8: "192.0.2.53" here, expected a list`},
		{"no text", "mail.example.com", "[mail]", "t.yaml:2:13: a list here, expected a text"},
		{"null", "hostname: mail.example.com", "hostname:", "t.yaml:2:12: nothing here, expected a text"},
		{"no mapping", "- {name: Data 2, device: nic2}", "- Data 2", `t.yaml:13:7: "Data 2" here, expected a mapping with any of the keys name, device`},
		{"port too large", "port: 25", "port: 65536", `t.yaml:21:35: "65536" here, expected a whole number from 0 to 65535`},
		{"size", "1GiB", "1 giga", `t.yaml:7:15: "1 giga" here, expected a size such as 512MiB or 1GiB`},
		{"time", "# paths", "paths: [{to: 203.0.113.0/24, delay: 3}]", `t.yaml:22:37: "3" here, expected a time such as 350us or 2ms`},
		{"boolean", "# paths", "paths: [{to: 203.0.113.0/24, hops: [{silent: yes}]}]", `t.yaml:22:46: "yes" here, expected true or false`},
		{"number", "# paths", "paths: [{to: 203.0.113.0/24, loss: much}]", `t.yaml:22:36: "much" here, expected a number`},
		{"MAC", "- {name: Data 2, device: nic2}", "- {name: Data 2, device: nic2, mac: 02:00}", `t.yaml:13:41: "02:00" here, expected an Ethernet address`},

		// The appliance.
		{"no host name", "mail.example.com", "mail example", `t.yaml:2:13: "mail example" is no host name`},
		{"no serial number", "  serial: A-1\n", "", `t.yaml:2:3: no serial, expected one such as`},
		{"serial number", "serial: A-1", "serial: A/1", `t.yaml:4:11: "A/1" is no serial number`},
		{"version", "14.0.0-698", "14.0", `t.yaml:5:12: "14.0" is no version, expected release and build such as 14.0.0-698`},
		{"second log", "  dns:", "  logs: [{name: a, server: 10.0.0.1}, {name: a, server: 10.0.0.1}]\n  dns:", `t.yaml:6:46: a second log "a"`},
		{"recipient", "  dns:", "  alerts: [{address: me}]\n  dns:", `t.yaml:6:22: "me" is no mail address`},
		{"syslogd's option", "type: dns", "type: syslogd, options: {after: lunch}", `t.yaml:18:49: "lunch", expected accept`},
		{"time zone", "  dns:", "  timezone: Mars/Base\n  dns:", `t.yaml:6:13: time zone "Mars/Base" is unknown`},
		{"quota", "1GiB", "1000", "t.yaml:7:15: 1000 bytes are too few"},
		{"interface twice", "name: Data 2", "name: Data 1", `t.yaml:13:14: a second interface "Data 1"`},
		{"device twice", "device: nic2", "device: nic1", `t.yaml:13:30: "nic1" is no device or that of another interface`},
		{"no prefix length", "192.0.2.25/24", "192.0.2.25", "t.yaml:11:19: 192.0.2.25 lacks the prefix length of its network"},
		{"gateway on another network", "gateway: 192.0.2.1", "gateway: 192.0.3.1", "t.yaml:12:16: 192.0.3.1 is not on the network of Data 1, expected an address in 192.0.2.0/24"},
		{"gateway is the interface", "gateway: 192.0.2.1", "gateway: 192.0.2.25", "t.yaml:12:16: 192.0.2.25 belongs to Data 1 already"},
		{"gateway of no network", "{name: Data 2, device: nic2}", "{name: Data 2, device: nic2, gateway: 198.51.100.1}", "t.yaml:13:45: 198.51.100.1 lacks the prefix length of its network, expected it as in 10.0.203.1/24"},
		{"gateway with another prefix length", "gateway: 192.0.2.1", "gateway: 192.0.2.1/25", "t.yaml:12:16: 192.0.2.1/25 and 192.0.2.25/24 are one network with two prefix lengths"},
		{"gateway of an overlapping network", "device: nic2}", "device: nic2, gateway: 192.0.2.129/25}", "t.yaml:13:45: 192.0.2.129/25 overlaps with 192.0.2.25/24 of Data 1"},
		{"MAC twice", "device: nic2}", "device: nic2, mac: '02:00:00:01:00:01'}", "t.yaml:13:41: 02:00:00:01:00:01 belongs to Data 1 already"},
		{"VLAN ID", "gateway: 192.0.2.1", "vlans: [{id: 4095, gateway: 10.0.12.1/24}]", "t.yaml:12:20: 4095 is no VLAN ID, expected 1 to 4094"},
		{"VLAN twice", "gateway: 192.0.2.1", "vlans: [{id: 12, gateway: 10.0.12.1/24}, {id: 12, gateway: 10.0.13.1/24}]", "t.yaml:12:53: a second VLAN 12 on the wire of Data 1"},
		{"VLAN without router", "gateway: 192.0.2.1", "vlans: [{id: 12}]", "t.yaml:12:15: VLAN 12 has no router, expected gateway or gateway6"},
		{"VLAN without prefix length", "gateway: 192.0.2.1", "vlans: [{id: 12, gateway: 10.0.12.1}]", "t.yaml:12:33: 10.0.12.1 lacks the prefix length of its network"},
		{"VLAN of an overlapping network", "gateway: 192.0.2.1", "vlans: [{id: 12, gateway: 192.0.2.1/24}]", "t.yaml:12:33: 192.0.2.1/24 overlaps with 192.0.2.25/24 of Data 1"},
		{"overlap", "device: nic2", "device: nic2, addresses: [192.0.2.130/25]", "t.yaml:13:48: 192.0.2.130/25 overlaps with 192.0.2.25/24 of Data 1"},
		{"name server", "dns: [192.0.2.53]", "dns: [192.0.2.54]", "t.yaml:6:9: no host has the address 192.0.2.54"},

		// Hosts.
		{"host twice", "name: far", "name: resolver", `t.yaml:19:11: a second host "resolver"`},
		{"address twice", "[203.0.113.7]", "[203.0.113.7, 203.0.113.7]", "t.yaml:20:30: 203.0.113.7 belongs to host far already"},
		{"no address", "addresses: [203.0.113.7]", "addresses: []", "t.yaml:20:16: host far has no address"},
		{"unknown wire", "wire: Data 1", "wire: Data 3", `t.yaml:16:11: no interface is called "Data 3", expected one of Data 1, Data 2`},
		{"no wire", "    wire: Data 1\n", "", "t.yaml:16:17: 192.0.2.53 is on the network of Data 1, expected wire: Data 1"},
		{"not on the wire", "[192.0.2.53]\n    services", "[192.0.3.53]\n    services", "t.yaml:17:17: 192.0.3.53 is not on the network of Data 1"},
		{"MAC of an interface", "wire: Data 1", "wire: Data 1\n    mac: 02:00:00:01:00:01", "t.yaml:17:10: 02:00:00:01:00:01 belongs to Data 1 already, expected an address of its own"},
		{"MAC of a gateway", "wire: Data 1", "wire: Data 1\n    mac: 02:00:00:02:00:01", "t.yaml:17:10: 02:00:00:02:00:01 belongs to the gateway of Data 1 already"},
		{"no such VLAN", "wire: Data 1", "wire: Data 1\n    vlan: 12", "t.yaml:17:11: the wire of Data 1 carries no VLAN 12, expected vlans there"},
		{"VLAN of no wire", "name: far", "name: far\n    vlan: 12", "t.yaml:20:11: host far is on no wire, expected wire too"},
		{"ARP address of one machine", "wire: Data 1", "wire: Data 1\n    arp_mac: 02:bf:0a:00:ca:09", "t.yaml:17:14: 02:bf:0a:00:ca:09 is no multicast address"},
		{"ARP on no wire", "name: far", "name: far\n    arp_mac: 03:bf:0a:00:ca:09", "t.yaml:20:14: host far is on no wire, expected no arp_mac"},
		{"unknown server", "type: dns", "type: bind", `t.yaml:18:23: no server is called "bind", expected one of dns, echo, mx, sink, syslogd`},
		{"no port", "{type: sink, port: 25}", "{type: sink}", "t.yaml:21:16: sink has no default port"},
		{"unknown option", "port: 25}", "port: 25, options: {speed: slow}}", `t.yaml:21:56: unknown option "speed"`},
		{"score too high", "# rules", "reputation: [{network: 203.0.113.0/24, score: 11}]", `t.yaml:23:47: the score is "11", expected a number from -10 to 10`},
		{"reputation of nobody", "# rules", "reputation: [{score: 1}]", "t.yaml:23:14: the network is missing"},
		{"no exchanger", "# rules", "mail: [{domain: example.com, host: mx.example.com}]", `t.yaml:23:36: no host has the name "mx.example.com"`},

		// Paths and rules.
		{"path to an empty network", "# paths", "paths: [{to: 198.51.100.0/24}]", "t.yaml:22:14: no host is in 198.51.100.0/24"},
		{"path to an address in a network", "# paths", "paths: [{to: 203.0.113.7/24}]", "t.yaml:22:14: 203.0.113.7/24 is an address in a network, expected 203.0.113.0/24"},
		{"on the wire", "# paths", "paths: [{to: 192.0.2.0/25, end: silent}]", "t.yaml:22:14: 192.0.2.0/25 is on the wire of Data 1"},
		{"no such end", "# paths", "paths: [{to: 203.0.113.0/24, end: black hole}]", `t.yaml:22:35: "black hole" is no end`},
		{"hop without address", "# paths", "paths: [{to: 203.0.113.0/24, hops: [{delay: 1ms}]}]", "t.yaml:22:37: a hop without an address"},
		{"hop of the other family", "# paths", "paths: [{to: 203.0.113.0/24, hops: [{members: ['2001:db8::1']}]}]", "t.yaml:22:48: 2001:db8::1 is of another family"},
		{"a host as router", "# paths", "paths: [{to: 203.0.113.0/24, hops: [{members: [192.0.2.53]}]}]", "t.yaml:22:48: 192.0.2.53 belongs to host resolver already"},
		{"no such action", "# rules", "rules: [{action: burn}]", `t.yaml:23:18: "burn" is no action`},
		{"port of no protocol", "# rules", "rules: [{action: drop, port: 25}]", "t.yaml:23:30: port 25 without a protocol that has ports"},
		{"counting pings", "# rules", "rules: [{action: drop, protocol: icmp, after_bytes: 9}]", "t.yaml:23:34: data is counted in tcp and udp only"},

		// Clients and doors.
		{"client of no host", "# clients", "clients: [{from: nobody, local: '192.0.2.25:1', remote: '203.0.113.7:25'}]", `t.yaml:24:18: no host is called "nobody"`},
		{"client after no service", "# clients", "clients: [{from: appliance, local: '192.0.2.25:1', remote: '203.0.113.7:25', after: shh}]", `t.yaml:24:85: no service is called "shh"`},
		{"client of no server", "# clients", "clients: [{from: appliance, local: '192.0.2.25:1', remote: '203.0.113.7:26'}]", "t.yaml:24:60: no server listens on 203.0.113.7:26"},
		{"client of another's address", "# clients", "clients: [{from: appliance, local: '192.0.2.26:1', remote: '203.0.113.7:25'}]", "t.yaml:24:36: 192.0.2.26 is not the appliance's"},
		{"door to no interface", "interface: Data 1", "interface: Data 9", `t.yaml:27:42: no interface is called "Data 9"`},
		{"door to no service", "service: ssh", "service: telnet", `t.yaml:27:59: no service is called "telnet"`},
		{"doors without seen_as", "    - {from: 127.0.0.0/8, as: 203.0.113.8}", "    []", "t.yaml:26:3: clients of the doors have no simulated address"},
		{"seen_as on a wire", "as: 203.0.113.8", "as: 192.0.2.9", "t.yaml:29:31: 192.0.2.9/32 is on the wire of Data 1"},
		{"back door for a neighbor", "# out", "  out: [{address: 192.0.2.53, to: 127.0.0.1}]", "t.yaml:30:19: 192.0.2.53 belongs to host resolver already"},
		{"back door for the appliance", "# out", "  out: [{address: 192.0.2.25, to: 127.0.0.1}]", "t.yaml:30:19: 192.0.2.25 belongs to Data 1 already"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(valid, test.old, test.new, 1)
			if text == valid {
				t.Fatalf("%q is not in the valid topology", test.old)
			}
			_, err := topology.Load("t.yaml", []byte(text), servers())
			var at *topology.Error
			if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("Load = %v\nwant   %s...", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
		})
	}
}

// A message about a host names the VLAN that its address is in.
func TestLoadReportsMistakesOfVLANs(t *testing.T) {
	text := replaceIn(valid, map[string]string{"gateway: 192.0.2.1": "gateway: 192.0.2.1\n      vlans: [{id: 12, gateway: 10.0.12.1/24}, {id: 34, gateway: 10.0.34.1/24}]"})
	load(t, "t.yaml", text)
	for _, test := range []struct{ name, host, want string }{
		{"no VLAN", "{name: x, addresses: [10.0.12.5]}", "10.0.12.5 is on the network of VLAN 12 of Data 1, expected wire: Data 1 and vlan: 12 for this host"},
		{"another VLAN", "{name: x, wire: Data 1, vlan: 34, addresses: [10.0.12.5]}", "10.0.12.5 is not on the network of VLAN 34 of Data 1, expected an address in 10.0.34.0/24"},
		{"the wire", "{name: x, wire: Data 1, addresses: [10.0.12.5]}", "10.0.12.5 is not on the network of Data 1, expected an address in 192.0.2.0/24"},
		{"unknown VLAN", "{name: x, wire: Data 1, vlan: 13, addresses: [10.0.12.5]}", "the wire of Data 1 carries no VLAN 13, expected 12 or 34"},
		{"the router's address", "{name: x, wire: Data 1, vlan: 12, addresses: [10.0.12.1]}", "10.0.12.1 belongs to the gateway of VLAN 12 of Data 1 already"},
		{"the router's MAC", "{name: x, wire: Data 1, vlan: 12, mac: '02:00:00:05:00:01', addresses: [10.0.12.5]}", "02:00:00:05:00:01 belongs to the gateway of VLAN 12 of Data 1 already"},
	} {
		_, err := topology.Load("t.yaml", []byte(replaceIn(text, map[string]string{"# paths": "  - " + test.host})), servers())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Load = %v\nwant %s", test.name, err, test.want)
		}
	}
}

func TestWarningAboutDoorOfInterfaceWithoutAddress(t *testing.T) {
	topo := load(t, "t.yaml", replaceIn(valid, map[string]string{"interface: Data 1": "interface: Data 2"}))
	got := fmt.Sprint(topo.Warnings())
	if want := "[t.yaml: doors.in[0].interface: Data 2 has no address, so this door stays shut until the appliance is given one]"; got != want {
		t.Errorf("warnings %s\nwant     %s", got, want)
	}
	if w := load(t, "t.yaml", valid).Warnings(); w != nil {
		t.Errorf("warnings %v", w)
	}
}

func TestLoadAcceptsValidTopology(t *testing.T) { load(t, "t.yaml", valid) }

func TestCheckReportsMistakesWithoutPosition(t *testing.T) {
	topo := load(t, "t.yaml", valid)
	topo.Hosts[1].Name = "resolver"
	err := topo.Check(servers())
	if want := `t.yaml: hosts[1].name: a second host "resolver", expected a name of its own`; err == nil || err.Error() != want {
		t.Errorf("Check = %v, want %s", err, want)
	}
}

// FuzzLoad checks that Load returns a topology or an error of one line, and never panics.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(valid))
	files, err := filepath.Glob("../../../../fixtures/topologies/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no topologies", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		topo, err := topology.Load("fuzz.yaml", data, servers())
		if (topo == nil) == (err == nil) {
			t.Fatalf("Load = %v, %v", topo, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Fatalf("more than a line: %q", err)
		}
	})
}
