package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/pattern"
)

// NTPKind is the type of NTP servers in a topology.
const NTPKind = "ntp"

var _ = register(Kind{
	Name: NTPKind, Title: "an NTP server",
	Port: ntp.Port,
	Options: map[string]func(string) error{
		"offset":  checkOffset,
		"stratum": checkStratum,
		"kiss":    checkKiss,
		"leap":    checkLeap,
	},
	New: func(c Config) Peer { return newNTPServer(c) },
})

// An NTPServer answers with the world's time, shifted by its option offset (RFC 5905, server
// mode, UDP only).
type NTPServer struct {
	config  Config
	offset  time.Duration
	reply   ntp.Packet // the fields that all replies have in common
	running sync.WaitGroup

	mu      sync.Mutex
	conns   []network.PacketConn
	queries int
}

func newNTPServer(c Config) *NTPServer {
	n := &NTPServer{config: c, reply: ntp.Packet{
		Mode: ntp.ModeServer, Stratum: 2, Precision: -20, RefID: [4]byte{127, 127, 1, 0},
		RootDelay: time.Millisecond, RootDisp: 10 * time.Millisecond,
	}}
	n.offset, _ = time.ParseDuration(c.Options["offset"]) // "" is none
	if s := parseCount(c.Options["stratum"]); s > 0 {
		n.reply.Stratum = uint8(s)
	}
	if n.reply.Stratum == 1 {
		n.reply.RefID = [4]byte{'G', 'P', 'S'}
	}
	if c.Options["leap"] == "unsynchronized" {
		n.reply.Leap = ntp.LeapUnsynchronized
	}
	if k := c.Options["kiss"]; k != "" {
		n.reply.Stratum, n.reply.Leap = 0, ntp.LeapUnsynchronized
		copy(n.reply.RefID[:], k)
	}
	return n
}

// Start listens on the host's addresses.
func (n *NTPServer) Start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = nil
	for _, a := range n.config.Addrs {
		c, err := n.config.Transport.ListenPacket(ctx, network.DialConfig{
			Local: netip.AddrPortFrom(a, n.config.Port), Owner: n.config.Name,
		})
		if err != nil {
			for _, c := range n.conns {
				c.Close()
			}
			return fmt.Errorf("%s: listen: %w", n.config.Name, err)
		}
		n.conns = append(n.conns, c)
	}
	for _, c := range n.conns {
		n.running.Go(func() { n.serve(c) })
	}
	return nil
}

// Stop waits for the replies that are being sent.
func (n *NTPServer) Stop() {
	n.mu.Lock()
	for _, c := range n.conns {
		c.Close()
	}
	n.mu.Unlock()
	n.running.Wait()
}

func (n *NTPServer) serve(c network.PacketConn) {
	buf := make([]byte, 1024)
	for {
		size, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			n.config.Logger.Error("a simulated server cannot answer any more",
				"server", n.config.Name, "error", err)
			return
		}
		if reply, ok := n.answer(buf[:size]); ok {
			_, _ = c.WriteTo(reply, from) // fails if the client cannot be reached
		}
	}
}

// answer returns the reply to a client's packet. ok is false for any other packet.
func (n *NTPServer) answer(b []byte) ([]byte, bool) {
	q, err := ntp.ParsePacket(b)
	if err != nil || q.Mode != ntp.ModeClient || q.Version < 1 || q.Version > 4 {
		return nil, false
	}
	n.mu.Lock()
	n.queries++
	n.mu.Unlock()
	now := n.config.Clock.Now().Add(n.offset)
	p := n.reply
	p.Version, p.Poll, p.Origin = q.Version, q.Poll, q.Transmit
	p.Reference, p.Receive, p.Transmit = now.Truncate(time.Minute), now, ntp.TimestampOf(now)
	return p.Append(nil), true
}

// Queries returns the number of queries that were answered.
func (n *NTPServer) Queries() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.queries
}

// An NTPServerReport is the report of an NTPServer.
type NTPServerReport struct {
	Queries int       `json:"queries"`
	Time    time.Time `json:"time"` // the server's time
}

// Report implements Reporter. It returns an NTPServerReport.
func (n *NTPServer) Report() any {
	return NTPServerReport{n.Queries(), n.config.Clock.Now().Add(n.offset)}
}

func checkOffset(s string) error {
	if _, err := time.ParseDuration(s); err != nil {
		return fmt.Errorf("%q, expected a duration such as 1h or -90s", s)
	}
	return nil
}

func checkStratum(s string) error {
	if n := parseCount(s); n < 1 || n > 16 {
		return fmt.Errorf("%q, expected 1 to 16", s)
	}
	return nil
}

var kissForm = pattern.New(`^[A-Z]{4}$`)

func checkKiss(s string) error {
	if !kissForm().MatchString(s) {
		return fmt.Errorf("%q, expected four letters such as RATE, DENY or RSTR", s)
	}
	return nil
}

func checkLeap(s string) error {
	if s != "unsynchronized" && s != "none" {
		return fmt.Errorf("%q, expected unsynchronized or none", s)
	}
	return nil
}
