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

// A recording is a capture from Start to its end. Its writer, the goroutine of run, is the only
// one that uses its files. Other goroutines call end to end the capture, and wait for done.
type recording struct {
	clock    clock.Clock
	owner    Owner
	settings Settings
	started  time.Time
	since    clock.Mark
	queue    *queue
	taps     []network.Tap
	out      *output
	// stopping is called by run before the taps are closed.
	stopping func(file string, side Side, event uint64)
	// ended is called by run with the last status, before done is closed.
	ended func(last Status, event uint64)
	event uint64 // the number of the event that it began

	flushRequests chan chan struct{} // run flushes the queue and closes the received channel
	ending        chan struct{}      // closed by end
	done          chan struct{}      // closed when the files are closed and last is set
	last          Status
	cancelEnd     []func() bool // cancel what scheduleEnd has scheduled

	mu     sync.Mutex
	reason Reason
	err    error

	file    atomic.Pointer[string]
	size    atomic.Int64
	packets atomic.Uint64
}

// end asks run to end the capture and returns immediately. The reason of the first call is
// kept.
func (c *recording) end(reason Reason, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != NotEnded {
		return
	}
	c.reason, c.err = reason, err
	close(c.ending)
}

// scheduleEnd makes the capture end with its session and after its duration.
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

// run writes the queue to the files until the capture ends, then closes taps and files.
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
	c.stopping(*c.file.Load(), c.owner.Side, c.event)
	for _, t := range c.taps {
		_ = t.Close() // the capture does not depend on it
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
	c.ended(c.last, c.event)
}

// flush writes the queue to the files. After a failed write the rest is discarded.
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

// publish makes the newest file and the size of all files known to status.
func (c *recording) publish() {
	name := path.Base(c.out.path)
	c.file.Store(&name)
	c.size.Store(c.out.total())
}

// sync blocks until all frames that are in the queue now have been written.
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
