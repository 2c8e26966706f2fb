package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/product"
)

// ErrNoSubscription says that there is no subscription of a name.
var ErrNoSubscription = errors.New("logs: no such subscription")

// Options are what a Hub works with. Files and Clock are required.
type Options struct {
	Files    *files.Store
	Clock    clock.Clock
	Product  product.Facts
	Zone     func() *time.Location // asked for each entry; nil means UTC
	Hostname func() string         // for names of files; nil leaves it out

	// Push opens the way to a syslog server, which tells trouble of what goes wrong.
	// Nil: nothing is pushed.
	NewPusher func(s Subscription, trouble func(syslog.Event)) (Pusher, error)
	// Carry begins to send a subscription's finished files, whose names in the
	// directory dir waiting lists, the oldest first. It tells trouble of what goes
	// wrong. Nil: nothing is sent.
	NewUploader func(s Subscription, dir string, waiting func() ([]string, error), trouble func(text string)) Uploader
	// Trouble is told what an administrator should know. It is called from any
	// goroutine, with no lock held, and must not block. Nil: nobody is told.
	OnProblem func(Problem)

	Buffer int          // bytes of a subscription that may wait for the disk; 0 means 32 MiB
	Logger *slog.Logger // for whoever runs the program; nil discards
}

// A Pusher sends a subscription's lines to a server: a *syslog.Pusher, or a test's.
type Pusher interface {
	// Push queues a line and does not block. t is in the zone of the log.
	Push(t time.Time, level, text string)
	Stats() syslog.Stats
	Close(ctx context.Context) error
}

// A Carrier sends a subscription's finished files to a server, and removes what has
// arrived: a *upload.Pusher, or a test's.
type Uploader interface {
	// Wake says that there is another file. It does not block.
	Wake()
	Stats() upload.Stats
	Close(ctx context.Context) error
}

// Trouble is what an administrator should know of a subscription.
type Problem struct {
	Subscription string
	Kind         ProblemKind
	Text         string // a sentence, as the log and an alert have it
}

// A Cause is a class of trouble.
type ProblemKind int

// The causes.
const (
	FilesRemoved ProblemKind = iota // because of the limit on their number
	DiskFull                        // lines cannot be written
	PushFailed                      // the server cannot be reached, or does not take what it is sent
)

const defaultBuffer = 32 << 20

// A Hub hands entries to subscriptions. Its methods are safe for concurrent use.
type Hub struct {
	o      Options
	routes atomic.Pointer[routes]

	mu       sync.Mutex // configuring and closing, one at a time
	pushing  bool
	closed   bool
	timers   clock.Group // of roll-overs
	drainers sync.WaitGroup
}

// routes are the subscriptions that run. They never change once made.
type routes struct {
	byType map[Type][]*subscription
	byName map[string]*subscription
}

// New returns a hub with the subscriptions of list, which go on with the files that they
// left. Lines that a crash cut short are removed. The caller closes the hub.
func New(o Options, list []Subscription) (*Hub, error) {
	if o.Zone == nil {
		o.Zone = func() *time.Location { return time.UTC }
	}
	if o.Hostname == nil {
		o.Hostname = func() string { return "" }
	}
	if o.OnProblem == nil {
		o.OnProblem = func(Problem) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Buffer = cmp.Or(o.Buffer, defaultBuffer)
	h := &Hub{o: o}
	h.routes.Store(&routes{})
	if err := h.Configure(list); err != nil {
		return nil, errors.Join(err, h.Close(context.Background()))
	}
	return h, nil
}

// Write hands an entry to every subscription that takes it. It does not block: what a
// slow disk cannot take in time is counted, and the log says how much that was.
func (h *Hub) Write(e Entry) {
	takers := h.routes.Load().byType[e.Type]
	if len(takers) == 0 {
		return
	}
	if e.Time.IsZero() {
		e.Time = h.o.Clock.Now()
	}
	zone := h.o.Zone()
	for _, s := range takers {
		s.write(e, zone)
	}
}

// Document hands a document to every subscription of a type whose files are
// documents. Each becomes a file of its own. It does not block.
func (h *Hub) WriteDocument(t Type, body []byte) {
	now := h.o.Clock.Now().In(h.o.Zone())
	for _, s := range h.routes.Load().byType[t] {
		s.enqueue(job{what: document, text: body, at: now})
	}
}

// Configure makes the subscriptions those of list. What was written before goes where
// it would have gone; a subscription that is no longer there ends with it, and its
// files stay, all of them saved. A new one counts the files that one of its name has left
// as its own, and goes on with what a crash has left unsaved.
func (h *Hub) Configure(list []Subscription) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	old := h.routes.Load()
	next := &routes{map[Type][]*subscription{}, map[string]*subscription{}}
	var errs []error
	var ending []closer
	for _, conf := range list {
		s := old.byName[conf.Name]
		if s == nil {
			var err error
			s, err = h.add(conf)
			errs = append(errs, err)
		}
		ending = append(ending, s.configure(conf, h.pushing)...)
		next.byName[conf.Name] = s
		next.byType[conf.Type] = append(next.byType[conf.Type], s)
	}
	h.routes.Store(next)
	for name, s := range old.byName {
		if next.byName[name] == nil {
			h.o.Files.Unalias(path.Join(files.Log, name))
			s.enqueue(job{what: finish, at: s.now()})
			s.end()
			errs = append(errs, s.flush(context.Background()))
			ending = append(ending, s.release(false)...)
		}
	}
	errs = append(errs, closeAll(context.Background(), ending))
	for _, conf := range list {
		if h.pushing {
			next.byName[conf.Name].startPush()
		}
	}
	return errors.Join(errs...)
}

// A closer is a Pusher or a Carrier.
type closer interface {
	Close(ctx context.Context) error
}

// closeAll closes all of them at once, as each may take its time.
func closeAll(ctx context.Context, list []closer) error {
	ends := make(chan error)
	for _, c := range list {
		go func() { ends <- c.Close(ctx) }()
	}
	var errs []error
	for range list {
		if err := <-ends; err != nil {
			errs = append(errs, fmt.Errorf("end a push: %w", err))
		}
	}
	return errors.Join(errs...)
}

// add makes a subscription, which goes on where the last one of its name ended, in this
// life or an earlier one. It works, be it anew, where an error says that it does not.
func (h *Hub) add(conf Subscription) (*subscription, error) {
	s := newSubscription(h, conf)
	if err := h.show(conf.Name); err != nil {
		return s, fmt.Errorf("show the log %s: %w", conf.Name, err)
	}
	if err := s.file.resume(); err != nil {
		return s, fmt.Errorf("go on with the log %s: %w", conf.Name, err)
	}
	return s, nil
}

// StartPushing opens the ways to the servers: what is written from now on is pushed, and
// what earlier lives left on disk. It is called once the network is there.
func (h *Hub) StartPushing() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.pushing {
		return
	}
	h.pushing = true
	for _, s := range h.routes.Load().byName {
		s.startPush()
	}
}

// PushStats are the figures of a subscription's push; ok is false where it has none.
func (h *Hub) PushStats(name string) (stats syslog.Stats, ok bool) {
	s := h.routes.Load().byName[name]
	if s == nil {
		return stats, false
	}
	s.mu.Lock()
	p := s.push
	s.mu.Unlock()
	if p == nil {
		return stats, false
	}
	return p.Stats(), true
}

// CarryStats are the figures of the sending of a subscription's files; ok is false where
// they stay.
func (h *Hub) UploadStats(name string) (stats upload.Stats, ok bool) {
	s := h.routes.Load().byName[name]
	if s == nil {
		return stats, false
	}
	s.mu.Lock()
	c := s.carrier
	s.mu.Unlock()
	if c == nil {
		return stats, false
	}
	return c.Stats(), true
}

// show makes a subscription's directory appear, under both of its names.
func (h *Hub) show(name string) error {
	if err := h.o.Files.Show(dirOf(name)); err != nil {
		return err
	}
	return h.o.Files.Alias(path.Join(files.Log, name), dirOf(name))
}

func dirOf(name string) string { return path.Join(files.Pub, name) }

// Apply is config.Applier's; nothing can be refused any more.
func (h *Hub) Apply(context.Context, *config.Config, *config.Config) error { return nil }

// Done is config.Applier's.
func (h *Hub) Done(_ context.Context, _, next *config.Config) {
	if err := h.Configure(Section.Get(next).List); err != nil {
		h.o.Logger.Error("a log subscription does not follow its configuration", "err", err)
	}
	h.ClockSet() // the zone may be another
}

// ClockSet is called when the clock has been set: what is to happen at a time of day may be
// due. It does not block.
func (h *Hub) ClockSet() {
	for _, s := range h.routes.Load().byName {
		s.clockSet()
	}
}

// Flush waits until what was written before is in the files of the named
// subscriptions; without names, of all of them.
func (h *Hub) Flush(ctx context.Context, names ...string) error {
	list, err := h.named(names)
	if err != nil {
		return err
	}
	for _, s := range list {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Rollover ends the current files of the named subscriptions, of all without names,
// and begins new ones; it waits for that. A subscription that nothing was written to
// has nothing to roll over, which is no error.
func (h *Hub) RollOver(ctx context.Context, names ...string) error {
	list, err := h.named(names)
	if err != nil {
		return err
	}
	now := h.o.Clock.Now().In(h.o.Zone())
	for _, s := range list {
		s.enqueue(job{what: rollover, at: now})
	}
	for _, s := range list {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) named(names []string) ([]*subscription, error) {
	r := h.routes.Load()
	var list []*subscription
	if len(names) == 0 {
		for _, s := range r.byName {
			list = append(list, s)
		}
		slices.SortFunc(list, func(a, b *subscription) int { return cmp.Compare(a.name, b.name) })
	}
	for _, name := range names {
		s := r.byName[name]
		if s == nil {
			return nil, fmt.Errorf("%w: %s", ErrNoSubscription, name)
		}
		list = append(list, s)
	}
	return list, nil
}

// Header are the texts of the lines that a file, and a connection to a syslog server,
// begin with now.
func (h *Hub) Header() []string { return h.headerAt(h.o.Clock.Now().In(h.o.Zone())) }

func (h *Hub) headerAt(local time.Time) []string {
	_, offset := local.Zone()
	return headerTexts(h.o.Product.Version.String(), h.o.Product.Serial, offset)
}

// Lost is how many lines of a subscription were not written, since the hub was made,
// because the disk was too slow or full.
func (h *Hub) LostLines(name string) int {
	s := h.routes.Load().byName[name]
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lostEver
}

// Close writes what is waiting, and ends the pushes, for which it waits until ctx ends.
// What is written afterwards is dropped. It may be called more than once.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	list, _ := h.named(nil)
	h.routes.Store(&routes{})
	for _, s := range list {
		s.end()
	}
	h.timers.Wait() // before whom they may wake
	h.drainers.Wait()
	var ending []closer
	for _, s := range list {
		ending = append(ending, s.release(true)...)
	}
	return closeAll(ctx, ending)
}
