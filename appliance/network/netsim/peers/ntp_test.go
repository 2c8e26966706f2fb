package peers_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/ntp"
)

func startNTP(t *testing.T, h *vnet.Host, options map[string]string) *peers.NTPServer {
	t.Helper()
	p := newPeer(t, h, "ntp", options)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p.(*peers.NTPServer)
}

// askTime sends a packet to the peer and returns the answer.
func askTime(t *testing.T, h *vnet.Host, request []byte) (ntp.Packet, error) {
	t.Helper()
	c, err := h.ListenPacket(t.Context(), network.DialConfig{Remote: netip.AddrPortFrom(localhost, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(clock.System().Now().Add(20 * time.Second))
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 512)
	n, err := c.Read(buf)
	if err != nil {
		return ntp.Packet{}, err
	}
	p, err := ntp.ParsePacket(buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	return p, nil
}

var question = ntp.Packet{Version: 3, Mode: ntp.ModeClient, Poll: 6, Transmit: 12345}

func TestNTPAnswersWithTheTime(t *testing.T) {
	h := newHost(t)
	server := startNTP(t, h, map[string]string{"offset": "1h"})
	before := clock.System().Now().Add(time.Hour)
	p, err := askTime(t, h, question.Append(nil))
	after := clock.System().Now().Add(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	at := p.Transmit.Time()
	if at.Before(before.Add(-time.Millisecond)) || at.After(after.Add(time.Millisecond)) || p.Receive.After(at) {
		t.Errorf("the time is %v to %v, the answer is %v", before, after, at)
	}
	if p.Mode != ntp.ModeServer || p.Version != 3 || p.Poll != 6 || p.Origin != question.Transmit || p.Stratum != 2 || p.Leap != 0 {
		t.Errorf("the answer is %+v", p)
	}
	if r := server.Report().(peers.NTPServerReport); r.Queries != 1 || r.Time.Before(before) {
		t.Errorf("reports %+v", r)
	}
}

func TestNTPOptions(t *testing.T) {
	for _, test := range []struct {
		options map[string]string
		stratum uint8
		leap    uint8
		ref     string
	}{
		{map[string]string{"stratum": "1"}, 1, 0, "GPS\x00"},
		{map[string]string{"stratum": "16", "leap": "unsynchronized"}, 16, 3, "\x7f\x7f\x01\x00"},
		{map[string]string{"kiss": "RATE"}, 0, 3, "RATE"},
	} {
		h := newHost(t)
		startNTP(t, h, test.options)
		p, err := askTime(t, h, question.Append(nil))
		if err != nil || p.Stratum != test.stratum || p.Leap != test.leap || string(p.RefID[:]) != test.ref {
			t.Errorf("%v: %+v, %v", test.options, p, err)
		}
	}
}

func TestNTPAnswersClientsOnly(t *testing.T) {
	h := newHost(t)
	server := startNTP(t, h, nil)
	broadcast := question
	broadcast.Mode = 5
	for _, junk := range [][]byte{nil, []byte("junk"), broadcast.Append(nil)} {
		c, err := h.ListenPacket(t.Context(), network.DialConfig{Remote: netip.AddrPortFrom(localhost, 1000)})
		if err != nil {
			t.Fatal(err)
		}
		c.Write(junk)
		c.Close()
	}
	// Packets are answered in the order of their arrival.
	if _, err := askTime(t, h, question.Append(nil)); err != nil || server.Queries() != 1 {
		t.Errorf("%d answers, %v", server.Queries(), err)
	}
}

func TestNTPStartsAndStops(t *testing.T) {
	h := newHost(t)
	server := startNTP(t, h, nil)
	if err := newPeer(t, h, "ntp", nil).Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second one on the same port: %v", err)
	}
	server.Stop()
	server.Stop()
	if _, err := askTime(t, h, question.Append(nil)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Stop: %v", err)
	}
}

func TestNTPOptionsAreChecked(t *testing.T) {
	kind, _ := peers.Lookup("ntp")
	for option, values := range map[string][2]string{ // good, bad
		"offset":  {"-90s", "late"},
		"stratum": {"16", "17"},
		"kiss":    {"DENY", "deny!"},
		"leap":    {"unsynchronized", "61"},
	} {
		if err := kind.CheckOption(option, values[0]); err != nil {
			t.Error(option, err)
		}
		if err := kind.CheckOption(option, values[1]); err == nil {
			t.Errorf("%s: %q is accepted", option, values[1])
		}
	}
}
