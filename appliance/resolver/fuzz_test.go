package resolver

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
)

// A cannedNetwork answers every query with the query's ID and question, and with the fuzzer's
// flags, counts and records.
type cannedNetwork struct {
	network.Transport
	flags  uint16
	counts [3]uint8
	tail   []byte
	left   int // how many more queries are answered
}

func (n *cannedNetwork) ListenPacket(context.Context, network.DialConfig) (network.PacketConn,
	error) {
	return &cannedPacketConn{cannedConn: cannedConn{network: n}}, nil
}

func (n *cannedNetwork) Dial(context.Context, network.DialConfig) (network.Conn, error) {
	return &cannedStream{cannedConn: cannedConn{network: n, stream: true}}, nil
}

// A cannedConn is a connection on which one query is answered.
type cannedConn struct {
	network *cannedNetwork
	stream  bool
	answer  bytes.Buffer
}

func (c *cannedConn) Write(b []byte) (int, error) {
	n, message := c.network, b
	if c.stream {
		message = b[2:]
	}
	if n.left--; n.left < 0 {
		return len(b), nil
	}
	a := append([]byte{}, message[:2]...)
	a = binary.BigEndian.AppendUint16(a, n.flags|1<<15)
	a = append(a, 0, 1, 0, n.counts[0], 0, n.counts[1], 0, n.counts[2])
	a = append(append(a, message[12:]...), n.tail...)
	a = a[:min(len(a), 0xffff)]
	if c.stream {
		c.answer.Write(binary.BigEndian.AppendUint16(nil, uint16(len(a))))
	}
	c.answer.Write(a)
	return len(b), nil
}

func (c *cannedConn) Read(b []byte) (int, error) {
	if c.answer.Len() == 0 {
		return 0, io.EOF
	}
	n, err := c.answer.Read(b)
	if !c.stream {
		c.answer.Reset()
	}
	return n, err
}

func (*cannedConn) Close() error                     { return nil }
func (*cannedConn) SetDeadline(time.Time) error      { return nil }
func (*cannedConn) SetReadDeadline(time.Time) error  { return nil }
func (*cannedConn) SetWriteDeadline(time.Time) error { return nil }

type cannedStream struct {
	network.Conn
	cannedConn
}

func (c *cannedStream) Read(b []byte) (int, error)       { return c.cannedConn.Read(b) }
func (c *cannedStream) Write(b []byte) (int, error)      { return c.cannedConn.Write(b) }
func (c *cannedStream) Close() error                     { return nil }
func (*cannedStream) SetDeadline(time.Time) error        { return nil }
func (*cannedStream) SetReadDeadline(time.Time) error    { return nil }
func (*cannedStream) SetWriteDeadline(t time.Time) error { return nil }

type cannedPacketConn struct {
	network.PacketConn
	cannedConn
}

func (c *cannedPacketConn) Read(b []byte) (int, error)       { return c.cannedConn.Read(b) }
func (c *cannedPacketConn) Write(b []byte) (int, error)      { return c.cannedConn.Write(b) }
func (c *cannedPacketConn) Close() error                     { return nil }
func (*cannedPacketConn) SetDeadline(time.Time) error        { return nil }
func (*cannedPacketConn) SetReadDeadline(time.Time) error    { return nil }
func (*cannedPacketConn) SetWriteDeadline(t time.Time) error { return nil }
func (c *cannedPacketConn) RemoteAddr() net.Addr             { return &net.UDPAddr{} }
func (c *cannedPacketConn) LocalAddr() net.Addr              { return &net.UDPAddr{} }

// Whatever the servers answer, look-ups return, and addresses are valid.
func FuzzAnswer(f *testing.F) {
	f.Add(uint16(0x0180), uint8(1), uint8(0), uint8(0),
		[]byte("\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x33\x64\x09"))
	f.Add(uint16(0x0180), uint8(1), uint8(0), uint8(0),
		[]byte("\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c")) // an alias of itself
	f.Add(uint16(0x0200), uint8(0), uint8(1), uint8(1),
		[]byte("\xc0\x14\x00\x02\x00\x01\x00\x00\x00\x3c\x00\x04\x01n\xc0\x14"+
			"\x01n\xc0\x14\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x33\x64\x09")) // a referral
	f.Add(uint16(0x8003), uint8(0), uint8(0), uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, flags uint16, answers, authority, extra uint8, tail []byte) {
		for _, roots := range []bool{false, true} {
			c := New(Options{
				Net: &cannedNetwork{flags: flags, counts: [3]uint8{answers, authority, extra},
					tail: tail, left: 200},
				Clock: clock.NewFake(time.Unix(1e9, 0)), Rand: entropy.Seeded(1).Stream("dns"),
				Settings: func() Settings {
					return Settings{PTRTimeout: 20, UseRoots: roots,
						Servers: []Server{{Addr: netip.AddrFrom4([4]byte{192, 0, 2, 1})}}}
				},
				Rounds: 1, RootHints: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 2})},
			})
			ctx := t.Context()
			addrs, err := c.Lookup(ctx, "a.example.com", 0)
			for _, a := range addrs {
				if !a.IsValid() || err != nil {
					t.Fatal(addrs, err)
				}
			}
			_, _ = c.LookupMX(ctx, "example.com")
			_, _ = c.LookupAddr(ctx, netip.AddrFrom4([4]byte{192, 0, 2, 3}))
			for _, kind := range []string{"MX", "TXT", "SOA"} {
				_, _ = c.Records(ctx, "example.com", kind)
				_, _ = c.Query(ctx, Query{Name: "example.com", Type: kind})
			}
		}
	})
}
