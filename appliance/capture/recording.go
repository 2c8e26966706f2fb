package capture

import (
	"context"
	"errors"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A recording is a capture from Start to its end. Its goroutine, write, is the only
// one that touches its files; everybody else asks for the end with end and waits for
// done.
type recording struct {
	clock    clock.Clock
	owner    Owner
	settings Settings
	started  time.Time
	since    clock.Mark
	queue    *queue
	taps     []network.Tap
	out      *output
	// finished is called by write with the last status, before done is closed.
	ended func(Status)

	flushRequests chan chan struct{} // asks write to write what waits
	ending        chan struct{}      // closed by end
	done          chan struct{}      // closed when all is closed; last is set then
	last          Status
	cancelEnd     []func() bool // of what would end it

	mu     sync.Mutex
	reason Reason
	err    error

	file    atomic.Pointer[string]
	size    atomic.Int64
	packets atomic.Uint64
}

// end asks for the end. The first reason counts.
func (c *recording) end(why Reason, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != NotEnded {
		return
	}
	c.reason, c.err = why, err
	close(c.ending)
}

// endAt makes the capture end by itself: with its session, or when its time is over.
func (c *recording) scheduleEnd(ctx context.Context) {
	if c.owner.Side != GUI {
		c.cancelEnd = append(c.cancelEnd, context.AfterFunc(ctx, func() { c.end(SessionEnded, nil) }))
	}
	if c.settings.Duration > 0 {
		c.cancelEnd = append(c.cancelEnd, c.clock.AfterFunc(c.settings.Duration, func() {
			c.end(DurationReached, nil)
			<-c.done
		}))
	}
}

// write is the writer: it runs until the capture ends and closes what is open.
func (c *recording) run() {
	defer close(c.done)
	for running := true; running; {
		select {
		case <-c.queue.ready:
			c.flush()
		case written := <-c.flushRequests:
			c.flush()
			close(written)
		case <-c.ending:
			running = false
		}
	}
	elapsed := c.clock.Since(c.since)
	for _, cancel := range c.cancelEnd {
		cancel()
	}
	for _, t := range c.taps {
		_ = t.Close() // nothing of the capture depends on it
	}
	c.queue.close()
	c.flush()
	err := c.out.finish()
	c.publish()

	c.last = c.status()
	c.last.Running, c.last.Elapsed = false, elapsed
	c.last.Reason, c.last.Err = c.reason, c.err
	switch {
	case err == nil || c.last.Reason.IsFailure():
	case c.settings.KeepNewest:
		c.last.Reason = NotJoined
	default:
		c.last.Reason = reasonOf(err)
	}
	c.last.Err = errors.Join(c.last.Err, err)
	c.ended(c.last)
}

// flush writes what waits. Once a write has failed, the rest goes nowhere.
func (c *recording) flush() {
	chunks := c.queue.take()
	for _, chunk := range chunks {
		if c.out.failed {
			break
		}
		n, err := c.out.write(chunk)
		c.packets.Add(uint64(n))
		switch {
		case errors.Is(err, errSizeLimit):
			c.end(SizeReached, nil)
		case err != nil:
			c.end(reasonOf(err), err)
		}
	}
	c.publish()
	c.queue.recycle(chunks)
}

func reasonOf(err error) Reason {
	if errors.Is(err, syscall.ENOSPC) {
		return DiskFull
	}
	return WriteFailed
}

// publish shows others how far the files are.
func (c *recording) publish() {
	name := path.Base(c.out.path)
	c.file.Store(&name)
	c.size.Store(c.out.total())
}

// sync waits until everything that the taps have brought is written.
func (c *recording) sync() {
	written := make(chan struct{})
	select {
	case c.flushRequests <- written:
		<-written
	case <-c.done:
	}
}

func (c *recording) status() Status {
	return Status{
		Running:  true,
		Owner:    c.owner,
		File:     *c.file.Load(),
		Started:  c.started,
		Elapsed:  c.clock.Since(c.since),
		Size:     c.size.Load(),
		Packets:  c.packets.Load(),
		Dropped:  c.queue.droppedFrames(),
		Settings: c.settings.clone(),
	}
}
