package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/fleet"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/packets"
	"github.com/esasim/esasim/appliance/traffic"
)

const office = `
name: branch
networks:
  - {name: office}
defaults:
  network: office
appliances:
  - {name: edge, count: 2}
  - {name: hub, addresses: {Data 1: [10.0.202.8/24]}}
`

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for !ok() {
		if clock.System().Sleep(ctx, 20*time.Millisecond) != nil {
			t.Fatal("waited in vain for ", what)
		}
	}
}

// data1 returns the interface Data 1 of an appliance.
func data1(t *testing.T, m *fleet.Member) network.Interface {
	t.Helper()
	for _, n := range m.Box().Appliance().Net.Interfaces() {
		if n.Name == "Data 1" {
			return n
		}
	}
	t.Fatalf("%s has no Data 1", m.Name)
	return network.Interface{}
}

// run runs a command on an appliance as on its serial console.
func run(t *testing.T, m *fleet.Member, line string) string {
	t.Helper()
	r, err := m.Box().Run(t.Context(), box.Command{Line: line})
	if err != nil || r.Status != 0 {
		t.Fatalf("%s on %s: %v\n%s", line, m.Name, err, r.Output)
	}
	return r.Output
}

// logInFrom logs in from an appliance to another one.
func logInFrom(t *testing.T, m *fleet.Member, to string) *ssh.Client {
	t.Helper()
	conn, err := m.Box().Appliance().Net.Dial(t.Context(),
		network.DialConfig{Remote: netip.MustParseAddrPort(to + ":22")})
	if err != nil {
		t.Fatal(err)
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, to, &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, chans, reqs)
	t.Cleanup(func() { client.Close() })
	return client
}

// output returns what a command prints on a connection.
func output(t *testing.T, c *ssh.Client, command string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.CombinedOutput(command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// captured ends a capture and returns the frames of TCP between the two appliances in it, in their
// order, by the direction.
func captured(t *testing.T, b *box.Box) map[string][]string {
	t.Helper()
	frames := map[string][]string{}
	if _, err := b.StopCapture("story"); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := b.WriteCapture("story", &file); err != nil {
		t.Fatal(err)
	}
	var read func() ([]byte, gopacket.CaptureInfo, error)
	if r, err := pcapgo.NewNgReader(bytes.NewReader(file.Bytes()), pcapgo.DefaultNgReaderOptions); err == nil {
		read = r.ReadPacketData
	} else if r, err := pcapgo.NewReader(&file); err == nil {
		read = r.ReadPacketData
	} else {
		t.Fatal(err)
	}
	for {
		frame, _, err := read()
		if err == io.EOF {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
		ip, ok := p.NetworkLayer().(*layers.IPv4)
		if way := ip.SrcIP.String() + " to " + ip.DstIP.String(); ok &&
			(way == "10.0.202.7 to 10.0.202.8" || way == "10.0.202.8 to 10.0.202.7") {
			frames[way] = append(frames[way], string(frame))
		}
	}
}

// The clocks of a network and of its appliances have one rate, and faults on a share of the appliances
// are those of their own cables. The inventory in JSON lists the appliances of each network.
func TestActionsOnAppliancesOfANetwork(t *testing.T) {
	f := start(t, fleet.Options{File: load(t, office, nil), ClockRate: 60})
	for _, m := range append(f.Members(), f.Member("office")) {
		if got := m.Box().ClockRate(); got != 60 {
			t.Errorf("the clock of %s has the rate %d", m.Name, got)
		}
	}
	o, err := f.PutFault(t.Context(), "broken",
		netsim.FaultSpec{Rule: topology.Rule{Action: "refuse", Protocol: "tcp", Port: 25}}, 0.34)
	if err != nil || !slices.Equal(o.Done, []string{"hub"}) {
		t.Fatalf("%+v, %v", o, err)
	}
	for _, m := range f.Members() {
		c, err := m.Box().Appliance().Net.Dial(t.Context(),
			network.DialConfig{Remote: netip.MustParseAddrPort("10.0.201.25:25")})
		if err == nil {
			c.Close()
		}
		if refused := errors.Is(err, syscall.ECONNREFUSED); refused != (m.Name == "hub") || !refused && err != nil {
			t.Errorf("%s connects to the mail server: %v", m.Name, err)
		}
	}
	var b bytes.Buffer
	if err := fleet.WriteInventory(&b, fleet.JSON, f.Name(), f.Inventory(), f.NetworkInventory()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Networks   []fleet.Network
		Appliances []fleet.Appliance
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Networks) != 1 || len(got.Appliances) != 3 || got.Appliances[0].Network != "office" ||
		!slices.Equal(got.Networks[0].Appliances, []string{"edge-1", "edge-2", "hub"}) {
		t.Errorf("the inventory is %s", b.Bytes())
	}
}

func TestAppliancesShareANetwork(t *testing.T) {
	f := start(t, fleet.Options{File: load(t, office, nil)})
	office, edge, hub := f.Member("office"), f.Member("edge-1"), f.Member("hub")
	if len(f.Members()) != 3 || len(f.Inventory()) != 3 || len(f.Networks()) != 1 {
		t.Errorf("%d appliances, %d in the inventory, %d networks",
			len(f.Members()), len(f.Inventory()), len(f.Networks()))
	}
	// The hub's address is the file's; the others have the topology's and the next free one.
	for i, want := range []string{"10.0.202.7", "10.0.202.9", "10.0.202.8"} {
		m := f.Members()[i]
		if got := data1(t, m).Addrs[0].Addr().String(); got != want {
			t.Errorf("%s has %s, expected %s", m.Name, got, want)
		}
		// The door leads over the shared wire, from a host of the network's world.
		if out := exec(t, m, "admin", "ironport", "version"); !strings.Contains(out, m.Serial) {
			t.Errorf("%s: %s", m.Name, out)
		}
	}
	pong, err := edge.Box().Appliance().Net.Ping(t.Context(),
		network.PingRequest{Dst: netip.MustParseAddr("10.0.202.8"), DataSize: 56})
	if err != nil || pong.Kind != network.EchoReply {
		t.Errorf("ping: %v, %+v", err, pong)
	}
	if out := run(t, edge, "diagnostic network arpshow"); !strings.Contains(out, data1(t, hub).MAC.String()) {
		t.Errorf("the hub is not in the ARP cache:\n%s", out)
	}
	neighbor := logInFrom(t, edge, "10.0.202.8")
	if out := output(t, neighbor, "version"); !strings.Contains(out, hub.Serial) {
		t.Errorf("by ssh from %s to the hub:\n%s", edge.Name, out)
	}
	neighbor.Close()
	mailAcross(t, office, edge, hub)
	faultsAreShared(t, f)
}

// mailAcross sends a message from a host to an appliance, which routes it to another one, which
// delivers it to the network's server. Both appliances capture the same.
func mailAcross(t *testing.T, office, edge, hub *fleet.Member) {
	t.Helper()
	run(t, edge, "smtproutes new example.com [10.0.202.8]; commit -y")
	all := []*fleet.Member{edge, hub}
	for _, m := range all {
		_, err := m.Box().StartCapture(packets.CaptureRequest{Name: "story", Cable: "Data 1", Filter: "port 25"})
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := edge.Box().SendMail(t.Context(),
		traffic.Request{To: []string{"joe@example.com"}, Subject: "across"})
	if err != nil || !a.Complete {
		t.Fatalf("the message is not accepted: %v, %+v", err, a)
	}
	server, err := office.Box().Mail("mail")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message", func() bool { return len(server.Messages()) == 1 })
	head := string(server.Messages()[0].Data())
	for _, m := range all {
		if !strings.Contains(head, m.HostName) {
			t.Errorf("%s is not in the message:\n%s", m.HostName, head)
		}
	}
	eventually(t, "the end of the connection", func() bool {
		return !hasMailConnection(t, edge) && !hasMailConnection(t, hub)
	})
	sent, received := captured(t, edge.Box()), captured(t, hub.Box())
	for way, want := range sent {
		if got := received[way]; len(want) < 5 || !slices.Equal(got, want) {
			t.Errorf("%s: %s has captured %d segments, the hub %d", way, edge.Name, len(want), len(got))
		}
	}
	if len(sent) != 2 {
		t.Errorf("%d directions in the capture, expected two", len(sent))
	}
}

// hasMailConnection reports whether an appliance has a connection with the other one that has not
// ended.
func hasMailConnection(t *testing.T, m *fleet.Member) bool {
	t.Helper()
	sockets, err := m.Box().Appliance().Net.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(sockets, func(s network.Socket) bool {
		a := s.Remote.Addr().String()
		return (a == "10.0.202.7" || a == "10.0.202.8") && s.State != "TIME_WAIT"
	})
}

// faultsAreShared breaks the network's gateway and a cable: all appliances notice.
func faultsAreShared(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	faults := f.Member("office").Box().Faults()
	put := func(r topology.Rule) {
		if _, _, err := faults.Put("broken", netsim.FaultSpec{Rule: r}); err != nil {
			t.Fatal(err)
		}
	}
	put(topology.Rule{Action: "refuse", Protocol: "tcp", Port: 25})
	for _, m := range f.Members() {
		r, err := m.Box().Run(t.Context(), box.Command{Line: "telnet 10.0.201.25 25"})
		if err != nil || !strings.Contains(r.Output, "refused") {
			t.Errorf("%s reaches the mail server: %v\n%s", m.Name, err, r.Output)
		}
	}
	// Between two neighbors too.
	r, err := f.Members()[0].Box().Run(t.Context(), box.Command{Line: "telnet 10.0.202.8 25"})
	if err != nil || !strings.Contains(r.Output, "refused") {
		t.Errorf("an appliance reaches its neighbor: %v\n%s", err, r.Output)
	}
	put(topology.Rule{Action: topology.Unplug, Cable: "Data 1"})
	connected := func(want bool) func() bool {
		return func() bool {
			for _, m := range f.Members() {
				if m.Box().Uplinks()[0].Connected != want {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "no carrier", connected(false))
	if err := faults.Delete("broken"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "carrier", connected(true))
}

// What happens to one appliance, or to the network, does not disturb the others.
func TestAppliancesOfANetworkAreOnTheirOwn(t *testing.T) {
	f := start(t, fleet.Options{File: load(t, office, nil)})
	office, edge, hub := f.Member("office"), f.Member("edge-1"), f.Member("hub")
	inside, door := logInFrom(t, edge, "10.0.202.8"), logInTo(t, hub)
	still := func(what string) {
		t.Helper()
		for _, c := range []*ssh.Client{inside, door} {
			if out := output(t, c, "version"); !strings.Contains(out, hub.Serial) {
				t.Errorf("after %s: %s", what, out)
			}
		}
	}
	other := f.Member("edge-2")
	if err := other.Box().Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	still("a reboot")
	if err := other.Box().Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	still("a reset")
	if err := other.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	still("a stop")
	if err := other.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	still("a start")
	if out := exec(t, other, "admin", "ironport", "version"); !strings.Contains(out, other.Serial) {
		t.Errorf("%s after its start: %s", other.Name, out)
	}

	// A reset of the network cuts the clients of doors, whose hosts it has, and not its appliances.
	if err := office.Box().Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := output(t, inside, "version"); !strings.Contains(out, hub.Serial) {
		t.Errorf("after a reset of the network: %s", out)
	}
	_ = door.Wait() // it is cut
	for _, m := range f.Members() {
		if out := exec(t, m, "admin", "ironport", "version"); !strings.Contains(out, m.Serial) {
			t.Errorf("%s after a reset of the network: %s", m.Name, out)
		}
	}
	if o := f.Reset(t.Context()); len(o.Done) != 4 || len(o.Failed) != 0 {
		t.Errorf("the reset of all: %+v", o)
	}
	// Without the network, appliances start and wait for it.
	if err := office.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := hub.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := office.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hub on the wire", func() bool { return hub.Box().Uplinks()[0].Connected })
	if out := output(t, logInFrom(t, edge, "10.0.202.8"), "version"); !strings.Contains(out, hub.Serial) {
		t.Errorf("after all: %s", out)
	}
}

// logInTo logs in through the door of an appliance.
func logInTo(t *testing.T, m *fleet.Member) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", m.DoorAddrs()["ssh"].String(), &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.Password("ironport")},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Mistakes of networks are refused with a text that names the place.
func TestWrongNetworks(t *testing.T) {
	for _, x := range []struct{ appliances, want string }{
		{"[{name: a, network: home}]", `there is no network "home"`},
		{"[{name: office, network: office}]", "the name office belongs to a network already"},
		{"[{name: a, network: office, topology: minimal}]", "that of the network office is lab"},
		{"[{name: a, network: office, count: 2, addresses: {Data 1: [10.0.202.8/24]}}]", "leave them out"},
		{
			"[{name: a, network: office, addresses: {Data 1: [10.0.202.8/24]}}," +
				" {name: b, network: office, addresses: {Data 1: [10.0.202.8/24]}}]",
			"the address 10.0.202.8 of b on Data 1 of the network office belongs to a already",
		},
		{"[{name: a, network: office, addresses: {Data 1: [10.0.202.53/24]}}]", "10.0.202.53 belongs to Data 1 already"},
		{"[{name: a, network: office, addresses: {Data 1: [10.0.202.1/24]}}]", "10.0.202.1 belongs to Data 1 already"},
		{"[{name: a, network: office, count: 300}]", "no address is left for a-"},
	} {
		text := "networks: [{name: office}]\nappliances: " + x.appliances
		_, err := fleet.Load("fleet.yaml", []byte(text), sources(nil))
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s\n got %v\nwant %s", x.appliances, err, x.want)
		}
	}
	_, err := fleet.New(fleet.Options{
		File: load(t, office, nil), Dir: t.TempDir(), HostKeys: oneKey, Doors: freePorts, Shard: fleet.Shard{Of: 2},
	})
	if err == nil || !strings.Contains(err.Error(), "without shards") {
		t.Errorf("a network in shards: %v", err)
	}
}

// An address that only a configuration gives is found to be taken when the appliance starts. The
// others go on.
func TestAnAddressThatIsTakenIsRefused(t *testing.T) {
	f := start(t, fleet.Options{File: load(t, office, nil)})
	edge, hub := f.Member("edge-1"), f.Member("hub")
	err := edge.Box().Appliance().Net.(network.Configurer).SetAddrs("Data 1",
		[]netip.Prefix{netip.MustParsePrefix("10.0.202.20/24")})
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = edge.Box().Appliance().Net.(network.Configurer).SetAddrs("Data 1",
		[]netip.Prefix{netip.MustParsePrefix("10.0.202.8/24")})
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "has the address 10.0.202.8") {
		t.Errorf("the hub starts with the address of %s: %v", edge.Name, err)
	}
	if hub.State() != fleet.Failed || edge.State() != fleet.Running {
		t.Errorf("the hub is %s, %s is %s", hub.State(), edge.Name, edge.State())
	}
}
