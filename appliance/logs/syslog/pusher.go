package syslog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// closeTimeout bounds how long Close keeps sending.
const closeTimeout = 2 * time.Second

// A Pusher sends records to a server. Its methods are safe for concurrent use.
type Pusher struct {
	settings Settings
	options  Options
	queue    queue
	sender   sender

	ctx         context.Context // ends when the goroutines must exit
	cancel      context.CancelFunc
	closing     chan struct{} // closed when Close begins
	spoolerWake chan struct{} // of capacity 1
	senderWake  chan struct{} // of capacity 1
	running     sync.WaitGroup
	closeOnce   sync.Once

	mu         sync.Mutex // guards the following fields; taken before queue.mu
	closed     bool
	formatter  formatter
	scratch    []byte
	dropping   bool    // new records are dropped
	droppedRun int     // records dropped since dropping began
	events     []Event // to be delivered
	stats      Stats
}

// Stats are the figures of a Pusher. Counters count since it was made.
type Stats struct {
	Connected string // the server's address while there is a connection; "" otherwise
	// Waiting is the number of records in the queue, on disk and in memory, those in flight
	// included.
	Waiting      int
	WaitingBytes int64
	MemoryOnly   int // of Waiting, those in memory only; after Close they are lost
	Sent         int // records that the server's TCP has acknowledged; with UDP, that were sent
	Resent       int // records sent again after a break
	Lost         int // records in flight when a connection broke, without a buffer on disk
	Dropped      int // records that did not fit into the queue
	// InDoubt is how many records at most may have been lost in servers that had
	// acknowledged them when a connection broke. LastInDoubt is the share of the last break.
	InDoubt, LastInDoubt int
	// LastUnread is how many of LastInDoubt at most the server's process had not read. If that is
	// not known, it is LastInDoubt.
	LastUnread int
	Breaks     int    // connections that the server closed
	Failures   int    // connections that could not be opened, or fell silent
	LastError  string // text of the last critical Event
}

// New returns a Pusher that works until Close. It continues the buffer on disk that an earlier
// Pusher left. New does not wait for the server.
func New(o Options, s Settings) (*Pusher, error) {
	err := s.setDefaults()
	if err == nil {
		err = o.setDefaults(s)
	}
	if err != nil {
		return nil, fmt.Errorf("push to a syslog server: %w", err)
	}
	p := &Pusher{
		settings: s, options: o, formatter: newFormatter(s),
		closing: make(chan struct{}), spoolerWake: make(chan struct{}, 1),
		senderWake: make(chan struct{}, 1),
	}
	p.queue.memoryLimit, p.queue.limit = o.MemoryLimit, o.MemoryLimit
	if s.Buffer > 0 {
		p.queue.limit = s.Buffer
		if p.queue.spool, err = openSpool(o.Dir, o.Reserve); err != nil {
			return nil, err
		}
		p.queue.spooledBytes.Store(p.queue.spool.size)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.sender = sender{
		Pusher: p, reported: map[string]bool{},
		headerFormatter: newFormatter(s), delay: o.Backoff[0],
	}
	p.running.Go(p.runSpooler)
	p.running.Go(p.sender.run)
	wake(p.senderWake)
	return p, nil
}

// wake wakes the goroutine that waits on c, now or when it next does.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Push queues a text as a record. Its stamp is t in t's own zone; level is the word before the
// text, or "" for none. Push does not block: a text that does not fit into the queue is counted,
// and the first record after the gap says how many are missing.
func (p *Pusher) Push(t time.Time, level, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	var n int
	p.scratch, n = p.formatter.append(p.scratch[:0], t, level, text)
	p.queue.mu.Lock()
	waits := p.queue.inMemory.size + p.queue.spooledBytes.Load()
	room := p.queue.hasRoom(int64(len(p.scratch)))
	if p.dropping {
		// Keep dropping until half of the queue is free: one gap is better than many.
		room = room && waits <= p.queue.limit/2 && p.queue.inMemory.size <= p.queue.memoryLimit/2
	}
	if room && p.dropping {
		gap := fmt.Sprintf("%d messages were dropped: the buffer was full.", p.droppedRun)
		note, _ := p.formatter.append(nil, t, "Warning", gap)
		p.queue.inMemory.append(note)
	}
	if room {
		p.queue.inMemory.append(p.scratch)
	}
	p.queue.mu.Unlock()
	p.countDropped(room, n)
	if p.queue.spool != nil {
		wake(p.spoolerWake)
	} else {
		wake(p.senderWake)
	}
}

// countDropped counts the records of a text if it did not fit into the queue. mu must be held.
func (p *Pusher) countDropped(hasRoom bool, records int) {
	switch {
	case hasRoom && p.dropping:
		p.dropping = false
		text := fmt.Sprintf(
			"Subscription %s: %d messages for syslog server %s were dropped: the buffer was full",
			p.settings.Subscription, p.droppedRun, p.settings.Server)
		p.events = append(p.events, Event{Kind: RecordsDropped, Records: p.droppedRun, Text: text})
		p.droppedRun = 0
		wake(p.spoolerWake)
	case !hasRoom:
		p.droppedRun += records
		p.stats.Dropped += records
		if !p.dropping {
			p.dropping = true
			text := fmt.Sprintf("Log Error: Subscription %s: "+
				"The buffer for syslog server %s is full, new messages are dropped",
				p.settings.Subscription, p.settings.Server)
			p.events = append(p.events, Event{Kind: BufferFull, Text: text})
			p.stats.LastError = text
			wake(p.spoolerWake)
		}
	}
}

// runSpooler is the spooler. It writes records to disk and delivers events until the Pusher
// ends.
func (p *Pusher) runSpooler() {
	scratch := make([]byte, 0)
	if p.queue.spool != nil {
		scratch = make([]byte, batchSize)
	}
	reported := false // the present disk error
	for {
		p.deliverEvents()
		stored, err := false, error(nil)
		if p.queue.spool != nil {
			stored, err = p.queue.spoolBatch(scratch)
		}
		switch {
		case err != nil && !reported:
			reported = true
			p.options.Logger.Warn("the buffer of a syslog push cannot be written",
				"subscription", p.settings.Subscription, "err", err)
			p.addEvent(DiskFailed, 0, "The disk buffer for syslog server %s cannot be written",
				p.settings.Server)
			continue
		case stored:
			reported = false
		}
		if stored || err != nil {
			wake(p.senderWake)
		}
		if stored {
			continue
		}
		stopTimer := func() bool { return true }
		if err != nil {
			// Try again later. Until then the sender takes records from memory.
			stopTimer = p.options.Clock.AfterFunc(p.options.Backoff[0],
				func() { wake(p.spoolerWake) })
		}
		select {
		case <-p.spoolerWake:
			stopTimer()
		case <-p.ctx.Done():
			stopTimer()
			p.deliverEvents()
			return
		}
	}
}

// deliverEvents calls OnEvent for each event that has not been delivered.
func (p *Pusher) deliverEvents() {
	p.mu.Lock()
	events := p.events
	p.events = nil
	p.mu.Unlock()
	for _, e := range events {
		p.options.OnEvent(e)
	}
}

// Stats returns the present figures.
func (p *Pusher) Stats() Stats {
	bytes, records := p.queue.waiting()
	_, memoryOnly := p.queue.memoryOnly()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Waiting, s.WaitingBytes, s.MemoryOnly = records, bytes, memoryOnly
	return s
}

// updateStats calls f to change the figures.
func (p *Pusher) updateStats(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

// Close sends the records in the queue, if there is a connection or one is being opened, and
// stops the Pusher. It waits two seconds at most, and no longer than ctx. Records that the
// server has not acknowledged by then stay on disk; without a buffer on disk, or room there,
// they are lost. A further call of Close waits for the first one.
func (p *Pusher) Close(ctx context.Context) (err error) {
	p.closeOnce.Do(func() { err = p.close(ctx) })
	return err
}

func (p *Pusher) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.closing)
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	stopTimer := clock.System().AfterFunc(closeTimeout, p.cancel)
	defer stopTimer()
	p.running.Wait()
	if err := p.queue.spoolAll(); err != nil {
		bytes, records := p.queue.memoryOnly()
		p.options.Logger.Warn("a syslog push ended with messages that are lost",
			"subscription", p.settings.Subscription,
			"messages", records, "bytes", bytes, "err", err)
	}
	return p.queue.close()
}
