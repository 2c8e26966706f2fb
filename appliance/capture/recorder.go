package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Network is the part of a network.Network that a Recorder needs.
type Network interface {
	network.Tapper
	Interfaces() []network.Interface
}

// Options are the parts that a Recorder uses. Net, Files and Clock are required.
type Options struct {
	Net     Network
	Files   *files.Store
	Clock   clock.Clock
	Product product.Facts         // for the names of files
	Zone    func() *time.Location // time zone of file names; nil means UTC
	// StateFile is the path of the file that holds the settings; "" keeps them in memory.
	StateFile string
	// Factory is the settings of a new appliance. The zero value means FactorySettings().
	Factory Settings
	// LookupHost resolves host names in filters. If it is nil, no name is known.
	LookupHost func(name string) ([]netip.Addr, error)
	// OnFailure is called with the last status of a capture that ended because of a full
	// disk or a failed write. It is called with no lock held and must not block.
	OnFailure func(Status)
	Events    *events.Stream // gets beginnings and ends of captures; nil: nobody
	Logger    *slog.Logger   // nil discards
}

// A Recorder captures packets, one capture at a time (B22). It is safe for concurrent use.
type Recorder struct {
	options Options

	mu       sync.Mutex
	settings Settings
	menu     MenuSettings
	running  *recording    // nil: none
	last     [sides]Status // by Side
	closed   bool
}

var (
	// ErrNotRunning is returned by Stop and LeaveMenu if there is no capture to end.
	ErrNotRunning = errors.New("capture: no capture is running")
	// ErrClosed is returned by Start after Close.
	ErrClosed = errors.New("capture: recorder closed")
)

// An InProgressError is returned by Start while a capture is in progress. It carries a
// refusal that tells the administrator where to stop that capture.
type InProgressError struct {
	Running   Side // the side that started the capture in progress
	Requested Side // the side that asked for another one
}

func (e *InProgressError) Error() string {
	return fmt.Sprintf("capture: a capture of the %v is in progress", e.Running)
}

// Unwrap returns the refusal.
func (e *InProgressError) Unwrap() error {
	if e.Running == e.Requested {
		return refusal.New("A packet capture is in progress already.")
	}
	return refusal.Newf("A packet capture that was started %s is in progress. "+
		"Only one capture can run at a time: it must be stopped there first.",
		startedWhere(e.Running, e.Requested))
}

// startedWhere returns a clause that tells a user of the side asking where the capture of the side
// running was started.
func startedWhere(running, asking Side) string {
	switch {
	case running == CLI:
		return "with the command packetcapture"
	case running == GUI:
		return "in the GUI"
	case asking == GUI:
		return "in the menu tcpdump of the command line"
	}
	return "in the menu tcpdump of another session"
}

// A notRunningError is returned by Stop if the side has no capture to stop. It is ErrNotRunning and
// carries a refusal.
type notRunningError struct{ refusal error }

func (notRunningError) Error() string        { return ErrNotRunning.Error() }
func (notRunningError) Is(target error) bool { return target == ErrNotRunning }

// Unwrap returns the refusal.
func (e notRunningError) Unwrap() error { return e.refusal }

// An InterfaceError says that the network has no interface of that name. It carries a
// refusal.
type InterfaceError struct{ Name string }

func (e *InterfaceError) Error() string { return fmt.Sprintf("capture: no interface %q", e.Name) }

// Unwrap returns the refusal.
func (e *InterfaceError) Unwrap() error {
	return refusal.Newf("The interface %s does not exist. Choose another one.", e.Name)
}

// New returns a Recorder. If the process was killed during a capture, New repairs the files
// of that capture. New logs, but survives, a state file that is damaged or unreadable, and a
// disk on which nothing can be written: it then has the factory settings, and repairs the files
// at the next start.
func New(o Options) *Recorder {
	if o.Factory.SizeMB == 0 {
		o.Factory = FactorySettings()
	}
	if o.Zone == nil {
		o.Zone = func() *time.Location { return time.UTC }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{options: o, settings: o.Factory.clone(), menu: factoryMenuSettings(o.Factory)}
	if o.StateFile == "" {
		return r
	}
	s, err := loadState(o.StateFile, state{Settings: r.settings, Menu: r.menu})
	if err != nil {
		o.Logger.Warn("the settings of packet captures are the factory's", "err", err)
	}
	r.settings, r.menu = s.Settings.clone(), s.Menu
	readable := err == nil
	if err != nil { // the name of the running capture is not known
		err = repairAll(o.Files)
	} else if s.Running != "" {
		err = repair(o.Files, s.Running)
	}
	if err != nil {
		o.Logger.Warn("a packet capture that was cut off is not repaired", "err", err)
	} else if readable && s.Running != "" {
		if err := r.save(""); err != nil {
			o.Logger.Warn("the next start repairs the last packet capture again", "err", err)
		}
	}
	return r
}

// save writes the state file. The caller holds mu, except in New.
func (r *Recorder) save(running string) error {
	if r.options.StateFile == "" {
		return nil
	}
	err := (state{r.settings, r.menu, running}).save(r.options.StateFile)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return refusal.Because(err, "The settings cannot be saved: there is no disk space left.")
	case err != nil:
		return fmt.Errorf("save capture settings: %w", err)
	}
	return nil
}

// Settings returns the settings of the next capture of the CLI or the GUI.
func (r *Recorder) Settings() Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings.clone()
}

// SetSettings replaces the settings of the CLI and the GUI, without a commit. A running
// capture keeps the settings with which it started. If s is not valid, the error is a refusal
// and the old settings stay. errors.As then finds an *InterfaceError, or a
// *pcapfilter.SyntaxError with the position of the fault in the expression, if one of them is
// the reason. SetSettings may block while a name in the filter is looked up.
func (r *Recorder) SetSettings(s Settings) error {
	s = s.clone()
	if err := r.Check(s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.settings
	r.settings = s
	if err := r.save(r.runningName()); err != nil {
		r.settings = old
		return err
	}
	return nil
}

// Check returns the error that SetSettings would return if s is not valid.
func (r *Recorder) Check(s Settings) error {
	if err := s.check(); err != nil {
		return err
	}
	_, err := r.sources(s)
	return err
}

// runningName returns the name of the running capture, or "". The caller holds mu.
func (r *Recorder) runningName() string {
	if r.running == nil {
		return ""
	}
	return r.running.out.name
}

// Interfaces returns the names that Settings.Interfaces may contain.
func (r *Recorder) Interfaces() []string {
	var names []string
	for _, i := range r.options.Net.Interfaces() {
		if !i.Loopback {
			names = append(names, i.Name)
		}
	}
	return names
}

// A source is an interface to tap, with its filter.
type source struct {
	name  string
	match func(frame []byte, wireLen int) bool // nil selects every frame
}

// sources returns the interfaces that s selects. The filter is compiled for each, because
// its meaning may depend on the interface's netmask.
func (r *Recorder) sources(s Settings) ([]source, error) {
	var out []source
	have := r.options.Net.Interfaces()
	for _, name := range s.Interfaces {
		if !slices.ContainsFunc(have, func(i network.Interface) bool {
			return i.Name == name && !i.Loopback
		}) {
			return nil, &InterfaceError{name}
		}
	}
	for _, i := range have {
		if i.Loopback || len(s.Interfaces) > 0 && !slices.Contains(s.Interfaces, i.Name) {
			continue
		}
		src := source{name: i.Name}
		if expr := s.Filter.Expr(); expr != "" {
			f, err := pcapfilter.Compile(expr, pcapfilter.Options{
				Netmask: netmask(i), SnapLen: snapLen, LookupHost: r.options.LookupHost,
			})
			if err != nil {
				return nil, filterRefusal(err)
			}
			src.match = f.Match
		}
		out = append(out, src)
	}
	return out, nil
}

// filterRefusal makes a refusal of a *pcapfilter.SyntaxError, which stays its cause.
func filterRefusal(err error) error {
	var syntax *pcapfilter.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	return refusal.Because(err, "%s", syntax.Sentence())
}

// netmask returns the mask of an interface's first IPv4 address, to which "ip broadcast" in a
// filter refers.
func netmask(i network.Interface) net.IPMask {
	for _, p := range i.Addrs {
		if p.Addr().Is4() {
			return net.CIDRMask(p.Bits(), 32)
		}
	}
	return nil
}

// Start begins a capture with the side's current settings. A capture of the CLI or of the menu
// tcpdump ends with ctx, which is the context of the SSH channel (B10) or a shorter one; a
// capture of the GUI does not depend on ctx (B8). While any capture runs, whichever side has
// started it, the error is an *InProgressError. Otherwise it is one of SetSettings, of the file
// area or of the network. It is a refusal if the disk is full or the network has no taps.
func (r *Recorder) Start(ctx context.Context, owner Owner) (Status, error) {
	s, err := r.start(ctx, owner)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		err = refusal.Because(err, "The packet capture cannot be started: there is no disk space left.")
	case errors.Is(err, errors.ErrUnsupported):
		err = refusal.Because(err, "Packets cannot be captured on this appliance's network.")
	}
	return s, err
}

func (r *Recorder) start(ctx context.Context, owner Owner) (Status, error) {
	settings := r.settingsOf(owner.Side)
	sources, err := r.sources(settings) // without the lock: the lookup of a name may block
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return Status{}, ErrClosed
	case r.running != nil:
		return Status{}, &InProgressError{Running: r.running.owner.Side, Requested: owner.Side}
	case ctx.Err() != nil:
		return Status{}, context.Cause(ctx)
	case err != nil:
		return Status{}, err
	}
	now := r.options.Clock.Now()
	name, err := r.newName(owner.Side, now)
	if err != nil {
		return Status{}, err
	}
	if err := r.save(name); err != nil {
		return Status{}, err
	}
	out, err := newOutput(r.options.Files, name, settings)
	if err != nil {
		return Status{}, errors.Join(fmt.Errorf("make the capture file: %w", err), r.save(""))
	}
	c := &recording{
		clock: r.options.Clock, owner: owner, settings: settings,
		started: now, since: r.options.Clock.Mark(),
		queue: newQueue(r.options.Clock), out: out, ended: r.captureEnded,
		stopping:      r.publishStopping,
		flushRequests: make(chan chan struct{}), ending: make(chan struct{}), done: make(chan struct{}),
	}
	if err := r.openTaps(c, sources); err != nil {
		return Status{}, errors.Join(err, out.discard(), r.save(""))
	}
	c.publish()
	c.scheduleEnd(ctx)
	r.running = c
	c.event = events.Publish(r.options.Events, 0, Started{
		*c.file.Load(), owner.Side.String(), settings.Filter.Expr(), settings.Interfaces,
	})
	go c.run()
	r.options.Logger.Info("packet capture started",
		"file", *c.file.Load(), "side", owner.Side.String(), "session", owner.Session)
	return c.status(), nil
}

// openTaps taps all sources or none.
func (r *Recorder) openTaps(c *recording, sources []source) error {
	for _, s := range sources {
		t, err := r.options.Net.Tap(network.TapConfig{
			Interface: s.name,
			SnapLen:   snapLen,
			Match:     s.match,
			Sink:      func(f network.Frame) { c.queue.push(f.Data, f.WireLen) },
		})
		if err != nil {
			for _, t := range c.taps {
				_ = t.Close()
			}
			c.queue.close()
			return fmt.Errorf("tap %s: %w", s.name, err)
		}
		c.taps = append(c.taps, t)
	}
	return nil
}

// newName returns MODEL-SERIAL-YYYYMMDD-HHMMSS, with a number appended if files of that name
// exist. Names of the menu tcpdump begin with menuPrefix.
func (r *Recorder) newName(side Side, at time.Time) (string, error) {
	p := r.options.Product
	at = at.In(r.options.Zone())
	base := fmt.Sprintf("%s-%s-%s", p.Model, p.Serial, at.Format("20060102-150405"))
	if side == TCPDump {
		base = menuPrefix + base
	}
	stored, err := r.options.Files.ReadDir(files.Diagnostic)
	if err != nil {
		return "", err
	}
	name := base
	taken := func(e fs.DirEntry) bool { return isFileOf(e.Name(), name) }
	for i := 2; slices.ContainsFunc(stored, taken); i++ {
		name = base + "_" + strconv.Itoa(i)
	}
	return name, nil
}

// publishStopping is called before the taps of a capture are closed.
func (r *Recorder) publishStopping(file string, side Side, event uint64) {
	events.Publish(r.options.Events, event, Stopping{file, side.String()})
}

// captureEnded is the last call that the writer of a capture makes.
func (r *Recorder) captureEnded(s Status, event uint64) {
	defer events.Publish(r.options.Events, event, Ended{
		File: s.File, Side: s.Owner.Side.String(), Reason: s.Reason.String(), Packets: s.Packets,
		Dropped: s.Dropped, Size: s.Size, Whole: s.isWhole(),
	})
	r.mu.Lock()
	r.last[s.Owner.Side] = s
	r.running = nil
	err := r.save("")
	r.mu.Unlock()
	log := r.options.Logger.With("file", s.File, "reason", s.Reason.String())
	if err = errors.Join(s.Err, err); err != nil {
		log.Warn("packet capture ended", "err", err)
	} else {
		log.Info("packet capture ended")
	}
	if s.Reason.IsFailure() && r.options.OnFailure != nil {
		r.options.OnFailure(s)
	}
}

// Stop ends the side's capture. It blocks until the capture's files are closed and returns
// its last status. If the side has no capture, the error is ErrNotRunning and carries a refusal,
// which says where the capture of another side must be stopped.
func (r *Recorder) Stop(side Side) (Status, error) {
	c := r.runningOf(side)
	if c == nil {
		return Status{}, notRunningError{r.notRunningRefusal(side)}
	}
	c.end(ByUser, nil)
	<-c.done
	return c.last, nil
}

// notRunningRefusal returns the refusal for a side that has no capture to stop.
func (r *Recorder) notRunningRefusal(side Side) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.running; c != nil && c.owner.Side != side {
		return refusal.Newf("The packet capture in progress was started %s. It must be stopped there.",
			startedWhere(c.owner.Side, side))
	}
	return refusal.New("No packet capture is in progress.")
}

// runningOf returns the side's running capture, or nil.
func (r *Recorder) runningOf(side Side) *recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.running; c != nil && c.owner.Side == side {
		return c
	}
	return nil
}

// Status returns the status of the side's running capture, which includes every packet that
// has passed until now. If none runs, it returns the last status of the side's last capture
// since the appliance was started. If the file of that capture has been deleted, the status has
// no File, as if nothing had been captured, but still the Reason.
func (r *Recorder) Status(side Side) Status {
	if c := r.runningOf(side); c != nil {
		c.sync()
		if r.runningOf(side) == c {
			return c.status()
		}
	}
	r.mu.Lock()
	last := r.last[side]
	r.mu.Unlock()
	if last.File == "" {
		return last
	}
	_, err := r.options.Files.Stat(path.Join(files.Diagnostic, last.File))
	if errors.Is(err, fs.ErrNotExist) {
		last.File, last.Size, last.Packets, last.Dropped = "", 0, 0, 0
	}
	return last
}

// Files lists the stored captures that the side may see, sorted by name: all except for those
// of another side's running capture.
func (r *Recorder) Files(side Side) ([]fs.FileInfo, error) {
	r.mu.Lock()
	running := ""
	if c := r.running; c != nil && c.owner.Side != side {
		running = c.out.name
	}
	r.mu.Unlock()
	entries, err := r.options.Files.ReadDir(files.Diagnostic)
	if err != nil {
		return nil, fmt.Errorf("list captures: %w", err)
	}
	var list []fs.FileInfo
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".cap") || running != "" && isFileOf(e.Name(), running) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list captures: %w", err)
		}
		list = append(list, info)
	}
	return list, nil
}

// IsBeingWritten reports whether a stored file belongs to the running capture. Such a file
// must not be removed.
func (r *Recorder) IsBeingWritten(file string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running != nil && isFileOf(file, r.running.out.name)
}

// isFileOf reports whether file is the file of the capture called name, or one of its parts.
func isFileOf(file, name string) bool {
	for i := range maxParts + 1 {
		if file == path.Base(filePath(name, i)) {
			return true
		}
	}
	return false
}

// InterfacesChanged ends the running capture if one of its interfaces no longer exists. It
// must be called after the network's interfaces have changed.
func (r *Recorder) InterfacesChanged() {
	r.mu.Lock()
	c := r.running
	r.mu.Unlock()
	if c == nil {
		return
	}
	if _, err := r.sources(Settings{Interfaces: c.settings.Interfaces}); err != nil {
		c.end(InterfaceGone, err)
		<-c.done
	}
}

// Close ends the running capture and blocks until its files are closed. It may be called more
// than once.
func (r *Recorder) Close() error {
	r.mu.Lock()
	r.closed = true
	c := r.running
	r.mu.Unlock()
	if c == nil {
		return nil
	}
	c.end(ShuttingDown, nil)
	<-c.done
	return c.last.Err
}
