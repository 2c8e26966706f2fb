package dhcp_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/dhcp"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

const ifname = "Data 1"

var (
	clientMAC = dhcp.MAC{2, 0, 0, 0, 0, 9}
	serverMAC = dhcp.MAC{2, 0, 0, 0, 0, 2}
	otherMAC  = dhcp.MAC{2, 0, 0, 0, 0, 7}
)

// A script is the conversation of a client with the test, which is the server and every other machine
// on the wire. It is the client's network, and runs in a bubble of package synctest: the clock jumps
// to the next timer while everybody waits.
type script struct {
	network.Network // nil: the client uses nothing else
	*testing.T
	daemon *dhcp.Daemon
	began  time.Time
	sent   chan message // by the client

	mu       sync.Mutex
	taps     []*scriptTap
	carrier  bool
	watch    func()
	owners   map[netip.Addr]dhcp.MAC // of addresses, who answer ARP
	arps     []string                // of the client: "at what"
	bindings map[string]dhcp.Binding
	saved    map[string]dhcp.Lease
	kinds    []string // of events
	log      []string
}

// A message is one that the client has sent.
type message struct {
	*dhcp.Message
	at     time.Duration // since the start
	source netip.AddrPort
	target netip.AddrPort
	socket bool // by a socket, and not as a frame
}

// converse runs a test in a bubble with a client that had a lease before, if there is one.
func converse(t *testing.T, had *dhcp.Lease, talk func(s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{
			T: t, began: time.Now(), sent: make(chan message, 100), carrier: true,
			owners: map[netip.Addr]dhcp.MAC{},
		}
		stream := events.NewStream(clock.System())
		defer stream.Subscribe(func(e events.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.kinds = append(s.kinds, fmt.Sprint(e.Fields.Kind(), " ", e.Fields))
		})()
		s.daemon = dhcp.New(dhcp.Options{
			Net: s, Clock: clock.System(), Events: stream,
			Interfaces: []dhcp.Interface{{
				Name: ifname, Fallback: netip.MustParsePrefix("192.168.42.42/24"), Gateway: addr("192.168.42.1"),
			}},
			Rand:     entropy.Seeded(1).Stream("dhclient"),
			HostName: func() string { return "mail.example.com" },
			Apply: func(_ context.Context, b map[string]dhcp.Binding) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.bindings = maps.Clone(b)
				return nil
			},
			Load: func() map[string]dhcp.Lease {
				if had == nil {
					return nil
				}
				return map[string]dhcp.Lease{ifname: *had}
			},
			Save: func(l map[string]dhcp.Lease) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.saved = l
			},
			Log: func(_ bool, text string) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.log = append(s.log, text)
			},
		})
		if err := s.daemon.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer s.daemon.Stop(context.Background())
		talk(s)
	})
}

// Interfaces implements network.Inspector.
func (s *script) Interfaces() []network.Interface {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []network.Interface{{Name: ifname, MAC: clientMAC[:], Up: true, NoCarrier: !s.carrier}}
}

type scriptTap struct {
	network.TapConfig
	s *script
}

// Tap implements network.Tapper.
func (s *script) Tap(c network.TapConfig) (network.Tap, error) {
	t := &scriptTap{c, s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps = append(s.taps, t)
	return t, nil
}

func (t *scriptTap) Stats() (seen, kept uint64) { return 0, 0 }

func (t *scriptTap) Close() error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for i, x := range t.s.taps {
		if x == t {
			t.s.taps = append(t.s.taps[:i:i], t.s.taps[i+1:]...)
			return nil
		}
	}
	return net.ErrClosed
}

// WatchCarrier implements network.CarrierWatcher.
func (s *script) WatchCarrier(_ string, changed func()) (cancel func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = changed
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watch = func() {}
	}, nil
}

// plug unplugs the cable or plugs it in.
func (s *script) plug(in bool) {
	s.mu.Lock()
	s.carrier = in
	watch := s.watch
	s.mu.Unlock()
	watch()
}

// SendFrame implements network.FrameSender.
func (s *script) SendFrame(_ string, frame []byte) error {
	s.mu.Lock()
	up := s.carrier
	s.mu.Unlock()
	if !up {
		return syscall.ENETDOWN
	}
	if binary.BigEndian.Uint16(frame[12:]) == 0x0806 {
		s.answerARP(frame)
		return nil
	}
	d, ok := dhcp.ParseFrame(frame)
	if !ok || d.From != clientMAC || d.To != dhcp.BroadcastMAC() {
		s.Errorf("the client sends % x", frame)
		return nil
	}
	s.record(d.Data, message{source: d.Source, target: d.Target})
	return nil
}

func (s *script) record(data []byte, x message) {
	var err error
	if x.Message, err = dhcp.Parse(data); err != nil {
		s.Errorf("the client sends % x: %v", data, err)
		return
	}
	x.at = time.Since(s.began)
	s.sent <- x
}

// answerARP records an ARP request of the client and answers it if the address has an owner.
func (s *script) answerARP(frame []byte) {
	sender, target := netip.AddrFrom4([4]byte(frame[28:32])), netip.AddrFrom4([4]byte(frame[38:42]))
	s.mu.Lock()
	what := "probes"
	if sender == target {
		what = "announces"
	}
	s.arps = append(s.arps, fmt.Sprintf("%v %s %v", time.Since(s.began), what, target))
	owner, taken := s.owners[target]
	s.mu.Unlock()
	if !taken {
		return
	}
	reply := append([]byte(nil), frame...)
	copy(reply, clientMAC[:])
	copy(reply[6:], owner[:])
	reply[21] = 2
	copy(reply[22:], owner[:])
	copy(reply[28:], target.AsSlice())
	copy(reply[32:], clientMAC[:])
	s.deliver(reply)
}

// deliver lets a frame arrive at the client.
func (s *script) deliver(frame []byte) {
	s.mu.Lock()
	taps := append([]*scriptTap(nil), s.taps...)
	s.mu.Unlock()
	for _, t := range taps {
		if t.Match == nil || t.Match(frame, len(frame)) {
			t.Sink(network.Frame{Time: time.Now(), Dir: network.In, Data: frame, WireLen: len(frame)})
		}
	}
}

// ListenPacket implements network.Transport.
func (s *script) ListenPacket(_ context.Context, c network.DialConfig) (network.PacketConn, error) {
	return &scriptConn{s: s, local: c.Local}, nil
}

// A scriptConn is a socket of the client's, which only writes.
type scriptConn struct {
	network.PacketConn
	s     *script
	local netip.AddrPort
}

func (c *scriptConn) Close() error { return nil }

func (c *scriptConn) WriteTo(data []byte, to net.Addr) (int, error) {
	c.s.record(data, message{source: c.local, target: to.(*net.UDPAddr).AddrPort(), socket: true})
	return len(data), nil
}

// next returns the next message of the client, which must be of a type, and of a certain time since
// the start, give or take so much.
func (s *script) next(t dhcp.Type, at, give time.Duration) message {
	s.Helper()
	select {
	case m := <-s.sent:
		if m.Type != t || m.at < at-give || m.at > at+give {
			s.Fatalf("the client sends a %v at %v, want a %v at %v, give or take %v", m.Type, m.at, t, at, give)
		}
		if m.MAC != clientMAC || m.Broadcast || string(m.ClientID) != "\x01"+string(clientMAC[:]) {
			s.Errorf("the client sends %+v", m.Message)
		}
		return m
	case <-time.After(24 * time.Hour):
		s.Fatalf("the client sends nothing for a day, want a %v at %v", t, at)
	}
	return message{}
}

// quiet ends the test if the client sends something within d.
func (s *script) quiet(d time.Duration) {
	s.Helper()
	select {
	case m := <-s.sent:
		s.Fatalf("the client sends a %v at %v", m.Type, m.at)
	case <-time.After(d):
	}
}

// frame returns the frame of a reply to the client.
func frame(m *dhcp.Message) []byte {
	d := dhcp.Datagram{
		From: serverMAC, To: clientMAC, Data: m.Append(nil),
		Source: netip.AddrPortFrom(addr("192.0.2.2"), dhcp.ServerPort),
		Target: netip.AddrPortFrom(addr("192.0.2.100"), dhcp.ClientPort),
	}
	return d.Frame()
}

// answer returns a reply of the server to a message: an address for an hour, unless it is a NAK.
func answer(to message, t dhcp.Type) *dhcp.Message {
	m := &dhcp.Message{Type: t, XID: to.XID, MAC: to.MAC, Server: addr("192.0.2.2")}
	if t == dhcp.NAK {
		return m
	}
	m.YourAddr, m.MaskBits, m.LeaseTime = addr("192.0.2.100"), 24, time.Hour
	m.Routers, m.DNS = []netip.Addr{addr("192.0.2.1")}, []netip.Addr{addr("192.0.2.53")}
	return m
}

// reply lets the server answer a message.
func (s *script) reply(to message, t dhcp.Type) { s.deliver(frame(answer(to, t))) }

// bind gets the client a lease of an hour, which begins at the time that it returns.
func (s *script) bind() (at time.Duration) {
	s.Helper()
	s.reply(s.next(dhcp.Discover, time.Since(s.began), 0), dhcp.Offer)
	m := s.next(dhcp.Request, time.Since(s.began), 0)
	at = time.Since(s.began)
	s.reply(m, dhcp.ACK)
	s.wait(time.Second, dhcp.IsBound)
	return at
}

// wait waits for d, after which the client must be in a state.
func (s *script) wait(d time.Duration, want dhcp.State) dhcp.Status {
	s.Helper()
	time.Sleep(d)
	synctest.Wait()
	status, _ := s.daemon.Status(ifname)
	if status.State != want {
		s.Fatalf("at %v the client is %+v, want %s", time.Since(s.began), status, want)
	}
	return status
}

// has returns the address of the interface, "" if it has none.
func (s *script) has() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.bindings[ifname]; ok {
		return fmt.Sprint(b.Address, " ", b.Router, " ", b.DNS)
	}
	return ""
}

// lastEvent returns the last event, with its fields.
func (s *script) lastEvent() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kinds) == 0 {
		return ""
	}
	return s.kinds[len(s.kinds)-1]
}

// arp returns what the client has sent by ARP since the last call.
func (s *script) arp() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.arps
	s.arps = nil
	return list
}
