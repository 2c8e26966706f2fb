package networktest

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/network"
)

func ping(t *testing.T, f Fixture) { pingOf(t, f, f.PeerAddr) }

// pingSelf pings the network's own address. The route chooses the source address.
func pingSelf(t *testing.T, f Fixture) { pingOf(t, f, f.Addr) }

func ping6(t *testing.T, f Fixture) {
	if !f.Addr6.IsValid() {
		t.Skip("no IPv6")
	}
	pingOf(t, f, f.PeerAddr6)
}

func pingOf(t *testing.T, f Fixture, dst netip.Addr) {
	var all sync.WaitGroup
	for seq := range uint16(3) { // at the same time, with one identifier, as those of a slow ping
		all.Go(func() {
			r, err := f.Net.Ping(withTimeout(t), network.PingRequest{
				Dst: dst, ID: 77, Seq: seq, DataSize: 56,
			})
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Error(err)
				return
			}
			if r.Kind != network.EchoReply || r.From != dst || r.Bytes != 64 || r.TTL < 1 || r.RTT <= 0 {
				t.Errorf("ping %d: %+v", seq, r)
			}
		})
	}
	all.Wait()
}

func pingFragments(t *testing.T, f Fixture) {
	for _, dst := range []netip.Addr{f.PeerAddr, f.PeerAddr6} {
		if !dst.IsValid() {
			continue
		}
		r, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: dst, ID: 7, DataSize: 6000})
		supported(t, err)
		if r.Kind != network.EchoReply || r.Bytes != 6008 || r.From != dst || r.TTL < 1 || r.RTT <= 0 {
			t.Errorf("%v: %+v", dst, r)
		}
	}
	_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.PeerAddr, DataSize: 66000})
	wantError(t, err, syscall.EMSGSIZE)
}

func pingMissingHost(t *testing.T, f Fixture) {
	_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.Missing, DataSize: 56})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	wantError(t, err, syscall.EHOSTUNREACH)
}

func pingContext(t *testing.T, f Fixture) {
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := f.Net.Ping(ctx, network.PingRequest{Dst: f.PeerAddr})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	wantError(t, err, cause)
	_, err = f.Net.Probe(ctx, network.ProbeRequest{Dst: f.PeerAddr, TTL: 1})
	wantError(t, err, cause)
}

func probeUDP(t *testing.T, f Fixture) {
	for _, c := range []struct {
		dst          netip.Addr
		size, quoted int // of the packet; offset of the quoted UDP header
	}{{f.PeerAddr, 40, 20}, {f.PeerAddr6, 60, 40}} {
		if !c.dst.IsValid() {
			continue
		}
		r, err := f.Net.Probe(withTimeout(t), network.ProbeRequest{
			Dst: c.dst, Protocol: network.UDP, Port: 33435, TTL: 3, PacketSize: c.size,
		})
		supported(t, err)
		if r.Kind != network.PortUnreachable || r.From != c.dst || r.RTT <= 0 {
			t.Errorf("probe of %v: %+v", c.dst, r)
		}
		if len(r.Quoted) < c.quoted+8 || binary.BigEndian.Uint16(r.Quoted[c.quoted+2:]) != 33435 ||
			int(binary.BigEndian.Uint16(r.Quoted[c.quoted+4:])) != c.size-c.quoted {
			t.Errorf("probe of %v quotes % x", c.dst, r.Quoted)
		}
	}
}

func probeICMP(t *testing.T, f Fixture) {
	r, err := f.Net.Probe(withTimeout(t), network.ProbeRequest{
		Dst: f.PeerAddr, Protocol: network.ICMP, Port: 5, TTL: 3, PacketSize: 40,
	})
	supported(t, err)
	if r.Kind != network.EchoReply || r.From != f.PeerAddr || r.Bytes != 20 {
		t.Errorf("%+v", r)
	}
}

// probeTCP probes an open and a closed port. Both answer.
func probeTCP(t *testing.T, f Fixture) {
	l := listen(t, f.Peer, network.ListenConfig{Addr: netip.AddrPortFrom(f.PeerAddr, 0)})
	for _, port := range []uint16{addrPort(l.Addr()).Port(), 9} {
		r, err := f.Net.Probe(withTimeout(t), network.ProbeRequest{
			Dst: f.PeerAddr, Protocol: network.TCP, Port: port, TTL: 3,
		})
		supported(t, err)
		if r.Kind != network.TCPReply || r.From != f.PeerAddr || r.RTT <= 0 {
			t.Errorf("probe of port %d: %+v", port, r)
		}
	}
}
