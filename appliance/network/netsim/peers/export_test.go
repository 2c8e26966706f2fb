package peers

import (
	"io"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/dhcp"
)

// AnswerQuery lets tests ask a DNS server without a connection.
func (d *DNSServer) AnswerQuery(w dns.ResponseWriter, q *dns.Msg) { d.answer(w, q) }

// MatchesAddress is matchesAddress.
func MatchesAddress(pattern, address string) bool { return matchesAddress(pattern, address) }

// NewGreylist returns a function that reports whether mail of a client to a recipient passes a
// greylist.
func NewGreylist(delay time.Duration) func(client netip.Addr, to string, now clock.Mark) bool {
	var g greylist
	return func(client netip.Addr, to string, now clock.Mark) bool {
		return g.passed(triple{client, "", to}, now, delay)
	}
}

// A Mailbox is a mailbox without a server.
type Mailbox struct{ *mailbox }

// NewMailbox returns an empty mailbox.
func NewMailbox(onDrop func()) Mailbox { return Mailbox{newMailbox(onDrop)} }

// Receive receives and stores a message.
func (b Mailbox) Receive(r io.Reader) error {
	t, err := b.receive(r)
	if err == nil {
		b.store(newMessage(Message{}, t))
	}
	return err
}

// Contents returns what the mailbox stores.
func (b Mailbox) Contents() (stored []Message, received, dropped int) {
	stored, received, dropped, _ = b.contents()
	return stored, received, dropped
}

// Clear is clear.
func (b Mailbox) Clear() { b.clear() }

// Bytes returns how much room is taken.
func (b Mailbox) Bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// Answer is answer.
func (s *DHCPServer) Answer(q *dhcp.Message) *dhcp.Message { return s.answer(q) }
