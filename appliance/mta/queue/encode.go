package queue

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unique"
)

// Heads of records are encoded as numbers (varints) and strings (length and bytes), in a fixed
// order. Later versions may append fields to a record of a new kind only.

const (
	flagOutgoing = 1 << iota
	flagLarge
	flagEightBit
	flagWarned // the number of delay warnings of each recipient follows the recipients
)

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendMessage appends the head of a message's record, without changes of another message.
func appendMessage(b []byte, m *message) []byte {
	o := m.origin.Value()
	flags := byte(0)
	if o.outgoing {
		flags |= flagOutgoing
	}
	if m.large != nil {
		flags |= flagLarge
	}
	if o.eightBit {
		flags |= flagEightBit
	}
	if m.warned() {
		flags |= flagWarned
	}
	b = binary.AppendUvarint(b, m.mid)
	b = append(b, byte(m.stage), flags)
	b = binary.AppendVarint(b, m.received)
	b = binary.AppendUvarint(b, uint64(m.size))
	b = binary.AppendUvarint(b, m.bounceOf)
	b = binary.AppendUvarint(b, m.icid)
	ip, _ := o.remoteIP.MarshalBinary() // never fails
	for _, s := range []string{m.from.Value(), o.listener, o.remoteHost, o.helo, o.group, o.user,
		o.internal, string(ip)} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(m.unfinished))
	for i := range m.recipients {
		r := &m.recipients[i]
		if r.attempts == finished {
			continue
		}
		b = binary.AppendUvarint(b, uint64(r.rid))
		b = binary.AppendUvarint(b, uint64(r.attempts))
		b = binary.AppendVarint(b, r.next)
		b = appendString(b, r.address)
		b = appendString(b, hostOf(r.host))
		b = appendError(b, errorOf(r.last))
	}
	if flags&flagWarned == 0 {
		return b
	}
	for i := range m.recipients {
		if r := &m.recipients[i]; r.attempts != finished {
			b = append(b, r.warnings)
		}
	}
	return b
}

// warned reports whether the sender got a warning about an unfinished recipient.
func (m *message) warned() bool {
	return slices.ContainsFunc(m.recipients, func(r recipient) bool {
		return r.attempts != finished && r.warnings > 0
	})
}

// appendError appends the number of fields that follow, 0 for the zero error.
func appendError(b []byte, e LastError) []byte {
	if e == (LastError{}) {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), int64(e.Code))
	b = appendString(b, e.Status)
	b = appendString(b, e.Phrase)
	return appendString(b, e.Text)
}

// appendUpdate appends the head of a record of changes.
func appendUpdate(b []byte, mid uint64, changes []Change) []byte {
	b = binary.AppendUvarint(b, mid)
	b = binary.AppendUvarint(b, uint64(len(changes)))
	for i := range changes {
		c := &changes[i]
		b = append(b, byte(c.Kind))
		b = binary.AppendUvarint(b, uint64(c.RID))
		switch c.Kind {
		case KindDeferred:
			b = appendError(binary.AppendVarint(b, toNanos(c.Next)), c.Last.limit())
		case KindRedirected:
			b = appendString(b, c.Host)
		case KindAdded:
			b = appendString(b, c.Address)
		}
	}
	return b
}

// A decoder takes values from the front of b. After the first error it returns zero values.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	return advance(d, v, n)
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	return advance(d, v, n)
}

// advance returns v, which n bytes stand for; n <= 0 is an error.
func advance[T uint64 | int64](d *decoder, v T, n int) T {
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// limited returns a number that must be at most limit.
func (d *decoder) limited(limit uint64) uint64 {
	v := d.uint()
	if v > limit {
		d.failed, d.b = true, nil
		return 0
	}
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.failed = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// bytes returns a string that shares memory with b.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) lastError() LastError {
	if d.byte() == 0 {
		return LastError{}
	}
	return LastError{Code: int(d.int()), Status: d.string(), Phrase: d.string(), Text: d.string()}
}

// message decodes the head of a message. If large is set, the message's body is in a file of its
// own.
func (d *decoder) message() (m *message, large bool, err error) {
	m = &message{mid: d.limited(maxID), stage: Stage(d.byte())}
	flags := d.byte()
	m.received, m.size = d.int(), int64(d.limited(math.MaxInt64))
	m.bounceOf, m.icid = d.uint(), d.uint()
	m.from = unique.Make(d.string())
	o := origin{listener: d.string(), remoteHost: d.string(), helo: d.string(), group: d.string(),
		user: d.string(), internal: d.string(), outgoing: flags&flagOutgoing != 0,
		eightBit: flags&flagEightBit != 0}
	var ip netip.Addr
	if err := ip.UnmarshalBinary(d.bytes()); err != nil {
		d.failed = true
	}
	o.remoteIP = ip
	m.origin = unique.Make(o)
	// A recipient has at least six bytes.
	n := d.limited(min(MaxRecipients, uint64(len(d.b)/6)))
	m.recipients = make([]recipient, n)
	m.unfinished = int32(n)
	d.recipients(m)
	for i := 0; flags&flagWarned != 0 && i < len(m.recipients); i++ {
		m.recipients[i].warnings = d.byte()
	}
	if d.failed || n == 0 || m.mid == 0 || m.stage > Delivery {
		return nil, false, fmt.Errorf("%w: the head of a message is malformed", errBroken)
	}
	return m, flags&flagLarge != 0, nil
}

func (d *decoder) recipients(m *message) {
	var text strings.Builder // the addresses share one allocation
	ends := make([]int, len(m.recipients))
	for i := range m.recipients {
		r := &m.recipients[i]
		r.rid, r.attempts = int32(d.limited(math.MaxInt32)), int32(d.limited(math.MaxInt32-1))
		r.next = d.int()
		text.Write(d.bytes())
		ends[i] = text.Len()
		r.host = internHost(d.string())
		r.last = internError(d.lastError())
		if i > 0 && r.rid <= m.recipients[i-1].rid {
			d.failed = true
		}
	}
	all, from := strings.Clone(text.String()), 0 // without spare capacity
	for i, end := range ends {
		m.recipients[i].address, from = all[from:end], end
	}
}

// update decodes the head of a record of changes.
func (d *decoder) update() (mid uint64, changes []Change, err error) {
	mid = d.limited(maxID)
	n := d.uint()
	if n > uint64(len(d.b)/2) { // a change has at least two bytes
		return 0, nil, fmt.Errorf("%w: changes are cut off", errBroken)
	}
	changes = make([]Change, 0, min(n, 1024))
	for range n {
		c := Change{Kind: ChangeKind(d.byte()), RID: int(d.limited(math.MaxInt32))}
		switch c.Kind {
		case KindDeferred:
			c.Next, c.Last = fromNanos(d.int()), d.lastError()
		case KindRedirected:
			c.Host = d.string()
		case KindAdded:
			c.Address = d.string()
		case KindDelivered, KindBounced, KindDeleted, KindStageDone, KindWarned:
		default:
			d.failed = true
		}
		changes = append(changes, c)
	}
	if d.failed {
		return 0, nil, fmt.Errorf("%w: changes are malformed", errBroken)
	}
	return mid, changes, nil
}
