package commands_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// A neighborNet is a network that has neighbor caches and nothing else.
type neighborNet struct {
	network.Network
	cache []network.Neighbor
}

func (n *neighborNet) Interfaces() []network.Interface {
	return []network.Interface{{Name: "Data 1", Device: "nic1"}, {Name: "Management", Device: "nic0"}}
}
func (n *neighborNet) Neighbors() ([]network.Neighbor, error) { return n.cache, nil }
func (n *neighborNet) FlushNeighbors() (gone []network.Neighbor, err error) {
	gone, n.cache = n.cache, nil
	return gone, nil
}

// diagnose runs diagnostic with args on a network with these neighbors.
func diagnose(t *testing.T, cache []network.Neighbor, args ...string) string {
	t.Helper()
	app, err := appliance.New(appliance.Options{
		Net: &neighborNet{cache: cache}, Dir: t.TempDir(), Product: product.Facts{Model: "C100V", Version: product.Version{Major: 14}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Stop(t.Context()) }) //nolint:errcheck // nothing runs in it
	d := shelltest.NewPrompter()
	env := &shell.Env{
		Dialogue: shell.NewDialogue(d), Appliance: app, Draft: app.Config.NewDraft(), SessionContext: t.Context(),
		Account: users.Account{Role: users.Administrator}, Args: args, Inline: true,
	}
	if err := runCommand(t.Context(), env, "diagnostic"); err != nil {
		t.Fatal(err)
	}
	return d.String()
}

var neighbors = []network.Neighbor{
	{Interface: "Data 1", Addr: netip.MustParseAddr("10.0.202.7"), MAC: mac(7), State: "permanent"},
	{Interface: "Data 1", Addr: netip.MustParseAddr("10.0.202.1"), MAC: mac(1), State: "reachable", Expires: 1192*time.Second + 1},
	{Interface: "Data 1", Addr: netip.MustParseAddr("10.0.202.9"), State: "incomplete"},
	{Interface: "Management", Addr: netip.MustParseAddr("10.0.1.9"), State: "incomplete", Expires: 20 * time.Second},
	{Interface: "Data 1", Addr: netip.MustParseAddr("2001:db8:202::7"), MAC: mac(7), State: "permanent"},
	{Interface: "Data 1", Addr: netip.MustParseAddr("fe80::1"), MAC: mac(1), State: "stale", Router: true, Expires: 24*time.Hour - 2*time.Second},
	{Interface: "Data 1", Addr: netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"), State: "incomplete", Expires: time.Second},
}

func mac(n byte) net.HardwareAddr { return net.HardwareAddr{0, 0x50, 0x56, 0, 0, n} }

func TestARPShow(t *testing.T) {
	want := `System ARP cache contents:

(10.0.202.7) at 00:50:56:00:00:07 on nic1 permanent [ethernet]
(10.0.202.1) at 00:50:56:00:00:01 on nic1 expires in 1193 seconds [ethernet]
(10.0.202.9) at (incomplete) on nic1 expired [ethernet]
(10.0.1.9) at (incomplete) on nic0 expires in 20 seconds [ethernet]
`
	if got := diagnose(t, neighbors, "network", "arpshow"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNDPShow(t *testing.T) { // ndp(8): a wide value makes the next column narrower
	want := `System NDP cache contents:

Neighbor                             Linklayer Address  Netif Expire    S Flags
2001:db8:202::7                      00:50:56:00:00:07   nic1 permanent R
fe80::1%nic1                         00:50:56:00:00:01   nic1 23h59m58s S R
2001:db8:1111:2222:3333:4444:5555:6666 (incomplete)      nic1 1s        I
`
	if got := diagnose(t, neighbors, "network", "ndpshow"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFlushListsDeletedNeighbors(t *testing.T) {
	want := `Flushing LDAP cache.
Flushing DNS cache.
Flushing system ARP cache.
10.0.202.1 (10.0.202.1) deleted
Flushing system NDP cache.
fe80::1%nic1 (fe80::1%nic1) deleted
Network reset complete.
`
	if got := diagnose(t, []network.Neighbor{neighbors[5], neighbors[1]}, "network", "flush"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTcpdumpMenuAndPacketcaptureExcludeEachOther(t *testing.T) { // B22
	app := newCaptureAppliance(t)
	menu := capture.Owner{Side: capture.TCPDump, Session: "9"}
	if _, err := app.Captures.Start(t.Context(), menu); err != nil {
		t.Fatal(err)
	}
	got := packetcapture(t, t.Context(), app, "start")
	if want := "A packet capture that was started in the menu tcpdump of another session is in progress."; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
	if strings.Contains(got, ".cap") {
		t.Errorf("packetcapture shows the menu's capture:\n%s", got)
	}
}
