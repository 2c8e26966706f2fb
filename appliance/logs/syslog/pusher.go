package syslog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// farewell bounds how long Close goes on sending.
const farewell = 2 * time.Second

// A Pusher sends records to a server. Its methods are safe for concurrent use.
type Pusher struct {
	settings Settings
	options  Options
	queue    queue
	sender   sender

	life    context.Context // ends when nobody waits for the sender any more
	end     context.CancelFunc
	closing chan struct{}
	work    chan struct{} // for the keeper
	more    chan struct{} // for the sender
	running sync.WaitGroup
	shut    sync.Once

	mu       sync.Mutex // guards what follows; taken before queue.mu
	closed   bool
	form     form
	scratch  []byte
	dropping bool
	run      int // records dropped since dropping began
	events   []Event
	stats    Stats
}

// Stats are a Pusher's figures, since it was made unless they say otherwise.
type Stats struct {
	Connected string // the server's address while there is a connection; "" otherwise
	// What waits now, on disk and in memory, the batch that is under way included.
	Waiting      int
	WaitingBytes int64
	MemoryOnly   int // of them, those in memory only: after Close they are lost
	Sent         int // records that the server's TCP has acknowledged; of datagrams, that were sent
	Resent       int // records sent again after a break
	Lost         int // records under way when a connection broke, without a buffer on disk
	Dropped      int // records for which there was no room
	// InDoubt is how many records at most may have been lost in servers that had
	// acknowledged them when the connection broke; the second for the last break alone.
	InDoubt, LastInDoubt int
	Breaks               int // connections that the server closed
	Failures             int // connections that did not come about, or fell silent
	LastError            string
}

// New returns a Pusher that works until Close. Its buffer on disk goes on where it was
// left. It does not wait for the server.
func New(o Options, s Settings) (*Pusher, error) {
	err := s.complete()
	if err == nil {
		err = o.complete(s)
	}
	if err != nil {
		return nil, fmt.Errorf("push to a syslog server: %w", err)
	}
	p := &Pusher{
		settings: s, options: o, form: newForm(s),
		closing: make(chan struct{}), work: make(chan struct{}, 1), more: make(chan struct{}, 1),
	}
	p.queue.memory, p.queue.limit = o.MemoryLimit, o.MemoryLimit
	if s.Buffer > 0 {
		p.queue.limit = s.Buffer
		if p.queue.spool, err = openSpool(o.Dir, o.Reserve); err != nil {
			return nil, err
		}
		p.queue.stored.Store(p.queue.spool.size)
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.sender = sender{Pusher: p, told: map[string]bool{}, form: newForm(s), delay: o.Backoff[0]}
	p.running.Go(p.keep)
	p.running.Go(p.sender.run)
	signal(p.more)
	return p, nil
}

// signal wakes who waits on c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Push queues a text as a record. t, in the zone of whom it is shown to, is its stamp;
// level is the word in front of the text, "" for none. Push does not block: a text for
// which there is no room is counted, and the first record after it says so.
func (p *Pusher) Push(t time.Time, level, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	var n int
	p.scratch, n = p.form.append(p.scratch[:0], t, level, text)
	p.queue.mu.Lock()
	waits := p.queue.fresh.size + p.queue.stored.Load()
	room := p.queue.room(int64(len(p.scratch)))
	if p.dropping {
		// Who drops goes on until half of the queue is free: one gap tells more than many.
		room = room && waits <= p.queue.limit/2 && p.queue.fresh.size <= p.queue.memory/2
	}
	if room && p.dropping {
		gap := fmt.Sprintf("%d messages were dropped: the buffer was full.", p.run)
		note, _ := p.form.append(nil, t, "Warning", gap)
		p.queue.fresh.append(note)
	}
	if room {
		p.queue.fresh.append(p.scratch)
	}
	p.queue.mu.Unlock()
	p.noteRoom(room, n)
	if p.queue.spool != nil {
		signal(p.work)
	} else {
		signal(p.more)
	}
}

// noteRoom counts what is dropped. It is called with mu held.
func (p *Pusher) noteRoom(room bool, records int) {
	switch {
	case room && p.dropping:
		p.dropping = false
		p.events = append(p.events, Event{Kind: RecordsDropped, Records: p.run, Text: fmt.Sprintf(
			"Subscription %s: %d messages for syslog server %s were dropped: the buffer was full",
			p.settings.Subscription, p.run, p.settings.Server)})
		p.run = 0
		signal(p.work)
	case !room:
		p.run += records
		p.stats.Dropped += records
		if !p.dropping {
			p.dropping = true
			text := fmt.Sprintf("Log Error: Subscription %s: The buffer for syslog server %s is full, new messages are dropped",
				p.settings.Subscription, p.settings.Server)
			p.events = append(p.events, Event{Kind: BufferFull, Text: text})
			p.stats.LastError = text
			signal(p.work)
		}
	}
}

// keep is the keeper: it brings records to the disk and tells of trouble, until the
// Pusher ends.
func (p *Pusher) keep() {
	scratch := make([]byte, 0)
	if p.queue.spool != nil {
		scratch = make([]byte, batchSize)
	}
	told := false
	for {
		p.tell()
		stored, err := false, error(nil)
		if p.queue.spool != nil {
			stored, err = p.queue.store(scratch)
		}
		switch {
		case err != nil && !told:
			told = true
			p.options.Logger.Warn("the buffer of a syslog push cannot be written", "subscription", p.settings.Subscription, "err", err)
			p.event(DiskFailed, 0, "The disk buffer for syslog server %s cannot be written", p.settings.Server)
			continue
		case stored:
			told = false
		}
		if stored || err != nil {
			signal(p.more)
		}
		if stored {
			continue
		}
		again := func() bool { return true }
		if err != nil {
			// The disk may have room again; until then the sender takes what it can.
			again = p.options.Clock.AfterFunc(p.options.Backoff[0], func() { signal(p.work) })
		}
		select {
		case <-p.work:
			again()
		case <-p.life.Done():
			again()
			p.tell()
			return
		}
	}
}

// tell delivers what is to be told.
func (p *Pusher) tell() {
	p.mu.Lock()
	events := p.events
	p.events = nil
	p.mu.Unlock()
	for _, e := range events {
		p.options.OnEvent(e)
	}
}

// Stats returns the figures as they are now.
func (p *Pusher) Stats() Stats {
	bytes, records := p.queue.waiting()
	_, unkept := p.queue.unkept()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Waiting, s.WaitingBytes, s.MemoryOnly = records, bytes, unkept
	return s
}

// count changes the figures.
func (p *Pusher) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

// Close sends what is waiting, if there is a connection or one is being made, and ends
// the Pusher. It waits for that for two seconds at most, and no longer than ctx. What the
// server has not got then is kept on disk or, without a buffer or room there, lost. Who
// calls Close again waits for the first call.
func (p *Pusher) Close(ctx context.Context) (err error) {
	p.shut.Do(func() { err = p.close(ctx) })
	return err
}

func (p *Pusher) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.closing)
	stop := context.AfterFunc(ctx, p.end)
	defer stop()
	late := clock.System().AfterFunc(farewell, p.end)
	defer late()
	p.running.Wait()
	if err := p.queue.keep(); err != nil {
		bytes, records := p.queue.unkept()
		p.options.Logger.Warn("a syslog push ended with messages that are lost", "subscription", p.settings.Subscription,
			"messages", records, "bytes", bytes, "err", err)
	}
	return p.queue.close()
}
