package uplink

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A vxlan opens tunnels: each frame is a UDP datagram with a header that has the number of the
// virtual network (RFC 7348).
type vxlan struct{ topology.UplinkTarget }

func newVXLAN(t topology.UplinkTarget) *vxlan { return &vxlan{t} }

func (v *vxlan) open(ctx context.Context, _ func(string)) (link, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", v.Host)
	if err != nil {
		return nil, err
	}
	local := v.Local
	if !local.IsValid() {
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), v.Port) // of both families
	}
	var peer netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if !peer.IsValid() && (!v.Local.IsValid() || a.Is4() == local.Addr().Is4()) {
			peer = a
		}
	}
	if !peer.IsValid() {
		return nil, &fatalError{fmt.Errorf("%s has no address of the family of %v", v.Host, v.Local)}
	}
	if peer.Is4() && !v.Local.IsValid() {
		local = netip.AddrPortFrom(netip.IPv4Unspecified(), v.Port)
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(local))
	if err != nil {
		return nil, &fatalError{err}
	}
	_ = conn.SetReadBuffer(maxQueuedBytes) // as much as the system allows
	return &tunnel{
		conn: conn, peer: netip.AddrPortFrom(peer, v.Port), vni: v.VNI,
		buffer: make([]byte, vxlanLen+maxFrame+1),
	}, nil
}

func (v *vxlan) close() {}

const (
	vxlanLen = 8
	// vxlanFlag says that the header has a number.
	vxlanFlag = 0x08
)

// A tunnel is a VXLAN tunnel.
type tunnel struct {
	conn   *net.UDPConn
	peer   netip.AddrPort
	vni    uint32
	buffer []byte
	out    []byte
}

// receive drops what does not come from the other end, or belongs to another virtual network.
func (t *tunnel) receive() ([]frame, error) {
	for {
		n, from, err := t.conn.ReadFromUDPAddrPort(t.buffer)
		if err != nil {
			return nil, err
		}
		b := t.buffer[:n]
		if n < vxlanLen || from.Addr().Unmap() != t.peer.Addr() || b[0]&vxlanFlag == 0 ||
			binary.BigEndian.Uint32(b[4:])>>8 != t.vni {
			continue
		}
		return []frame{{bytes: b[vxlanLen:]}}, nil
	}
}

// send drops frames that cannot be sent now: a tunnel has no carrier.
func (t *tunnel) send(frames []frame) error {
	for _, f := range frames {
		t.out = append(t.out[:0], vxlanFlag, 0, 0, 0)
		t.out = binary.BigEndian.AppendUint32(t.out, t.vni<<8)
		t.out = append(t.out, f.bytes...)
		_, _ = t.conn.WriteToUDPAddrPort(t.out, t.peer)
	}
	return nil
}

func (t *tunnel) close() { t.conn.Close() }
