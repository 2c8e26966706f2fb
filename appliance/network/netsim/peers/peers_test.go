package peers_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// localhost is the address of both the peers and their clients.
var localhost = netip.MustParseAddr("127.0.0.1")

func newHost(t *testing.T) *vnet.Host {
	h := vnet.NewHost(vnet.Options{Name: "host", LoopbackIndex: 1, Rand: entropy.Seeded(1)})
	t.Cleanup(h.Close)
	return h
}

// newPeer returns a peer of a kind, on port 1000.
func newPeer(t *testing.T, h *vnet.Host, kind string, options map[string]string) peers.Peer {
	t.Helper()
	k, ok := peers.Lookup(kind)
	if !ok {
		t.Fatalf("no kind %s", kind)
	}
	return k.New(peerConfig(h, kind, options))
}

func peerConfig(h *vnet.Host, kind string, options map[string]string) peers.Config {
	return peers.Config{
		Name: kind, Transport: h, Addrs: []netip.Addr{localhost, netip.IPv6Loopback()}, Port: 1000, Options: options,
		Records: &peers.Records{}, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler),
	}
}

func dial(t *testing.T, h *vnet.Host) (network.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := h.Dial(ctx, network.DialConfig{Remote: netip.AddrPortFrom(localhost, 1000)})
	if err == nil {
		c.SetDeadline(clock.System().Now().Add(20 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// Every kind keeps the contract of Peer.
func TestEveryKindStartsAndStops(t *testing.T) {
	for _, kind := range peers.Names() {
		if kind == "ntp" || kind == "dhcp" {
			continue // speaks UDP only: see TestNTPStartsAndStops and TestDHCPStartsAndStops
		}
		t.Run(kind, func(t *testing.T) {
			h := newHost(t)
			p := newPeer(t, h, kind, nil)
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			c, err := dial(t, h)
			if err != nil {
				t.Fatal(err)
			}
			if err := newPeer(t, h, kind, nil).Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a second one on the same port: %v", err)
			}
			p.Stop()
			p.Stop()
			var late net.Error
			if _, err := io.Copy(io.Discard, c); errors.As(err, &late) && late.Timeout() {
				t.Error("a connection survives its server")
			}
			if _, err := dial(t, h); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("after Stop: %v", err)
			}
		})
	}
}

func TestStopWithoutStart(t *testing.T) {
	for _, kind := range peers.Names() {
		newPeer(t, newHost(t), kind, nil).Stop()
	}
}

func TestWebServerAnswersWithItsText(t *testing.T) {
	h := newHost(t)
	p := newPeer(t, h, "web", map[string]string{"text": "hello\n"})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	c, err := dial(t, h)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(string(got), "\r\n\r\nhello\n") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	web, _ := peers.Lookup("web")
	if err := web.CheckOption("text", "anything"); err != nil {
		t.Error(err)
	}
	if err := web.CheckOption("color", "red"); err == nil || err.Error() != `unknown option "color", expected one of ["text"]` {
		t.Errorf("CheckOption = %v", err)
	}
}
