package packets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// A Packet is a packet that has passed a cable.
type Packet struct {
	Time time.Time `json:"time"` // of the simulated world
	// Direction is "out" if the machine that the cable belongs to has sent the packet, otherwise "in".
	// On a path, "out" is away from the appliance.
	Direction string `json:"direction"`
	Length    int    `json:"length"` // on the cable, in bytes
	// Data is the packet, or its beginning: an Ethernet frame on a cable of type "ethernet", an IP
	// packet on one of type "raw".
	Data []byte `json:"data"`
	// Dropped is the number of packets before this one that the watch has lost since the one before.
	Dropped uint64 `json:"dropped,omitempty"`
	// Rebooted tells that the world was built again before this packet, by a reboot or a reset.
	Rebooted bool `json:"rebooted,omitempty"`
}

// Bounds of what waits for the reader of a watch.
const (
	maxQueued      = 8192
	maxQueuedBytes = 8 << 20
)

// A Watch is a queue of the packets that pass a cable. It continues after a reboot and after a
// reset. Its methods are safe for concurrent use.
type Watch struct {
	owner   *Cables
	cable   netsim.Cable
	filter  filter
	snapLen int

	remove func() // of the observer in the current world; guarded by owner.mu

	mu      sync.Mutex // a leaf
	queue   []Packet
	bytes   int           // of the data in the queue
	ready   chan struct{} // has a token if the queue is not empty, or the watch is closed
	lost    uint64        // since the last packet in the queue
	dropped uint64
	booted  bool // the next packet is the first after a boot
	err     error
}

// Cable returns the cable.
func (w *Watch) Cable() netsim.Cable { return w.cable }

// Filter returns the filter's text.
func (w *Watch) Filter() string { return w.filter.text }

// Dropped returns the number of packets that the watch has lost because its reader was too slow.
func (w *Watch) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Next returns the next packet. It blocks until there is one, ctx ends or the watch is closed. What
// was queued before the watch was closed is still returned, then io.EOF, or the cause of the context
// of the watch. The caller owns the packet.
func (w *Watch) Next(ctx context.Context) (Packet, error) {
	for {
		if p, ok, err := w.take(); ok || err != nil {
			return p, err
		}
		select {
		case <-w.ready:
		case <-ctx.Done():
			return Packet{}, context.Cause(ctx)
		}
	}
}

// take returns the first packet of the queue, if there is one.
func (w *Watch) take() (p Packet, ok bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return Packet{}, false, w.err
	}
	p = w.queue[0]
	w.queue[0] = Packet{}
	w.queue = w.queue[1:]
	w.bytes -= len(p.Data)
	if len(w.queue) > 0 || w.err != nil {
		w.signal()
	}
	return p, true, nil
}

// Pending returns the number of packets that Next returns without blocking.
func (w *Watch) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// Packets yields the packets of Next until ctx ends or the watch is closed.
func (w *Watch) Packets(ctx context.Context) iter.Seq[Packet] {
	return func(yield func(Packet) bool) {
		for {
			p, err := w.Next(ctx)
			if err != nil || !yield(p) {
				return
			}
		}
	}
}

// Close ends the watch. Calling it again does nothing.
func (w *Watch) Close() { w.owner.closeWatch(w, io.EOF) }

// signal wakes a reader. It is called with mu held.
func (w *Watch) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// end lets Next return err once the queue is empty.
func (w *Watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		w.signal()
	}
}

// observe puts a packet into the queue, or drops it. It runs on the fabric's pump.
func (w *Watch) observe(f netsim.CableFrame) {
	header := 0
	if w.cable.Link == netsim.RawLink {
		header = etherLen
	}
	length := len(f.Frame) - header
	if !w.filter.match(f.Frame, length) {
		return
	}
	data := f.Frame[header:]
	if w.snapLen > 0 && len(data) > w.snapLen {
		data = data[:w.snapLen]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return
	case len(w.queue) >= maxQueued || w.bytes+len(data) > maxQueuedBytes:
		w.lost++
		w.dropped++
		return
	}
	p := Packet{
		Time: f.Time, Direction: "in", Length: length, Data: bytes.Clone(data),
		Dropped: w.lost, Rebooted: w.booted,
	}
	if f.Dir == network.Out {
		p.Direction = "out"
	}
	w.lost, w.booted = 0, false
	w.queue = append(w.queue, p)
	w.bytes += len(data)
	w.signal()
}

// etherLen is the length of an Ethernet header.
const etherLen = 14

// ErrNotRunning is the error of requests while no world runs.
var ErrNotRunning = errors.New("the simulator is not running")

// Cables are the places of one world after another at which packets can be observed. Their methods
// are safe for concurrent use.
type Cables struct {
	o Options

	mu      sync.Mutex
	world   *netsim.World
	watches map[*Watch]func() bool // with what stops following the watch's context
	closed  bool

	capturesMu sync.Mutex // held while captures begin; mu is taken under it
	captures   map[string]*capture
	recorders  sync.WaitGroup
	total      atomic.Int64 // bytes of the files of all captures
}

// New returns the cables of a world that is attached later.
func New(o Options) *Cables {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	return &Cables{
		o: o, watches: make(map[*Watch]func() bool), captures: make(map[string]*capture),
	}
}

// Attach makes the cables those of a world that has the same topology as the one before it. All
// watches continue there. It must be called before the world is started, so that they miss nothing.
func (c *Cables) Attach(world *netsim.World) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.world == nil
	c.world = world
	for w := range c.watches {
		w.remove()
		cable, err := world.Cable(w.cable.Name)
		if err != nil { // does not happen: a box has one topology
			w.end(err)
			w.remove = func() {}
			continue
		}
		if !first {
			w.mu.Lock()
			w.booted = true
			w.mu.Unlock()
		}
		w.cable = cable
		w.remove = world.Observe(cable, w.observe)
	}
}

// Close ends all watches and captures. None can be begun afterwards.
func (c *Cables) Close() {
	c.capturesMu.Lock()
	c.mu.Lock()
	c.closed = true
	var open []*Watch
	for w := range c.watches {
		open = append(open, w)
	}
	c.mu.Unlock()
	c.capturesMu.Unlock()
	for _, w := range open {
		w.Close()
	}
	c.recorders.Wait()
}

// List returns all cables. There are none before Attach.
func (c *Cables) List() []netsim.Cable {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.world == nil {
		return nil
	}
	return c.world.Cables()
}

// Watch begins to queue the packets that pass a cable and match a filter as of tcpdump. An empty
// filter matches all. It ends when ctx does, or with Close; the caller must see to one of them. A
// reader that is too slow loses packets, which are counted; the network never waits. If cable or filter make no
// sense, the error is an *Error.
func (c *Cables) Watch(ctx context.Context, cable, filter string) (*Watch, error) {
	return c.watch(ctx, cable, filter, 0)
}

func (c *Cables) watch(ctx context.Context, name, filter string, snapLen int) (*Watch, error) {
	c.mu.Lock()
	world := c.world
	c.mu.Unlock()
	if world == nil {
		return nil, ErrNotRunning
	}
	cable, err := world.Cable(name)
	if err != nil {
		return nil, &Error{"cable", name, err.Error()}
	}
	w := &Watch{owner: c, cable: cable, snapLen: snapLen, ready: make(chan struct{}, 1)}
	if w.filter, err = compile(world.Topology(), cable, filter); err != nil {
		return nil, err
	}
	world.WaitClients()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrNotRunning
	}
	if c.world != world { // rebooted meanwhile
		if w.cable, err = c.world.Cable(cable.Name); err != nil {
			return nil, fmt.Errorf("watch %s: %w", cable.Name, err)
		}
	}
	w.remove = c.world.Observe(w.cable, w.observe)
	c.watches[w] = context.AfterFunc(ctx, func() { c.closeWatch(w, context.Cause(ctx)) })
	return w, nil
}

// closeWatch ends a watch with an error.
func (c *Cables) closeWatch(w *Watch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop := c.watches[w]
	if stop == nil {
		return
	}
	stop()
	delete(c.watches, w)
	w.remove()
	w.end(err)
}
