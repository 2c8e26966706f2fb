package topology_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

func TestUplinkTargets(t *testing.T) {
	for text, want := range map[string]topology.UplinkTarget{
		"tap:esa0":          {Kind: "tap", Name: "esa0"},
		"packet:eth1":       {Kind: "packet", Name: "eth1"},
		"unix:/run/a.sock":  {Kind: "unix", Name: "/run/a.sock"},
		"unix:a,server=on":  {Kind: "unix", Name: "a", Server: "on"},
		"unix:a,server=off": {Kind: "unix", Name: "a", Server: "off"},
		"unix:a,dgram=b":    {Kind: "unix", Name: "a", Peer: "b"},
		"vxlan:h.example:4789/42": {
			Kind: "vxlan", Host: "h.example", Port: 4789, VNI: 42,
		},
		"vxlan:[2001:db8::7]:4789/0,local=127.0.0.1:4790": {
			Kind: "vxlan", Host: "2001:db8::7", Port: 4789,
			Local: netip.MustParseAddrPort("127.0.0.1:4790"),
		},
	} {
		got, err := topology.ParseUplinkTarget(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q is read as %+v (%v), %v", text, got, got, err)
		}
	}
	for _, text := range []string{
		"", "eth0", "tap:", "tap:a/b", "packet:sixteen-letters-", "unix:", "unix:a,dgram=a",
		"unix:a,dgram=b,server=on", "unix:a,server=maybe", "vxlan:h:4789", "vxlan:h:0/1",
		"vxlan:h/1", "vxlan:h:1/16777216", "vxlan:h:1/1,local=x", "tap:a,server=on", "wifi:a",
		"unix:" + strings.Repeat("a", 104),
	} {
		if got, err := topology.ParseUplinkTarget(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestUplinkInOneLine(t *testing.T) {
	u, err := topology.ParseUplink("Data 1=unix:a,expose,server=on,storm_limit=7,probe_time=1s")
	want := topology.Uplink{
		Interface: "Data 1", Expose: true, StormLimit: 7, ProbeTime: time.Second,
		To: topology.UplinkTarget{Kind: "unix", Name: "a", Server: "on"},
	}
	if err != nil || u != want {
		t.Errorf("read %+v, %v", u, err)
	}
	for _, text := range []string{"", "Data 1", "=unix:a", "Data 1=expose", "Data 1=unix:a,storm_limit=0"} {
		if u, err := topology.ParseUplink(text); err == nil {
			t.Errorf("%q is read as %+v", text, u)
		}
	}
}

const uplinked = `
appliance:
  hostname: a.example.com
  model: C100V
  serial: SERIAL
  version: 14.0.0-698
  dns: [203.0.113.53]
  interfaces:
    - {name: Data 1, device: nic1, addresses: [192.0.2.25/24], gateway: 192.0.2.1}
    - {name: Data 2, device: nic2, mac: 00:50:56:00:00:01, addresses: [198.51.100.25/24], gateway: 198.51.100.1}
uplinks:
  - {interface: Data 1, to: "unix:a"}
hosts:
  - {name: near, wire: Data 1, addresses: [192.0.2.9]}
  - {name: admin, wire: Data 1, addresses: [192.0.2.8]}
  - {name: far, addresses: [10.1.1.1]}
doors:
  in:
    - {listen: "127.0.0.1:0", interface: Data 1, service: ssh}
    - {listen: "127.0.0.1:0", interface: Data 1, service: http, source: admin}
    - {listen: "127.0.0.1:0", interface: Data 2, service: ftp}
  seen_as:
    - {from: 0.0.0.0/0, as: 10.1.1.1}
`

func loadUplinked(t *testing.T, serial, more string) *topology.Topology {
	t.Helper()
	topo, err := topology.Load("t.yaml", []byte(strings.Replace(uplinked, "SERIAL", serial, 1)+more), nil)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func TestMACsOfUplinksComeFromTheSerialNumber(t *testing.T) {
	mac := func(topo *topology.Topology, i int) string { return topo.Appliance.Interfaces[i].MAC.String() }
	a, b := loadUplinked(t, "A-1", ""), loadUplinked(t, "B-2", "")
	if mac(a, 0) == mac(b, 0) || mac(a, 0) != mac(loadUplinked(t, "A-1", ""), 0) {
		t.Errorf("serial numbers A and B have the MACs %s and %s", mac(a, 0), mac(b, 0))
	}
	if m := a.Appliance.Interfaces[0].MAC; m[0]&3 != 2 {
		t.Errorf("%v is not a locally administered unicast address", m)
	}
	if mac(a, 1) != "00:50:56:00:00:01" {
		t.Errorf("the MAC of the topology became %s", mac(a, 1))
	}
	u, _ := topology.ParseUplink("Data 2=unix:b")
	if c := a.WithUplink(u); mac(c, 1) != mac(a, 1) || len(a.Uplinks) != 1 || len(c.Uplinks) != 2 {
		t.Error("a second uplink changes the original or a MAC that the topology gives")
	}
}

func TestWhatIsNotSimulated(t *testing.T) {
	topo := loadUplinked(t, "A-1", "")
	if got := strings.Join(topo.NotSimulated("Data 1"), " "); got != "192.0.2.1 near" {
		t.Errorf("not simulated on Data 1: %s", got)
	}
	if got := topo.NotSimulated("Data 2"); got != nil {
		t.Errorf("not simulated on Data 2: %v", got)
	}
	for i, want := range []bool{true, false, false} {
		if _, off := topo.DoorIsOff(&topo.Doors.In[i]); off != want {
			t.Errorf("door %s is off: %v", topo.Doors.In[i].Name, off)
		}
	}
	u, _ := topology.ParseUplink("Data 1=unix:a,expose")
	if exposed := topo.WithUplink(u); exposed.NotSimulated("Data 1") != nil {
		t.Error("the machines of a wire that is exposed are not simulated")
	}
}

func TestMistakesInUplinks(t *testing.T) {
	for more, want := range map[string]string{
		"uplinks:\n  - {interface: Data 9, to: \"unix:a\"}":                                          "no interface is called \"Data 9\"",
		"uplinks:\n  - {interface: Data 1}":                                                          "without its outside end",
		"uplinks:\n  - {interface: Data 1, to: eth0}":                                                "\"eth0\" here, expected tap:NAME",
		"uplinks:\n  - {interface: Data 1, to: \"unix:a\", storm_limit: 0}":                          "expected the number of frames",
		"uplinks:\n  - {interface: Data 1, to: \"unix:a\"}\n  - {interface: Data 1, to: \"unix:b\"}": "a second uplink of Data 1",
		"uplinks:\n  - {interface: Data 1, to: \"unix:a\"}\n  - {interface: Data 2, to: \"unix:a\"}": "a second uplink to unix:a",
	} {
		text := strings.Replace(uplinked, "uplinks:\n  - {interface: Data 1, to: \"unix:a\"}", more, 1)
		if _, err := topology.Load("t.yaml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", more, err, want)
		}
	}
	text := strings.Replace(uplinked, "source: admin", "source: far", 1)
	if _, err := topology.Load("t.yaml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), "no host \"far\" is on the wire") {
		t.Errorf("a source behind the gateways: %v", err)
	}
}

func TestEncodeUplinks(t *testing.T) {
	want := loadUplinked(t, "A-1", "")
	u, _ := topology.ParseUplink("Data 1=vxlan:[2001:db8::7]:4789/42,local=127.0.0.1:4790,expose,storm_limit=7")
	want = want.WithUplink(u)
	want.Appliance.DNS = nil // an exposed wire leads to simulated name servers only
	compareTopologies(t, reloaded(t, want), want)
}

// A fault of a place on the other side of an uplink would do nothing: it is refused.
func TestFaultsBehindUplinksAreRefused(t *testing.T) {
	real := loadUplinked(t, "A-1", "paths:\n  - {name: far, to: 10.1.1.1}\n"+
		"rules:\n  - {action: drop, protocol: tcp, port: 25}\n")
	joined, both := real.Join("office", []string{"Data 1"}), real.Join("office", []string{"Data 1", "Data 2"})
	if len(real.Rules) != 1 || len(joined.Rules) != 0 {
		t.Errorf("the network has the rules %v, its appliances %v", real.Rules, joined.Rules)
	}
	for _, c := range []struct {
		topo       *topology.Topology
		rule, want string
	}{
		{real, `{"action": "drop", "cable": "Data 1"}`, ""},
		{real, `{"action": "drop", "cable": "admin"}`, ""}, // simulated as the source of a door
		{real, `{"action": "drop", "cable": "near"}`,
			"cable: host near is at the other end of unix:a, where nothing is simulated"},
		{real, `{"action": "drop", "path": "far"}`, ""}, // from Data 2
		{joined, `{"action": "drop", "cable": "near"}`, "cable: host near is in the network office: set the fault there"},
		{joined, `{"action": "drop", "cable": "Data 2"}`, ""},
		{joined, `{"action": "drop", "path": "far"}`, ""},
		{both, `{"action": "drop", "path": "far"}`,
			"path: paths begin at the gateways of the network office: set the fault there"},
		{both, `{"action": "drop", "protocol": "tcp", "port": 25}`, ""},
	} {
		r := rule(t, c.rule)
		got := ""
		if err := r.Check(c.topo); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
}
