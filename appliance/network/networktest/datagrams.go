package networktest

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

func openUDP(t *testing.T, n network.Network, c network.DialConfig) network.PacketConn {
	t.Helper()
	p, err := n.ListenPacket(withTimeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.SetDeadline(clock.System().Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return p
}

func datagrams(t *testing.T, f Fixture) { exchangeDatagrams(t, f, f.PeerAddr) }

func datagrams6(t *testing.T, f Fixture) {
	if !f.Addr6.IsValid() {
		t.Skip("no IPv6")
	}
	exchangeDatagrams(t, f, f.PeerAddr6)
}

func exchangeDatagrams(t *testing.T, f Fixture, addr netip.Addr) {
	server := openUDP(t, f.Peer, network.DialConfig{Local: netip.AddrPortFrom(addr, 0)})
	client := openUDP(t, f.Net, network.DialConfig{Remote: addrPort(server.LocalAddr())})
	if got, want := client.RemoteAddr().String(), server.LocalAddr().String(); got != want {
		t.Errorf("the remote address is %s, want %s", got, want)
	}
	if server.RemoteAddr() != nil {
		t.Errorf("an unconnected socket has the remote address %v", server.RemoteAddr())
	}
	big := string(make([]byte, 4000)) // is fragmented
	for _, text := range []string{"question", big} {
		if n, err := client.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("wrote %d: %v", n, err)
		}
		b := make([]byte, 8000)
		n, from, err := server.ReadFrom(b)
		if err != nil || string(b[:n]) != text {
			t.Fatalf("received %d bytes: %v", n, err)
		}
		if from.String() != client.LocalAddr().String() {
			t.Errorf("received from %v, sent from %v", from, client.LocalAddr())
		}
		if _, err := server.WriteTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		if n, err := client.Read(b); err != nil || string(b[:n]) != "answer" {
			t.Fatalf("received %q: %v", b[:n], err)
		}
	}
	_, err := client.Write(make([]byte, 70000))
	wantError(t, err, syscall.EMSGSIZE)
	_, err = server.WriteTo([]byte("x"), &net.IPAddr{IP: addr.AsSlice()})
	wantError(t, err, syscall.EINVAL)
	_ = client.SetReadDeadline(clock.System().Now().Add(time.Millisecond))
	_, err = client.Read(make([]byte, 1))
	wantError(t, err, os.ErrDeadlineExceeded)
}

// datagramRefused sends to a closed port: the next read returns the error, and returns it
// once.
func datagramRefused(t *testing.T, f Fixture) {
	client := openUDP(t, f.Net, network.DialConfig{Remote: netip.AddrPortFrom(f.PeerAddr, 9)})
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_, err := client.Read(make([]byte, 1))
	wantError(t, err, syscall.ECONNREFUSED)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Errorf("a second call returns the error again: %v", err)
	}
}
