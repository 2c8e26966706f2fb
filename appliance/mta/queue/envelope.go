package queue

import (
	"net/netip"
	"time"
)

// A Stage says which part of the appliance a message waits for.
type Stage uint8

const (
	// WorkQueue is the stage of messages that the pipeline has not processed.
	WorkQueue Stage = iota
	// Delivery is the stage of messages that wait for delivery.
	Delivery
)

// String returns the stage's name, for logs and tests.
func (s Stage) String() string {
	if s == WorkQueue {
		return "work queue"
	}
	return "delivery"
}

// An Envelope is what is known of a message, except its body. Times have nanoseconds and no
// location: those that the queue returns are in UTC.
type Envelope struct {
	MID        uint64
	From       string      // the envelope sender; "" is the null sender
	Recipients []Recipient // the unfinished ones, by ascending RID
	Received   time.Time
	Size       int64 // of the body in bytes; the queue sets it
	Stage      Stage
	Outgoing   bool       // sent by a host that may relay
	EightBit   bool       // the client has declared BODY=8BITMIME
	BounceOf   uint64     // the MID of the message that this bounce is about, or 0
	Internal   string     // which part of the appliance made the message; "" if it was received
	ICID       uint64     // the connection that it arrived by; 0 if the appliance made it
	Listener   string     // the name of the listener
	RemoteIP   netip.Addr // of the client
	RemoteHost string     // the client's verified name
	HELO       string     // what the client called itself
	Group      string     // the sender group that the client matched
	User       string     // that the client authenticated as
}

// MaxRecipients is how many recipients a message may have.
const MaxRecipients = 100_000

// A Recipient is one unfinished recipient of a message.
type Recipient struct {
	RID      int // unique in the message
	Address  string
	Attempts int       // failed attempts to deliver
	Next     time.Time // when to try again; zero means at once
	Last     LastError // of the latest attempt; zero before the first
	Host     string    // that an administrator has redirected it to; "": that of its address
	Warnings int       // delay warnings that the sender got about it, at most 255
}

// A LastError says why an attempt to deliver failed. The queue keeps at most 512 bytes of it.
type LastError struct {
	Code   int    // of the SMTP reply; 0 if there was none
	Status string // the enhanced status code, such as "4.1.0"
	Phrase string // what the status means
	Text   string // of the SMTP reply, or another reason
}

// A ChangeKind says what happens to a recipient or a message.
type ChangeKind uint8

// The kinds of changes, each named like the function that makes one.
const (
	KindDeferred ChangeKind = iota + 1
	KindDelivered
	KindBounced
	KindDeleted
	KindRedirected
	KindAdded
	KindStageDone
	KindWarned
)

// A Change is something that happens to a message. Make one with Deferred, Delivered, Bounced,
// Deleted, Redirected, Added, StageDone or Warned.
type Change struct {
	Kind    ChangeKind
	RID     int       // which recipient; unused by StageDone
	Next    time.Time // of Deferred
	Last    LastError // of Deferred
	Address string    // of Added
	Host    string    // of Redirected
}

// Deferred counts a failed attempt for a recipient, whose next attempt is due at next.
func Deferred(rid int, next time.Time, last LastError) Change {
	return Change{Kind: KindDeferred, RID: rid, Next: next, Last: last}
}

// Delivered finishes a recipient whose server has accepted the message.
func Delivered(rid int) Change { return Change{Kind: KindDelivered, RID: rid} }

// Bounced finishes a recipient that the message cannot be delivered to.
func Bounced(rid int) Change { return Change{Kind: KindBounced, RID: rid} }

// Deleted finishes a recipient that an administrator has deleted.
func Deleted(rid int) Change { return Change{Kind: KindDeleted, RID: rid} }

// Redirected has a recipient delivered to another host than that of its address, which stays. Its
// next attempt is due at once.
func Redirected(rid int, host string) Change {
	return Change{Kind: KindRedirected, RID: rid, Host: host}
}

// Added adds a recipient. Its RID must be one that the message has never used: the queue knows
// only those of unfinished recipients, and refuses them.
func Added(rid int, address string) Change {
	return Change{Kind: KindAdded, RID: rid, Address: address}
}

// StageDone moves a message from the work queue to delivery. A loss of power, or a failing disk,
// shortly afterwards may put it back into the work queue: an Update that contains nothing else
// does not wait for the disk, because processing a message twice does no harm.
func StageDone() Change { return Change{Kind: KindStageDone} }

// Warned counts a delay warning about a recipient, which the sender got.
func Warned(rid int) Change { return Change{Kind: KindWarned, RID: rid} }

// finishes reports whether the change finishes its recipient.
func (c *Change) finishes() bool {
	return c.Kind == KindDelivered || c.Kind == KindBounced || c.Kind == KindDeleted
}

// A Result says what an Update has done.
type Result struct {
	// Finished reports whether the update finished the last recipient of the message, which is
	// gone then. It is true for exactly one update in the life of a message.
	Finished bool
	// Remaining is the number of unfinished recipients.
	Remaining int
}

// limit returns e with at most 512 bytes of text.
func (e LastError) limit() LastError {
	left := 512
	for _, s := range []*string{&e.Status, &e.Phrase, &e.Text} {
		if len(*s) > left {
			*s = (*s)[:left]
		}
		left -= len(*s)
	}
	return e
}
