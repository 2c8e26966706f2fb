package box_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
)

func tablesFrom(t *testing.T, b *box.Box, host string) box.Tables {
	t.Helper()
	x, err := b.Tables(host)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// A connection shows at both ends, and in the tables that its packets change.
func TestTablesShowBothEnds(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	before := tablesFrom(t, b, "")
	if !slices.ContainsFunc(before.Sockets, func(s box.Socket) bool {
		return s.State == "LISTEN" && s.Local == netip.MustParseAddrPort("10.0.202.7:22") && s.Process != "" && s.Backlog > 0 && !s.Remote.IsValid()
	}) {
		t.Errorf("nothing listens on port 22: %+v", before.Sockets)
	}
	c, err := b.Appliance().Net.Dial(t.Context(), network.DialConfig{
		Remote: netip.MustParseAddrPort("10.0.201.5:7"), Owner: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The connection is open at both ends when the server has answered.
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	local, remote := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(c.RemoteAddr().String())
	at := func(list []box.Socket, local, remote netip.AddrPort) bool {
		return slices.ContainsFunc(list, func(s box.Socket) bool {
			return s.State == "ESTABLISHED" && s.Local == local && s.Remote == remote
		})
	}
	after := tablesFrom(t, b, "")
	if !at(after.Sockets, local, remote) {
		t.Errorf("the appliance has no connection %v to %v: %+v", local, remote, after.Sockets)
	}
	h := tablesFrom(t, b, "server")
	if !at(h.Sockets, remote, local) {
		t.Errorf("the host has no connection %v to %v: %+v", remote, local, h.Sockets)
	}
	sent := func(x box.Tables) (n uint64) {
		for _, i := range x.Interfaces {
			n += i.Counters.SentPackets
		}
		return n
	}
	if sent(after) <= sent(before) {
		t.Errorf("%d packets sent, %d before", sent(after), sent(before))
	}
	if len(after.Routes) == 0 || len(after.Neighbors) == 0 {
		t.Errorf("routes %+v, neighbors %+v", after.Routes, after.Neighbors)
	}
}

// A server that no client has needed yet is listed as listening, and only while it runs.
func TestTablesOfHosts(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	listens := func() bool {
		return slices.ContainsFunc(tablesFrom(t, b, "server").Sockets, func(s box.Socket) bool {
			return s.State == "LISTEN" && s.Local.Port() == 7
		})
	}
	if !listens() {
		t.Error("the server does not listen")
	}
	if err := b.World().StopServer("server/echo"); err != nil {
		t.Fatal(err)
	}
	if listens() {
		t.Error("the stopped server listens")
	}
	onWire, far := "", ""
	for _, h := range b.World().Topology().Hosts {
		switch {
		case h.Wire != "" && len(h.Addresses) > 0:
			onWire = h.Name
		case h.Wire == "" && len(h.Addresses) > 0:
			far = h.Name
		}
	}
	if x := tablesFrom(t, b, onWire); len(x.Interfaces) != 1 || len(x.Neighbors) == 0 || x.Interfaces[0].MAC == "" {
		t.Errorf("the host %s on a wire: %+v", onWire, x)
	}
	if x := tablesFrom(t, b, far); x.Interfaces == nil || len(x.Interfaces)+len(x.Neighbors)+len(x.Routes) != 0 {
		t.Errorf("the host %s behind the gateways: %+v", far, x)
	}
	_, err := b.Tables("nobody")
	var missing *netsim.NotFoundError
	if !errors.As(err, &missing) {
		t.Errorf("tables of nobody: %v", err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Tables(far); !errors.Is(err, netsim.ErrStopped) {
		t.Errorf("tables after the end: %v", err)
	}
}
