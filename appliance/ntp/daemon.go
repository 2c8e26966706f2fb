package ntp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
)

// When a Daemon queries, see the package comment.
const (
	pollInterval  = 20 * time.Minute
	minStartDelay = time.Minute
	maxStartDelay = 5 * time.Minute
	ratePause     = time.Hour // after the kiss code RATE
)

// maxRepeats bounds how often a query is made because the clock jumped during the one before.
const maxRepeats = 10

// StepThreshold is the least difference from a server's time at which the clock is set.
const StepThreshold = 125 * time.Millisecond

// defaultTimeout bounds how long a server may take to answer.
const defaultTimeout = 5 * time.Second

// Options configure a Daemon.
type Options struct {
	Net      network.Transport
	Clock    *clock.Offset   // the appliance's
	Rand     *entropy.Stream // for the delay of the first query
	Settings func() Settings // returns the committed settings
	// Lookup returns the addresses of a name.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// Source returns the IPv4 or IPv6 address of an IP interface, or the zero address if it
	// has none.
	Source func(ipInterface string, v6 bool) netip.Addr
	// SetShift sets the shift of the appliance's clock. It is called in the daemon's goroutine.
	SetShift func(shift time.Duration) error
	// Log writes to the NTP log, as a warning or as information.
	Log func(warning bool, text string)
	// Timeout bounds how long a server may take to answer; 0 means 5 seconds.
	Timeout time.Duration
}

// A Daemon keeps the appliance's clock right. It is a service of the appliance. Its methods are
// safe for concurrent use.
type Daemon struct {
	o          Options
	queries    sync.WaitGroup
	mu         sync.Mutex
	ctx        context.Context // nil: not started
	cancel     context.CancelFunc
	stopTimer  func() bool           // stops the timer
	querying   bool                  // a goroutine queries
	again      bool                  // it must query once more
	avoidUntil map[string]clock.Mark // by server, after a kiss of death
}

// forever is later than all other marks.
const forever = clock.Mark(1<<63 - 1)

// New returns a Daemon that is not started.
func New(o Options) *Daemon {
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	return &Daemon{o: o, avoidUntil: map[string]clock.Mark{}}
}

// Name implements appliance.Service.
func (*Daemon) Name() string { return owner }

// Start starts the timer of the first query.
func (d *Daemon) Start(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx != nil {
		return errors.New("ntp: started twice")
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.startTimer(minStartDelay +
		time.Duration(d.o.Rand.Float64()*float64(maxStartDelay-minStartDelay)))
	return nil
}

// Stop aborts a query that is in flight and waits for the daemon's goroutine.
func (d *Daemon) Stop(context.Context) error {
	d.mu.Lock()
	if d.ctx != nil {
		d.cancel()
		d.stopTimer()
	}
	d.mu.Unlock()
	d.queries.Wait() // the queries have ended with their context
	return nil
}

// Reload queries the servers of the configuration now, including those that sent a kiss of
// death. It does not wait for answers.
func (d *Daemon) Reload() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.avoidUntil)
	d.poll()
}

// startTimer starts the timer of the next query. mu must be held, and the daemon must run.
func (d *Daemon) startTimer(t time.Duration) {
	if d.stopTimer != nil {
		d.stopTimer()
	}
	d.stopTimer = d.o.Clock.AfterFunc(t, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.poll()
	})
}

// poll queries the servers in a goroutine of its own, and starts the timer of the next query. mu
// must be held.
func (d *Daemon) poll() {
	if d.ctx == nil || d.ctx.Err() != nil {
		return
	}
	d.startTimer(pollInterval)
	if d.querying {
		d.again = true
		return
	}
	d.querying = true
	d.queries.Go(func() {
		for more := true; more; {
			d.queryServers(d.ctx)
			d.mu.Lock()
			more, d.again = d.again, false
			d.querying = more
			d.mu.Unlock()
		}
	})
}

// queryServers asks one server after the other until one has answered.
func (d *Daemon) queryServers(ctx context.Context) {
	s := d.o.Settings()
	for _, name := range s.Servers {
		if d.avoids(name) {
			continue
		}
		from, sample, err := d.query(ctx, name, s.Source)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.noteFailure(name, err)
			continue
		}
		d.adjust(from, sample)
		return
	}
}

func (d *Daemon) avoids(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.avoidUntil[name]
	return ok && d.o.Clock.Mark() < until
}

// query asks a server at its addresses, until one answers. It also returns the address that did.
func (d *Daemon) query(ctx context.Context, name, source string) (netip.Addr, Sample, error) {
	addrs, err := d.o.Lookup(ctx, name)
	if err != nil {
		return netip.Addr{}, Sample{}, fmt.Errorf("look up: %w", err)
	}
	err = errors.New("the source interface has no address of the same IP version")
	for _, a := range addrs {
		var local netip.Addr
		if source != "" {
			if local = d.o.Source(source, a.Is6()); !local.IsValid() {
				continue
			}
		}
		var sample Sample
		for range maxRepeats {
			sample, err = Query(ctx, d.o.Net, d.o.Clock, dialConfig(a, local), d.o.Timeout)
			if !errors.Is(err, ErrClockMoved) {
				break
			}
		}
		var kiss *KissError
		if err == nil || errors.As(err, &kiss) || ctx.Err() != nil {
			return a, sample, err
		}
	}
	return netip.Addr{}, Sample{}, err
}

// noteFailure logs that a server has not returned the time, and obeys its kiss of death.
func (d *Daemon) noteFailure(name string, err error) {
	var kiss *KissError
	if !errors.As(err, &kiss) {
		d.o.Log(true, fmt.Sprintf("The NTP server %s did not return the time: %s.", name,
			reasonText(err)))
		return
	}
	d.mu.Lock()
	switch kiss.Code {
	case "DENY", "RSTR":
		d.avoidUntil[name] = forever
	default:
		d.avoidUntil[name] = d.o.Clock.Mark() + clock.Mark(ratePause)
	}
	d.mu.Unlock()
	d.o.Log(true, fmt.Sprintf("The NTP server %s refuses queries: %s.", name, kiss.Code))
}

// reasonText returns the text of an error for the log.
func reasonText(err error) string {
	switch {
	case errors.Is(err, ErrNoAnswer):
		return "it does not answer"
	case errors.Is(err, ErrBogus):
		_, what, _ := strings.Cut(err.Error(), ErrBogus.Error()+": ")
		return "its answer was rejected (" + what + ")"
	}
	return err.Error()
}

// provesWrong reports whether a sample shows that the clock must be set. A sample may be off by half
// of its round trip: that is the error if one way takes all of the time. On a clock that runs fast a
// round trip takes seconds.
func provesWrong(offset, roundTrip time.Duration) bool {
	return offset.Abs() >= max(StepThreshold, roundTrip/2)
}

// adjust sets the clock if it is wrong.
func (d *Daemon) adjust(from netip.Addr, s Sample) {
	offset := s.Shift - d.o.Clock.Shift()
	d.o.Log(false, fmt.Sprintf("sntp query host %v delay %d offset %d", from,
		s.Delay.Milliseconds(), offset.Milliseconds()))
	if !provesWrong(offset, s.Delay) {
		return
	}
	before := d.o.Clock.Now()
	if err := d.o.SetShift(s.Shift); err != nil {
		d.o.Log(true, "The system time cannot be stored: "+err.Error())
	}
	const layout = "Mon, 02 Jan 2006 15:04:05"
	d.o.Log(false,
		fmt.Sprintf("The system time was changed from %s to %s using information from %v.",
			before.UTC().Format(layout), before.Add(offset).UTC().Format(layout), from))
}
