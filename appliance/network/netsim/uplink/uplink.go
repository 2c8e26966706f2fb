package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

const (
	// retryTime is the time between two attempts to open an outside end.
	retryTime = 500 * time.Millisecond
	// conflictTime is the time after which an uplink that was refused is tried again.
	conflictTime = 5 * time.Second
	// MaxMTU is the length of the longest packet that passes an uplink.
	MaxMTU = 9000
)

// Config describes an uplink.
type Config struct {
	Uplink topology.Uplink
	Wire   Wire         // the target of kind topology.UplinkNetwork
	Logger *slog.Logger // for the person who runs the program; nil discards
}

// A State is what an uplink does.
type State struct {
	Interface string `json:"interface"`
	To        string `json:"to"`
	Exposed   bool   `json:"exposed"`
	Connected bool   `json:"connected"`        // there is a carrier
	Reason    string `json:"reason,omitempty"` // why there is none

	Received uint64 `json:"received"` // frames from outside that the world was given
	Sent     uint64 `json:"sent"`     // frames that have left
	Invalid  uint64 `json:"invalid"`  // from outside: damaged, or with an address of the world
	Foreign  uint64 `json:"foreign"`  // from outside: for addresses that the world does not have
	Flooded  uint64 `json:"flooded"`  // from outside: more than the world could take
	Storms   uint64 `json:"storms"`   // not sent: beyond the limit of frames to groups
	Overflow uint64 `json:"overflow"` // not sent: more than the outside could take
}

// A link is an open connection with the outside.
type link interface {
	// receive blocks until frames have arrived, and returns them. They are valid until the next
	// call. An error ends the link.
	receive() ([]frame, error)
	// send transmits frames and may block. An error ends the link.
	send(frames []frame) error
	// close makes receive and send return.
	close()
}

// A frame is on the way between the world and the outside.
type frame struct {
	bytes   []byte
	offload offload      // what is missing in it: nothing, on most links
	train   *ether.Train // of which the link makes the frame, in place of bytes; nil: none
}

// release frees a frame that has been sent.
func (f *frame) release() {
	if f.train != nil {
		f.train.Release()
	}
	*f = frame{}
}

// A splitting link can send frames whose data are to be split.
type splitting interface {
	// splits returns the length of the longest packets that the outside makes of such frames; 0 if
	// it does not split them now. It does not block.
	splits() int
}

// A prompt link's send does not wait for the other end to read, but at most for the system to take
// the frames. It is called on two goroutines, one at a time.
type prompt interface{ sendIsPrompt() }

// A lossy link loses frames from outside that the program is too slow for.
type lossy interface {
	// lost returns how many frames it has lost since the call before.
	lost() uint64
}

// A filtering link can drop frames to other machines than mac and groups by itself.
type filtering interface{ accept(mac ether.MAC) error }

// An opener opens links of one kind, one at a time.
type opener interface {
	// open blocks until the other end is there. It calls waiting, with the reason, when it begins
	// to wait. If it can never work, the error is a *fatalError.
	open(ctx context.Context, waiting func(reason string)) (link, error)
	// close frees what stays between two links.
	close()
}

// A fatalError is an error that an end of an uplink will have again and again.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

// A conflictError says that another machine has an address of the appliance.
type conflictError struct{ text string }

func (e *conflictError) Error() string { return e.text }

// An Uplink is the outside end of a cable. It outlasts the worlds that are attached to it one after
// the other. Its methods are safe for concurrent use.
type Uplink struct {
	config Config
	opener opener
	logger *slog.Logger
	out    outQueue
	cancel context.CancelFunc
	ctx    context.Context
	start  sync.Once
	ended  chan struct{} // closed when run has returned

	settled  chan struct{} // closed when the first attempt has an outcome
	settle   sync.Once
	startErr error // of the first attempt; read after settled is closed

	received, sent, invalid, foreign, storms, lost atomic.Uint64

	sending sync.Mutex // held while frames are taken and sent, so that they stay in order

	attached  atomic.Pointer[attachment] // nil: no world
	probing   atomic.Pointer[probe]      // nil: the addresses are ours
	splitter  atomic.Pointer[splitting]  // nil: the link does not split frames
	lossy     atomic.Pointer[lossy]      // nil: the link does not tell what it loses
	defended  atomic.Int64               // the clock.Mark of the latest defense
	connected atomic.Bool

	mu     sync.Mutex // guards what follows, and changes of connected and attached
	reason string
	past   uint64 // frames that the ports of earlier worlds have dropped
}

// An Attachment is a world's end of an uplink.
type Attachment struct {
	Segment   *ether.Segment
	Appliance *ether.Port // the appliance's port on that segment
	// Addrs returns the addresses of that port. It is called on goroutines of the uplink.
	Addrs func() []netip.Addr
}

type attachment struct {
	Attachment
	port *ether.Port // the segment's way out
}

// New returns an uplink that is not connected. If the system cannot have such an uplink, the error
// is an errors.ErrUnsupported.
func New(c Config) (*Uplink, error) {
	if c.Uplink.To.Kind == topology.UplinkNetwork {
		if c.Wire == nil {
			return nil, fmt.Errorf("uplink of %s: %v: there is no such network", c.Uplink.Interface, c.Uplink.To)
		}
		o := newWires(c.Wire)
		u := newUplink(c, o)
		o.mac = func() ether.MAC {
			mac, _ := u.identity()
			return mac
		}
		return u, nil
	}
	o, err := newOpener(c.Uplink.To)
	if err != nil {
		return nil, fmt.Errorf("uplink of %s: %v: %w", c.Uplink.Interface, c.Uplink.To, err)
	}
	return newUplink(c, o), nil
}

func newUplink(c Config, o opener) *Uplink {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	u := &Uplink{
		config: c, opener: o, ended: make(chan struct{}), settled: make(chan struct{}),
		logger: c.Logger.With("interface", c.Uplink.Interface, "uplink", c.Uplink.To.String()),
		reason: "not started",
	}
	u.out.init(c.Uplink.StormLimit)
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// newOpener returns the opener of a target.
func newOpener(t topology.UplinkTarget) (opener, error) {
	switch t.Kind {
	case topology.UplinkTAP:
		return newTAP(t.Name)
	case topology.UplinkPacket:
		return newPacket(t.Name)
	case topology.UplinkVXLAN:
		return newVXLAN(t), nil
	}
	if t.Peer != "" {
		return &datagrams{local: t.Name, remote: t.Peer}, nil
	}
	return &stream{path: t.Name, server: t.Server}, nil
}

// Attach connects a world. Only one can be attached at a time.
func (u *Uplink) Attach(a Attachment) {
	only := a.Appliance
	if u.config.Uplink.Expose {
		only = nil
	}
	name := "uplink/" + u.config.Uplink.Interface
	x := &attachment{Attachment: a, port: a.Segment.NewUplinkPort(name, MaxMTU, only, u.leave)}
	x.port.HandleTrains(u.leaveTrain)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.attached.Store(x)
	u.showCarrier()
}

// Port returns the port of the world that is attached, nil if there is none.
func (u *Uplink) Port() *ether.Port {
	if a := u.attached.Load(); a != nil {
		return a.port
	}
	return nil
}

// Detach disconnects the world. The outside notices nothing but silence.
func (u *Uplink) Detach() {
	u.mu.Lock()
	a := u.attached.Load()
	u.attached.Store(nil)
	if a != nil {
		u.past += a.port.Counters().TxDropped
	}
	u.mu.Unlock()
	if a != nil {
		a.port.Close() // waits for a delivery in progress, so mu is not held
	}
}

// Start connects the outside. It returns when there is a carrier and no other machine has said that
// an address of the appliance is its own, or when the other end is known to be absent: then it is
// connected when it appears. If it cannot work, or the appliance is refused, Start returns why.
// Calling it again returns the same.
func (u *Uplink) Start(ctx context.Context) error {
	u.start.Do(func() { go u.run() })
	select {
	case <-u.settled:
		return u.startErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close disconnects the outside and waits for the uplink's goroutines.
func (u *Uplink) Close() {
	u.cancel()
	u.start.Do(func() { // it has never been started
		u.opener.close()
		close(u.ended)
	})
	<-u.ended
}

// State returns what the uplink does, with the counters since it was made.
func (u *Uplink) State() State {
	u.countLost()
	u.mu.Lock()
	defer u.mu.Unlock()
	s := State{
		Interface: u.config.Uplink.Interface, To: u.config.Uplink.To.String(),
		Exposed: u.config.Uplink.Expose, Connected: u.connected.Load(), Reason: u.reason,
		Received: u.received.Load(), Sent: u.sent.Load(), Invalid: u.invalid.Load(),
		Foreign: u.foreign.Load(), Flooded: u.past + u.lost.Load(), Storms: u.storms.Load(), Overflow: u.out.dropped.Load(),
	}
	if a := u.attached.Load(); a != nil {
		s.Flooded += a.port.Counters().TxDropped
	}
	if o, ok := u.opener.(*wires); ok {
		s.Flooded += o.in.dropped.Load()
	}
	return s
}

// run opens the outside end again and again, until Close.
func (u *Uplink) run() {
	defer close(u.ended)
	defer u.opener.close()
	for u.ctx.Err() == nil {
		l, err := u.opener.open(u.ctx, func(reason string) { u.wait(reason, nil) })
		if err == nil {
			err = u.use(l)
		}
		if u.ctx.Err() != nil {
			break
		}
		pause := retryTime
		if c := (*conflictError)(nil); errors.As(err, &c) {
			pause = conflictTime
		}
		u.wait(err.Error(), err)
		if u.startErr != nil {
			return
		}
		_ = clock.System().Sleep(u.ctx, pause)
	}
	u.settle.Do(func() {
		u.startErr = errors.New("closed")
		close(u.settled)
	})
}

// wait records that there is no carrier, and why. If the first attempt has an error that is
// final, Start returns it.
func (u *Uplink) wait(reason string, err error) {
	u.mu.Lock()
	changed := u.reason != reason
	u.reason = reason
	u.mu.Unlock()
	u.settle.Do(func() {
		fatal, conflict := (*fatalError)(nil), (*conflictError)(nil)
		if errors.As(err, &fatal) || errors.As(err, &conflict) {
			u.startErr = fmt.Errorf("the uplink of %s to %v: %w",
				u.config.Uplink.Interface, u.config.Uplink.To, err)
		}
		close(u.settled)
	})
	if changed && u.startErr == nil {
		u.logger.Warn("the uplink is not connected", "reason", reason)
	}
}

// use moves frames over a link until it breaks.
func (u *Uplink) use(l link) error {
	defer context.AfterFunc(u.ctx, l.close)()
	p := newProbe(u.identity())
	u.probing.Store(p)
	if f, ok := l.(filtering); ok && !u.config.Uplink.Expose && p.mac != (ether.MAC{}) {
		if err := f.accept(p.mac); err != nil {
			l.close()
			return err
		}
	}
	broken := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() { broken <- u.read(l) })
	defer reading.Wait()
	defer l.close()
	if err := u.probe(l, p, broken); err != nil {
		return err
	}
	if s, ok := l.(splitting); ok {
		u.splitter.Store(&s)
		defer u.splitter.Store(nil)
	}
	if s, ok := l.(lossy); ok {
		u.lossy.Store(&s)
		defer u.lossy.Store(nil)
		defer u.countLost()
	}
	u.setConnected(true)
	defer u.setConnected(false)
	for {
		select {
		case <-u.out.wake:
			if err := u.flush(l); err != nil {
				return err
			}
		case err := <-broken:
			return err
		case <-u.ctx.Done():
			return u.ctx.Err()
		}
	}
}

// countLost counts what the link has lost.
func (u *Uplink) countLost() {
	if s := u.lossy.Load(); s != nil {
		u.lost.Add((*s).lost())
	}
}

// flush sends the frames that wait.
func (u *Uplink) flush(l link) error {
	u.sending.Lock()
	defer u.sending.Unlock()
	frames := u.out.take()
	err := l.send(frames)
	for i := range frames {
		if err == nil {
			u.sent.Add(frames[i].count())
		}
		frames[i].release()
	}
	return err
}

// AddrsChanged says that the addresses of the appliance have been changed. They are announced, and
// other machines that have one of them are noticed from now on.
func (u *Uplink) AddrsChanged() {
	mac, addrs := u.identity()
	if mac == (ether.MAC{}) || !u.connected.Load() {
		return
	}
	u.probing.Store(&probe{mac: mac, addrs: addrs})
	for _, frame := range announcements(mac, addrs) {
		u.leave(frame)
	}
}

// setConnected says whether there is a carrier.
func (u *Uplink) setConnected(on bool) {
	u.mu.Lock()
	u.connected.Store(on)
	if on {
		u.reason = ""
		u.out.open()
	} else {
		u.out.shut()
	}
	u.showCarrier()
	u.mu.Unlock()
	if on {
		u.logger.Info("the uplink is connected")
		u.settle.Do(func() { close(u.settled) })
	}
}

// showCarrier shows the carrier to the world. A wire whose simulated machines are exposed is a
// switch, which is up in any case. It is called with mu held.
func (u *Uplink) showCarrier() {
	if a := u.attached.Load(); a != nil && !u.config.Uplink.Expose {
		a.Appliance.SetCarrier(u.connected.Load())
	}
}

// leave is called on the pump with a frame that leaves the world.
func (u *Uplink) leave(frame []byte) {
	if !u.out.put(frame) {
		u.storms.Add(1)
	}
}

// leaveTrain is called on the pump with the frames of a train that leave the world. It reports
// whether it has taken them: the link can split them.
func (u *Uplink) leaveTrain(t *ether.Train) bool {
	s := u.splitter.Load()
	if s == nil || t.MaxPacketLen() > (*s).splits() {
		return false
	}
	u.out.putTrain(t)
	return true
}

// read gives the world what arrives, until the link breaks. If it can, it sends the answers itself:
// to wake another goroutine for each acknowledgement costs more than the acknowledgement.
func (u *Uplink) read(l link) error {
	_, isPrompt := l.(prompt)
	for {
		frames, err := l.receive()
		if err != nil {
			return err
		}
		a := u.attached.Load()
		if a == nil {
			continue
		}
		f := a.port.Fabric()
		f.Hold()
		for _, frame := range frames {
			u.deliver(a, frame)
		}
		f.Release()
		if isPrompt && u.connected.Load() && u.out.takeWake() {
			if err := u.flush(l); err != nil {
				return err
			}
		}
	}
}

// deliver gives the world a frame, or the frames that a card makes of it.
func (u *Uplink) deliver(a *attachment, f frame) {
	if f.offload.kind == gsoTCPv4 || f.offload.kind == gsoTCPv6 {
		if t := ether.NewTrain(f.bytes, f.offload.size); t != nil {
			if u.admit(a, f.bytes, headerLen+maxPacket, uint64(t.FrameCount())) {
				a.port.TransmitTrainAfter(0, t)
			}
			return
		}
	}
	whole := f.offload.finish(f.bytes, func(b []byte) {
		if u.admit(a, b, maxFrame, 1) {
			a.port.Transmit(b)
		}
	})
	if !whole {
		u.invalid.Add(1)
	}
}

// admit reports whether the world is given a frame, which may have limit bytes and stands for n
// frames, and counts it.
func (u *Uplink) admit(a *attachment, frame []byte, limit int, n uint64) bool {
	if !isValid(frame, limit) {
		u.invalid.Add(n)
		return false
	}
	p := u.probing.Load()
	if text := p.conflict(frame); text != "" {
		u.conflict(p, text)
	}
	src := ether.MAC(frame[6:12])
	switch {
	case a.Segment.Knows(src):
		u.invalid.Add(n)
	case !u.connected.Load():
	case !a.Segment.Knows(ether.MAC(frame[:6])):
		u.foreign.Add(n)
	default:
		u.received.Add(n)
		return true
	}
	return false
}
