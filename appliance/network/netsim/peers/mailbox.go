package peers

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Bounds of what a MailExchanger stores. When they are reached, the oldest messages are dropped.
const (
	maxMessages     = 5000
	maxMessageBytes = 32 << 20 // of all messages together, including those that are arriving
)

// A mailbox stores messages within bounds. It is safe for concurrent use.
type mailbox struct {
	onDrop func() // is called once, with mu held, when the first message is dropped

	mu       sync.Mutex
	messages []Message // the oldest first
	bytes    int64     // of messages, and of texts that are arriving
	lastID   int
	received int
	dropped  int
	warned   bool
	changed  chan struct{} // closed and replaced when a message is stored
}

func newMailbox(onDrop func()) *mailbox {
	return &mailbox{onDrop: onDrop, changed: make(chan struct{})}
}

// reserve makes room for n more bytes, by dropping the oldest messages if necessary. It reports
// whether it succeeded: texts that are arriving cannot be dropped.
func (b *mailbox) reserve(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes+int64(n) > maxMessageBytes {
		if len(b.messages) == 0 {
			return false
		}
		b.dropOldest()
	}
	b.bytes += int64(n)
	return true
}

// release gives room back that has been reserved.
func (b *mailbox) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= n
}

// dropOldest is called with mu held.
func (b *mailbox) dropOldest() {
	b.bytes -= b.messages[0].text.room()
	b.messages[0] = Message{} // frees the text
	b.messages = b.messages[1:]
	b.dropped++
	if !b.warned {
		b.warned = true
		b.onDrop()
	}
}

// store adds a message, for whose text room has been reserved.
func (b *mailbox) store(m Message) (id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastID++
	b.received++
	m.ID = b.lastID
	b.messages = append(b.messages, m)
	if len(b.messages) > maxMessages {
		b.dropOldest()
	}
	b.announce()
	return m.ID
}

// wake closes the channel of contents, although nothing is stored.
func (b *mailbox) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announce()
}

// announce is called with mu held.
func (b *mailbox) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// contents returns the messages that are stored, the oldest first, the number of those that have
// been received and dropped, and a channel that is closed when another one is stored.
func (b *mailbox) contents() (stored []Message, received, dropped int, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages), b.received, b.dropped, b.changed
}

// clear forgets all messages and their numbers, except that no identifier is used again.
func (b *mailbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		b.bytes -= m.text.room()
	}
	b.messages, b.received, b.dropped = nil, 0, 0
}

// await blocks until n messages have been received.
func (b *mailbox) await(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		received, more := b.received, b.changed
		b.mu.Unlock()
		if received >= n {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages have arrived: %w", received, n, context.Cause(ctx))
		}
	}
}
