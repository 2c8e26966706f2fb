package queue

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unique"
)

// A message is a queued message in memory. A queue may hold a million of them, so that it is
// small: what many messages have in common is stored once (package unique), and the rest of it is
// 112 bytes, and 56 and the address for each recipient.
type message struct {
	mid        uint64
	from       unique.Handle[string]
	origin     unique.Handle[origin]
	received   int64 // as by toNanos
	size       int64 // of the body
	bounceOf   uint64
	icid       uint64
	seg        *segment    // holds the newest complete record of the message
	large      *sharedFile // holds the body; nil if it is in the record
	recipients []recipient // by ascending RID; finished ones are removed from time to time
	unfinished int32       // recipients
	off        uint32      // of the record in seg
	headLen    uint32      // of the record
	stage      Stage
}

// An origin is what all messages of a connection have in common.
type origin struct {
	listener, remoteHost, helo, group, user, internal string
	remoteIP                                          netip.Addr
	outgoing, eightBit                                bool
}

type recipient struct {
	address  string // shares memory with the other addresses of the message
	next     int64  // as by toNanos
	last     unique.Handle[LastError]
	host     unique.Handle[string] // zero: that of the address
	rid      int32
	attempts int32 // finished: there is no attempt any more
	warnings uint8
}

// finished is the number of attempts of a recipient that is finished.
const finished = -1

// maxString is the maximum length of an address or another string.
const maxString = 1024

// toNanos returns a time in nanoseconds since 1970, and another value for the zero time. Times
// too far away for that become the nearest possible ones.
func toNanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return math.MinInt64
	case t.Year() < 1700:
		return math.MinInt64 + 1
	case t.Year() > 2250:
		return math.MaxInt64
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// newMessage returns a message for an envelope, which is checked.
func newMessage(env *Envelope) (*message, error) {
	if len(env.Recipients) == 0 || len(env.Recipients) > MaxRecipients {
		return nil, fmt.Errorf("queue: a message has %d recipients, want 1 to %d",
			len(env.Recipients), MaxRecipients)
	}
	for _, s := range []string{env.From, env.Internal, env.Listener, env.RemoteHost, env.HELO,
		env.Group, env.User} {
		if len(s) > maxString {
			return nil, fmt.Errorf("queue: a string of the envelope has %d bytes, want at most %d",
				len(s), maxString)
		}
	}
	if env.Stage > Delivery {
		return nil, fmt.Errorf("queue: a message has the unknown stage %d", env.Stage)
	}
	m := &message{
		mid: env.MID, from: unique.Make(env.From), received: toNanos(env.Received), size: env.Size,
		bounceOf: env.BounceOf, icid: env.ICID, stage: env.Stage,
		origin: unique.Make(origin{listener: env.Listener, remoteHost: env.RemoteHost,
			helo: env.HELO, group: env.Group, user: env.User, internal: env.Internal,
			remoteIP: env.RemoteIP, outgoing: env.Outgoing, eightBit: env.EightBit}),
		recipients: make([]recipient, len(env.Recipients)), unfinished: int32(len(env.Recipients)),
	}
	var text strings.Builder // the addresses share one allocation
	total := 0
	for i := range env.Recipients {
		total += len(env.Recipients[i].Address)
	}
	text.Grow(total)
	for i, r := range env.Recipients {
		if i > 0 && r.RID <= env.Recipients[i-1].RID {
			return nil, errors.New("queue: the recipients are not sorted by ascending RID")
		}
		if err := checkRecipient(r.RID, r.Address, r.Host); err != nil {
			return nil, err
		}
		from := text.Len()
		text.WriteString(r.Address)
		m.recipients[i] = recipient{address: text.String()[from:], next: toNanos(r.Next),
			last: internError(r.Last), host: internHost(r.Host), rid: int32(r.RID),
			attempts: int32(min(max(r.Attempts, 0), math.MaxInt32-1)),
			warnings: uint8(min(max(r.Warnings, 0), math.MaxUint8))}
	}
	return m, nil
}

func checkRecipient(rid int, address, host string) error {
	if rid < 0 || rid > math.MaxInt32 {
		return fmt.Errorf("queue: RID %d is out of range", rid)
	}
	if n := max(len(address), len(host)); n > maxString {
		return fmt.Errorf("queue: an address has %d bytes, want at most %d", n, maxString)
	}
	return nil
}

// internHost returns the zero handle for "".
func internHost(host string) unique.Handle[string] {
	if host == "" {
		return unique.Handle[string]{}
	}
	return unique.Make(strings.Clone(host))
}

func hostOf(h unique.Handle[string]) string {
	if h == (unique.Handle[string]{}) {
		return ""
	}
	return h.Value()
}

// internError returns the zero handle for the zero error.
func internError(e LastError) unique.Handle[LastError] {
	if e == (LastError{}) {
		return unique.Handle[LastError]{}
	}
	return unique.Make(e.limit())
}

func errorOf(h unique.Handle[LastError]) LastError {
	if h == (unique.Handle[LastError]{}) {
		return LastError{}
	}
	return h.Value()
}

// envelope returns a copy for callers.
func (m *message) envelope() Envelope {
	o := m.origin.Value()
	env := Envelope{MID: m.mid, From: m.from.Value(), Received: fromNanos(m.received), Size: m.size,
		Stage: m.stage, Outgoing: o.outgoing, EightBit: o.eightBit,
		BounceOf: m.bounceOf, Internal: o.internal,
		ICID: m.icid, Listener: o.listener, RemoteIP: o.remoteIP, RemoteHost: o.remoteHost,
		HELO: o.helo, Group: o.group, User: o.user,
		Recipients: make([]Recipient, 0, m.unfinished)}
	for i := range m.recipients {
		if r := &m.recipients[i]; r.attempts != finished {
			env.Recipients = append(env.Recipients, Recipient{RID: int(r.rid), Address: r.address,
				Attempts: int(r.attempts), Next: fromNanos(r.next), Last: errorOf(r.last),
				Host: hostOf(r.host), Warnings: int(r.warnings)})
		}
	}
	return env
}

// bytes returns how much of the quota the message uses.
func (m *message) bytes() int64 { return recordHeaderSize + int64(m.headLen) + m.size }

// inLog returns the length of the message's record.
func (m *message) inLog() int64 {
	if m.large != nil {
		return recordHeaderSize + int64(m.headLen)
	}
	return m.bytes()
}

// enter notes that the newest record of the message is at an offset of s.
func (m *message) enter(s *segment, off int64, headLen int) {
	m.seg, m.off, m.headLen = s, uint32(off), uint32(headLen)
	s.live++
	s.bytes += m.inLog()
}

// leave is the opposite of enter.
func (m *message) leave() {
	m.seg.live--
	m.seg.bytes -= m.inLog()
}

// find returns an unfinished recipient, or nil.
func (m *message) find(rid int) *recipient {
	i, ok := slices.BinarySearchFunc(m.recipients, rid, func(r recipient, rid int) int {
		return cmp.Compare(int(r.rid), rid)
	})
	if !ok || m.recipients[i].attempts == finished {
		return nil
	}
	return &m.recipients[i]
}

// check returns an error if the changes cannot be applied, in their order, to the message.
func (m *message) check(changes []Change) error {
	known := map[int]bool{} // recipients that an earlier change finished (false) or added (true)
	exists := func(rid int) bool {
		e, ok := known[rid]
		return ok && e || !ok && m.find(rid) != nil
	}
	for i := range changes {
		c := &changes[i]
		if err := checkChange(c, exists); err != nil {
			return err
		}
		if c.finishes() || c.Kind == KindAdded {
			known[c.RID] = c.Kind == KindAdded
		}
	}
	return m.checkCount(changes)
}

func (m *message) checkCount(changes []Change) error {
	n := int(m.unfinished)
	for i := range changes {
		if changes[i].Kind == KindAdded {
			n++
		}
	}
	if n > MaxRecipients {
		return fmt.Errorf("queue: a message would have %d recipients, want at most %d",
			n, MaxRecipients)
	}
	return nil
}

func checkChange(c *Change, exists func(rid int) bool) error {
	switch c.Kind {
	case KindStageDone:
		return nil
	case KindAdded:
		if exists(c.RID) {
			return fmt.Errorf("queue: the message has a recipient with RID %d", c.RID)
		}
		return checkRecipient(c.RID, c.Address, "")
	case KindDeferred, KindDelivered, KindBounced, KindDeleted, KindRedirected, KindWarned:
		if !exists(c.RID) {
			return fmt.Errorf("%w: RID %d", ErrNoRecipient, c.RID)
		}
		return checkRecipient(c.RID, "", c.Host)
	}
	return fmt.Errorf("queue: a change of the unknown kind %d", c.Kind)
}

// apply makes a change that check has accepted. A change of an unknown recipient is ignored. It
// returns by how much the number of recipients without an attempt has changed.
func (m *message) apply(c *Change) (unattempted int) {
	if c.Kind == KindStageDone {
		m.stage = Delivery
		return 0
	}
	r := m.find(c.RID)
	if c.Kind == KindAdded && r == nil {
		m.add(recipient{address: strings.Clone(c.Address), next: toNanos(time.Time{}),
			rid: int32(c.RID)})
		return 1
	}
	if r == nil {
		return 0
	}
	if (c.finishes() || c.Kind == KindDeferred) && r.attempts == 0 {
		unattempted = -1
	}
	switch {
	case c.finishes():
		r.attempts = finished
		m.unfinished--
		m.shrink()
	case c.Kind == KindDeferred:
		r.next, r.last = toNanos(c.Next), internError(c.Last)
		r.attempts = min(r.attempts, math.MaxInt32-1) + 1
	case c.Kind == KindWarned:
		r.warnings = min(r.warnings, math.MaxUint8-1) + 1
	case c.Kind == KindRedirected:
		r.host, r.next = internHost(c.Host), toNanos(time.Time{})
	}
	return unattempted
}

// add adds a recipient whose RID no unfinished one has.
func (m *message) add(r recipient) {
	i, found := slices.BinarySearchFunc(m.recipients, r.rid, func(r recipient, rid int32) int {
		return cmp.Compare(r.rid, rid)
	})
	if found { // a finished one
		m.recipients[i] = r
	} else {
		m.recipients = slices.Insert(m.recipients, i, r)
	}
	m.unfinished++
}

// shrink removes the finished recipients once they are the majority, so that finishing each
// recipient of a large message takes a constant time on average.
func (m *message) shrink() {
	if int(m.unfinished) >= len(m.recipients)/2 {
		return
	}
	kept := make([]recipient, 0, m.unfinished)
	for _, r := range m.recipients {
		if r.attempts != finished {
			kept = append(kept, r)
		}
	}
	m.recipients = kept
}
