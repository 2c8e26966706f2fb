package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// ErrNoSubscription means that there is no subscription with the given name. The errors of this
// package that wrap it are refusals, since a log may be removed while a session uses it.
var ErrNoSubscription = errors.New("logs: no such subscription")

func noSubscription(name string) error {
	return refusal.Because(ErrNoSubscription, "The log %s is not configured any more.", name)
}

// Options configure a Hub. Files and Clock are required.
type Options struct {
	Files    *files.Store
	Clock    clock.Clock
	Product  product.Facts
	Zone     func() *time.Location // called for each entry; nil means UTC
	Hostname func() string         // for names of files; nil means that there is none

	// NewPusher returns the Pusher of a subscription, which reports what happens to its
	// connection to onEvent. If NewPusher is nil, nothing is pushed.
	NewPusher func(s Subscription, onEvent func(syslog.Event)) (Pusher, error)
	// NewUploader returns the Uploader of a subscription. waiting returns the names of the
	// files to send, which are in the directory dir, the oldest first. The Uploader reports to
	// onError why files cannot be sent. If NewUploader is nil, no files are sent.
	NewUploader func(
		s Subscription, dir string, waiting func() ([]string, error), onError func(text string),
	) Uploader
	// OnProblem is called with what an administrator should know. It is called from any
	// goroutine, with no lock held, and must not block. Nil does nothing.
	OnProblem func(Problem)

	// OnWrite is called with each entry that a subscription takes, and with no lock held. It must
	// call write once, which appends the line to the logs, and must not block. If it orders its
	// calls of write, lines are in that order. Nil stands for a function that only calls write.
	OnWrite func(e Entry, write func())

	// OrderDir is the directory on this machine with the order of the files of each subscription
	// whose names do not tell it. "" means that the order is not kept.
	OrderDir string

	// OpenFiles keeps files open between lines. Nil means that the hub has one of its own.
	OpenFiles *OpenFiles

	Buffer int          // bytes of a subscription that may wait for the disk; 0 means 32 MiB
	Logger *slog.Logger // of the program; nil discards
}

// A Pusher sends the lines of a subscription to a server. *syslog.Pusher implements it.
type Pusher interface {
	// Push queues a line. It does not block. t is in the zone of the log.
	Push(t time.Time, level, text string)
	Stats() syslog.Stats
	Close(ctx context.Context) error
}

// An Uploader sends the saved files of a subscription to a server and removes those that have
// arrived. *upload.Uploader implements it.
type Uploader interface {
	// Wake tells the Uploader that there is another file. It does not block.
	Wake()
	Stats() upload.Stats
	Close(ctx context.Context) error
}

// A Problem is what an administrator should know of a subscription.
type Problem struct {
	Subscription string
	Kind         ProblemKind
	Text         string // as the log and the alert show it
}

// A ProblemKind is a class of problems.
type ProblemKind int

// The kinds of problems.
const (
	FilesRemoved ProblemKind = iota // because of the limit on their number
	WriteFailed                     // lines cannot be written
	PushFailed                      // the server cannot be reached, or refuses what it is sent
)

const defaultBuffer = 32 << 20

// A Hub hands entries to subscriptions. Its methods are safe for concurrent use.
type Hub struct {
	o      Options
	routes atomic.Pointer[routes]

	ownOpenFiles *OpenFiles // nil if Options has one

	mu       sync.Mutex // held while the hub is configured or closed
	pushing  bool
	closed   bool
	timers   clock.Group // of roll-overs
	drainers sync.WaitGroup
}

// routes are the subscriptions that run. A routes value is never changed once it is published.
type routes struct {
	byType map[Type][]*subscription
	byName map[string]*subscription
}

// New returns a hub with the subscriptions of list, which continue the files that an earlier hub
// left. Lines that a crash cut short are removed. A log that cannot continue its file, because the
// file is damaged or the disk is full, begins another one; New logs that. The caller must close the
// hub.
func New(o Options, list []Subscription) *Hub {
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
	if o.OpenFiles == nil {
		h.ownOpenFiles = NewOpenFiles(DefaultOpenFiles, clock.System())
		h.o.OpenFiles = h.ownOpenFiles
	}
	h.routes.Store(&routes{})
	if err := h.Configure(list); err != nil {
		o.Logger.Warn("a log does not continue where it ended", "err", err)
	}
	return h
}

// Write hands an entry to every subscription that takes it. It does not block: lines that a slow
// disk cannot take in time are counted, and the log says how many were lost.
func (h *Hub) Write(e Entry) { h.write(e, false) }

// WriteNow is like Write for callers that need the line in the file soon. The calling goroutine
// writes the line itself, which saves waking another one, unless another goroutine is writing to the
// file: then WriteNow returns immediately, and AwaitWritten blocks until the line is written. A disk
// that begins to hang holds up one caller of WriteNow for each log, and none of those that follow.
func (h *Hub) WriteNow(e Entry) { h.write(e, true) }

func (h *Hub) write(e Entry, now bool) {
	takers := h.routes.Load().byType[e.Type]
	if len(takers) == 0 {
		return
	}
	if e.Time.IsZero() {
		e.Time = h.o.Clock.Now()
	}
	zone := h.o.Zone()
	var drainers []*subscription
	if h.o.OnWrite != nil && slices.ContainsFunc(takers, func(s *subscription) bool { return s.takes(e) }) {
		drainers = h.writeInOrder(takers, e, zone, now)
	} else {
		drainers = appendLines(takers, e, zone, now)
	}
	for _, s := range drainers {
		s.drainOnce()
	}
}

// writeInOrder is appendLines when OnWrite says so.
func (h *Hub) writeInOrder(takers []*subscription, e Entry, zone *time.Location, now bool) (drainers []*subscription) {
	h.o.OnWrite(e, func() { drainers = appendLines(takers, e, zone, now) })
	return drainers
}

// appendLines appends the line of an entry to logs. If now is set, it returns those whose lines the
// caller has to write, by drainOnce.
func appendLines(takers []*subscription, e Entry, zone *time.Location, now bool) (drainers []*subscription) {
	for _, s := range takers {
		if (e.Only == "" || e.Only == s.name) && s.write(e, zone, now) {
			drainers = append(drainers, s)
		}
	}
	return drainers
}

// WriteDocument hands a document to every subscription of type t, which must be one whose files
// are documents. Each document becomes a file of its own. WriteDocument does not block.
func (h *Hub) WriteDocument(t Type, body []byte) {
	now := h.o.Clock.Now().In(h.o.Zone())
	for _, s := range h.routes.Load().byType[t] {
		s.enqueue(job{kind: jobDocument, text: body, at: now})
	}
}

// Configure replaces the subscriptions by those of list. Lines that were written before are
// written as they would have been. A subscription that is no longer in the list ends after them;
// its files stay, and all of them are saved files. A new subscription takes over the files that
// one of the same name has left, and continues the current file that a crash has left.
func (h *Hub) Configure(list []Subscription) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	old := h.routes.Load()
	next := &routes{map[Type][]*subscription{}, map[string]*subscription{}}
	var errs []error
	var ending []closer // pushers and uploaders to close
	left := h.mayHaveFiles()
	for _, c := range list {
		conf := c.shared()
		s := old.byName[conf.Name]
		if s == nil {
			var err error
			s, err = h.addSubscription(conf, left(conf.Name))
			errs = append(errs, err)
		}
		ending = append(ending, s.configure(conf, h.pushing)...)
		next.byName[conf.Name] = s
		next.byType[conf.Type] = append(next.byType[conf.Type], s)
	}
	h.routes.Store(next)
	for name, s := range old.byName {
		if next.byName[name] == nil {
			h.o.Files.RemoveAlias(path.Join(files.Log, name))
			s.enqueue(job{kind: jobEnd, at: s.now()})
			s.end()
			errs = append(errs, s.flush(context.Background()))
			ending = append(ending, s.release(false)...)
		}
	}
	errs = append(errs, closeTogether(context.Background(), ending))
	for _, conf := range list {
		if h.pushing {
			next.byName[conf.Name].startPush()
		}
	}
	return errors.Join(errs...)
}

// A closer is a Pusher or an Uploader.
type closer interface {
	Close(ctx context.Context) error
}

// closeTogether closes all of list at the same time, as each may take a while.
func closeTogether(ctx context.Context, list []closer) error {
	ends := make(chan error)
	for _, c := range list {
		go func() { ends <- c.Close(ctx) }()
	}
	var errs []error
	for range list {
		if err := <-ends; err != nil {
			errs = append(errs, fmt.Errorf("close a push: %w", err))
		}
	}
	return errors.Join(errs...)
}

// addSubscription returns a new subscription that continues where the last one of its name
// ended, in this hub or an earlier one, if it may have left files. The subscription is usable even
// if an error is returned; its current file may then be a new one.
func (h *Hub) addSubscription(conf *Subscription, hasFiles bool) (*subscription, error) {
	s := newSubscription(h, conf)
	if err := h.showDirectory(conf.Name); err != nil {
		return s, fmt.Errorf("show the log %s: %w", conf.Name, err)
	}
	if !hasFiles {
		return s, nil
	}
	if err := s.file.resume(); err != nil {
		return s, fmt.Errorf("continue the log %s: %w", conf.Name, err)
	}
	return s, nil
}

// mayHaveFiles returns a function that reports whether a subscription may have left files: most have
// not even a directory. It lists the directories once, when it is first called.
func (h *Hub) mayHaveFiles() func(name string) bool {
	names := sync.OnceValues(func() ([]string, error) { return h.o.Files.StoredNames(files.Pub) })
	return func(name string) bool {
		found, err := names()
		// The letters of some disks' names have no case.
		return err != nil ||
			slices.ContainsFunc(found, func(n string) bool { return strings.EqualFold(n, name) })
	}
}

// StartPushing opens the pushers and uploaders. Lines that are written from now on are pushed,
// and so is everything that earlier runs left on disk. StartPushing is called once the network
// is up.
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

// PushStats returns the figures of a subscription's pusher; ok reports whether it has one.
func (h *Hub) PushStats(name string) (stats syslog.Stats, ok bool) {
	s := h.routes.Load().byName[name]
	if s == nil {
		return stats, false
	}
	s.mu.Lock()
	p := s.pusher
	s.mu.Unlock()
	if p == nil {
		return stats, false
	}
	return p.Stats(), true
}

// UploadStats returns the figures of a subscription's uploader; ok reports whether it has one.
func (h *Hub) UploadStats(name string) (stats upload.Stats, ok bool) {
	s := h.routes.Load().byName[name]
	if s == nil {
		return stats, false
	}
	s.mu.Lock()
	u := s.uploader
	s.mu.Unlock()
	if u == nil {
		return stats, false
	}
	return u.Stats(), true
}

// showDirectory makes a subscription's directory visible under both of its names.
func (h *Hub) showDirectory(name string) error {
	if err := h.o.Files.ShowDir(dirOf(name)); err != nil {
		return err
	}
	return h.o.Files.Alias(path.Join(files.Log, name), dirOf(name))
}

func dirOf(name string) string { return path.Join(files.Pub, name) }

// Apply implements config.Applier. It does nothing: Done configures the hub.
func (h *Hub) Apply(context.Context, *config.Config, *config.Config) error { return nil }

// Done implements config.Applier.
func (h *Hub) Done(_ context.Context, _, next *config.Config) {
	if err := h.Configure(Section.Get(next).List); err != nil {
		h.o.Logger.Error("a log subscription does not follow its configuration", "err", err)
	}
	h.ClockSet() // the zone may be another
}

// ClockSet must be called when the clock has been set: a roll-over at a time of day may be due.
// It does not block.
func (h *Hub) ClockSet() {
	for _, s := range h.routes.Load().byName {
		s.clockSet()
	}
}

// Flush blocks until everything that was written before is in the files of the named
// subscriptions; without names, of all subscriptions.
func (h *Hub) Flush(ctx context.Context, names ...string) error {
	list, err := h.lookup(names)
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

// AwaitWritten blocks until every entry of a type that was written before is in the files, so
// that the end of the process cannot lose it, but no longer than limit. If nothing waits for the
// disk, which is the rule, it returns immediately.
func (h *Hub) AwaitWritten(t Type, limit time.Duration) {
	var ctx context.Context
	for _, s := range h.routes.Load().byType[t] {
		if s.isWritten() {
			continue
		}
		if ctx == nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.Background(), limit)
			defer cancel()
		}
		if s.flush(ctx) != nil {
			return
		}
	}
}

// RollOver finishes the current files of the named subscriptions, or without names of all of
// them, and begins new ones. It blocks until that is done. A subscription without a current
// file, as nothing was written to it, is left alone; that is not an error.
func (h *Hub) RollOver(ctx context.Context, names ...string) error {
	list, err := h.lookup(names)
	if err != nil {
		return err
	}
	now := h.o.Clock.Now().In(h.o.Zone())
	for _, s := range list {
		s.enqueue(job{kind: jobRollOver, at: now})
	}
	for _, s := range list {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) lookup(names []string) ([]*subscription, error) {
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
			return nil, noSubscription(name)
		}
		list = append(list, s)
	}
	return list, nil
}

// Header returns the texts of the lines that a file, and a connection to a syslog server, begins
// with at this time.
func (h *Hub) Header() []string { return h.headerAt(h.o.Clock.Now().In(h.o.Zone())) }

func (h *Hub) headerAt(local time.Time) []string {
	_, offset := local.Zone()
	return headerTexts(h.o.Product.Version.String(), h.o.Product.Serial, offset)
}

// LostLines returns how many lines of a subscription were not written, since the hub was made,
// because the disk was too slow or full.
func (h *Hub) LostLines(name string) int {
	s := h.routes.Load().byName[name]
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lostTotal
}

// Close writes the lines that are buffered, and closes pushers and uploaders, for which it waits
// until ctx ends. Entries that are written afterwards are dropped. Close may be called more than
// once.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	list, _ := h.lookup(nil)
	h.routes.Store(&routes{})
	for _, s := range list {
		s.end()
	}
	h.timers.Wait() // before drainers, as a timer may start one
	h.drainers.Wait()
	var ending []closer
	for _, s := range list {
		s.file.close()
		ending = append(ending, s.release(true)...)
	}
	if h.ownOpenFiles != nil {
		h.ownOpenFiles.Close()
	}
	return closeTogether(ctx, ending)
}
