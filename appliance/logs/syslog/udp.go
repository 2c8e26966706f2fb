package syslog

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// nameTTL is how long datagrams are sent to the address that a name was resolved to.
const nameTTL = time.Minute

// datagrams is the transport over UDP. Lost datagrams go unnoticed.
type datagrams struct {
	conn   network.PacketConn
	clock  clock.Clock
	opened clock.Mark
	named  bool   // the server is configured by name
	header []byte // records that are sent before the first batch
}

// openDatagrams opens a socket. The header is sent unless it was sent to this address before: a
// server that is known by name is looked up from time to time, which is no new beginning.
func (s *sender) openDatagrams(to netip.AddrPort, header [][]byte) (transport, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.options.ConnectTimeout)
	defer cancel()
	c, err := s.options.Net.ListenPacket(ctx,
		network.DialConfig{Remote: to, Owner: s.options.Owner, User: s.options.User})
	if err != nil {
		return nil, err
	}
	_, err = netip.ParseAddr(s.settings.Server)
	d := &datagrams{
		conn: c, clock: s.options.Clock, opened: s.options.Clock.Mark(), named: err != nil,
	}
	if s.headerSentTo != to {
		d.header = slices.Concat(header...)
		s.headerSentTo = to
	}
	return d, nil
}

// send implements transport. It sends each record as a datagram, without its line end. The error
// "port unreachable" that an earlier datagram has caused is returned by the write of the next
// one, which is then repeated.
func (d *datagrams) send(batch []byte) (int, error) {
	if header := d.header; len(header) > 0 {
		d.header = nil
		if _, err := d.sendRecords(header); err != nil {
			return 0, err
		}
	}
	return d.sendRecords(batch)
}

func (d *datagrams) sendRecords(batch []byte) (int, error) {
	for sent := 0; sent < len(batch); {
		n := bytes.IndexByte(batch[sent:], '\n')
		record := batch[sent : sent+n]
		_, err := d.conn.Write(record)
		if errors.Is(err, syscall.ECONNREFUSED) {
			_, err = d.conn.Write(record)
		}
		if errors.Is(err, net.ErrClosed) {
			return sent, err
		}
		sent += n + 1 // ignore other errors: the network may lose datagrams
	}
	return len(batch), nil
}

func (*datagrams) done() <-chan struct{} { return nil }
func (*datagrams) err() error            { return net.ErrClosed }
func (*datagrams) unread() (int64, bool) { return 0, false }
func (d *datagrams) stale() bool         { return d.named && d.clock.Since(d.opened) >= nameTTL }
func (d *datagrams) close()              { _ = d.conn.Close() }
