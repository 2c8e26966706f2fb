package syslog

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// nameLife is how long datagrams go to the address that a name had.
const nameLife = time.Minute

// datagrams is a UDP socket. What becomes of a datagram nobody knows.
type datagrams struct {
	conn   network.PacketConn
	clock  clock.Clock
	opened clock.Mark
	named  bool
}

func (s *sender) openDatagrams(to netip.AddrPort) (carrier, error) {
	ctx, cancel := context.WithTimeout(s.life, s.options.ConnectTimeout)
	defer cancel()
	c, err := s.options.Net.ListenPacket(ctx, network.DialConfig{Remote: to, Owner: s.options.Owner, User: s.options.User})
	if err != nil {
		return nil, err
	}
	_, err = netip.ParseAddr(s.settings.Server)
	return &datagrams{conn: c, clock: s.options.Clock, opened: s.options.Clock.Mark(), named: err != nil}, nil
}

// send implements carrier: a datagram for each record, without its line end. A port
// unreachable that an earlier datagram caused is reported for the next one, which is
// then sent after all.
func (d *datagrams) send(batch []byte) (int, error) {
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
		sent += n + 1 // other errors are the network's, which may lose datagrams
	}
	return len(batch), nil
}

func (*datagrams) ended() <-chan struct{} { return nil }
func (*datagrams) cause() error           { return net.ErrClosed }
func (d *datagrams) stale() bool          { return d.named && d.clock.Since(d.opened) >= nameLife }
func (d *datagrams) close()               { _ = d.conn.Close() }
