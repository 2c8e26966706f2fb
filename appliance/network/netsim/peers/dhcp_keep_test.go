package peers_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/dhcp"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// lease gets a client its address, with the client's identity in MAC and ClientID.
func (l *lan) lease(id byte) dhcp.Message {
	l.t.Helper()
	m := dhcp.Message{
		Type: dhcp.Discover, MAC: dhcp.MAC{2, 0, 0, 0, 0, id}, ClientID: []byte{1, 0xff, id}, Broadcast: true,
		HostName: "mail.example.com",
	}
	m.Requested = l.ask(m).msg.YourAddr
	m.Type = dhcp.Request
	if ack := l.ask(m).msg; ack.Type != dhcp.ACK || ack.YourAddr != m.Requested {
		l.t.Fatalf("the server answers %+v", ack)
	}
	m.Type = dhcp.Discover
	return m
}

// A server that recalls what another one has kept gives each client the address that it had, and
// nobody else, until the time at which its lease ends.
func TestDHCPKeepsLeases(t *testing.T) {
	options := map[string]string{"range": "192.0.2.100-192.0.2.103", "lease": "1h"}
	l := newLAN(t, options)
	declined := l.lease(1)
	l.send(dhcp.Message{
		Type: dhcp.Decline, MAC: declined.MAC, ClientID: declined.ClientID,
		Requested: declined.Requested, Server: addr("192.0.2.2"),
	})
	first, second := l.lease(2), l.lease(3)
	l.clock.Advance(20*time.Minute + 123*time.Millisecond)
	kept, err := l.server.Keep()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := l.server.Keep(); err != nil || !bytes.Equal(kept, again) {
		t.Errorf("kept again: %s, %v, want %s", again, err, kept)
	}

	other := newLAN(t, options)
	other.clock.Advance(30 * time.Minute)
	other.server.Stop()
	if err := other.server.CheckKept(kept); err != nil {
		t.Error(err)
	}
	if err := other.server.Recall(kept); err != nil {
		t.Fatal(err)
	}
	if err := other.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, got := l.server.Report().(peers.DHCPReport), other.server.Report().(peers.DHCPReport)
	sameTime := cmpopts.EquateApproxTime(time.Millisecond)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(addr("::")), sameTime); diff != "" || len(got.Leases) != 3 {
		t.Errorf("%d leases, -want +got: %s", len(got.Leases), diff)
	}
	second.Requested = addr("192.0.2.103") // that is free
	if a := other.ask(second).msg.YourAddr; a != addr("192.0.2.102") {
		t.Errorf("the second client is offered %v", a)
	}
	if a := other.lease(4).Requested; a != addr("192.0.2.103") {
		t.Errorf("a new client has %v", a)
	}
	other.clock.Advance(29*time.Minute + 59*time.Second)
	if a := other.ask(first).msg.YourAddr; a != first.Requested {
		t.Errorf("the first client is offered %v", a)
	}
	if got := other.server.Leases()[1]; got.State != "bound" {
		t.Errorf("a second before its end the lease is %+v", got)
	}
	other.clock.Advance(2 * time.Second)
	if got := other.server.Leases()[1]; got.State != "expired" {
		t.Errorf("after its end the lease is %+v", got)
	}
}

// What no server can have kept is refused as a whole.
func TestDHCPRefusesWrongLeases(t *testing.T) {
	l := newLAN(t, map[string]string{"range": "192.0.2.100-192.0.2.101"})
	l.lease(1)
	l.lease(2)
	kept, err := l.server.Keep()
	if err != nil {
		t.Fatal(err)
	}
	before := l.server.Leases()
	for _, x := range []struct{ old, text string }{
		{`{"Leases"`, `{"More":1,"Leases"`},
		{`"Lasts":3600000000000`, `"Lasts":-1`},
		{`"192.0.2.100"`, `"192.0.2.101"`},
		{`"192.0.2.100"`, `"192.0.2.99"`},
		{`"192.0.2.100"`, `"::1"`},
		{`"192.0.2.100"`, `""`},
		{`"bound"`, `"taken"`},
		{`"02:00:00:00:00:01"`, `"02:00:00:00:00:01:00:00"`},
		{`"mail.example.com"`, `"` + strings.Repeat("x", 400) + `"`},
		{`"DHCPREQUEST":2`, `"DHCPREQUEST":-2`},
	} {
		wrong := bytes.Replace(kept, []byte(x.old), []byte(x.text), 1)
		if bytes.Equal(wrong, kept) {
			t.Fatalf("%s has no %s", kept, x.old)
		}
		if l.server.CheckKept(wrong) == nil || l.server.Recall(wrong) == nil {
			t.Errorf("%s is taken for %s", x.text, x.old)
		}
	}
	if diff := cmp.Diff(before, l.server.Leases(), cmpopts.EquateComparable(addr("::"))); diff != "" {
		t.Error("a refusal has changed the leases: ", diff)
	}
}
