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

// When a Daemon asks, see the package comment.
const (
	pollEvery  = 20 * time.Minute
	startLeast = time.Minute
	startMost  = 5 * time.Minute
	rateHold   = time.Hour
)

// maxMoves is how often a server is asked again because the clock was moved meanwhile.
const maxMoves = 10

// StepThreshold is how far the clock must be off to be set.
const StepThreshold = 125 * time.Millisecond

// queryLimit is how long a server may take.
const queryLimit = 5 * time.Second

// Options are a Daemon's surroundings.
type Options struct {
	Net      network.Transport
	Clock    *clock.Offset   // the appliance's
	Rand     *entropy.Stream // for the first wait
	Settings func() Settings // as committed now
	// Lookup returns the addresses of a name.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// Source returns the IPv4 or IPv6 address that an IP interface has; the zero
	// address where it has none.
	Source func(ipInterface string, v6 bool) netip.Addr
	// Set sets the Shift of the appliance's clock. It is called from the daemon's
	// goroutine.
	SetShift func(shift time.Duration) error
	// Log tells the administrator. trouble is what should worry.
	Log func(trouble bool, text string)
	// Limit is how long a server may take; 0 means 5 seconds.
	Timeout time.Duration
}

// A Daemon keeps the appliance's clock right. It is a service of the appliance, and
// safe for concurrent use.
type Daemon struct {
	o       Options
	asking  sync.WaitGroup
	mu      sync.Mutex
	life    context.Context // nil: not running
	end     context.CancelFunc
	unset   func() bool // stops the timer
	busy    bool        // somebody asks
	again   bool        // and is to ask once more
	avoided map[string]clock.Mark
}

// forever is a mark that no clock reaches.
const forever = clock.Mark(1<<63 - 1)

// New returns a Daemon that does not run yet.
func New(o Options) *Daemon {
	o.Timeout = cmp.Or(o.Timeout, queryLimit)
	return &Daemon{o: o, avoided: map[string]clock.Mark{}}
}

// Name is the process's.
func (*Daemon) Name() string { return owner }

// Start sets the timer of the first query.
func (d *Daemon) Start(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life != nil {
		return errors.New("ntp: started twice")
	}
	d.life, d.end = context.WithCancel(context.Background())
	d.wait(startLeast + time.Duration(d.o.Rand.Float64()*float64(startMost-startLeast)))
	return nil
}

// Stop gives up what is being asked and waits for it.
func (d *Daemon) Stop(context.Context) error {
	d.mu.Lock()
	if d.life != nil {
		d.end()
		d.unset()
	}
	d.mu.Unlock()
	d.asking.Wait() // the queries have ended with their context
	return nil
}

// Reconsider asks the servers of the configuration now, also those that wanted to be
// left alone. It does not wait for answers.
func (d *Daemon) Reload() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.avoided)
	d.poll()
}

// wait sets the timer. mu is held, and the daemon runs.
func (d *Daemon) wait(t time.Duration) {
	if d.unset != nil {
		d.unset()
	}
	d.unset = d.o.Clock.AfterFunc(t, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.poll()
	})
}

// poll begins to ask, on a goroutine of its own, and sets the timer of the next time.
// mu is held.
func (d *Daemon) poll() {
	if d.life == nil || d.life.Err() != nil {
		return
	}
	d.wait(pollEvery)
	if d.busy {
		d.again = true
		return
	}
	d.busy = true
	d.asking.Go(func() {
		for more := true; more; {
			d.ask(d.life)
			d.mu.Lock()
			more, d.again = d.again, false
			d.busy = more
			d.mu.Unlock()
		}
	})
}

// ask goes through the servers until one has told the time.
func (d *Daemon) ask(ctx context.Context) {
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
			d.failed(name, err)
			continue
		}
		d.adjust(from, sample)
		return
	}
}

func (d *Daemon) avoids(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.avoided[name]
	return ok && d.o.Clock.Mark() < until
}

// query asks a server at one of its addresses.
func (d *Daemon) query(ctx context.Context, name, source string) (netip.Addr, Sample, error) {
	addrs, err := d.o.Lookup(ctx, name)
	if err != nil {
		return netip.Addr{}, Sample{}, fmt.Errorf("look up: %w", err)
	}
	err = errors.New("no address in reach of the source interface")
	for _, a := range addrs {
		var local netip.Addr
		if source != "" {
			if local = d.o.Source(source, a.Is6()); !local.IsValid() {
				continue
			}
		}
		var sample Sample
		for range maxMoves {
			if sample, err = Query(ctx, d.o.Net, d.o.Clock, server(a, local), d.o.Timeout); !errors.Is(err, ErrClockMoved) {
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

// failed notes what a server wants and tells that there is no time from it.
func (d *Daemon) failed(name string, err error) {
	var kiss *KissError
	if !errors.As(err, &kiss) {
		d.o.Log(true, fmt.Sprintf("The NTP server %s gives no time: %s.", name, reason(err)))
		return
	}
	d.mu.Lock()
	switch kiss.Code {
	case "DENY", "RSTR":
		d.avoided[name] = forever
	default:
		d.avoided[name] = d.o.Clock.Mark() + clock.Mark(rateHold)
	}
	d.mu.Unlock()
	d.o.Log(true, fmt.Sprintf("The NTP server %s does not want to be asked: %s.", name, kiss.Code))
}

// reason is an error in a few words.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrNoAnswer):
		return "it does not answer"
	case errors.Is(err, ErrBogus):
		_, what, _ := strings.Cut(err.Error(), ErrBogus.Error()+": ")
		return "its answer is not to be believed (" + what + ")"
	}
	return err.Error()
}

// adjust sets the clock where it is wrong.
func (d *Daemon) adjust(from netip.Addr, s Sample) {
	wrong := s.Shift - d.o.Clock.Shift()
	d.o.Log(false, fmt.Sprintf("sntp query host %v delay %d offset %d", from, s.Delay.Milliseconds(), wrong.Milliseconds()))
	if wrong.Abs() < StepThreshold {
		return
	}
	before := d.o.Clock.Now()
	if err := d.o.SetShift(s.Shift); err != nil {
		d.o.Log(true, "The system time cannot be kept: "+err.Error())
	}
	const form = "Mon, 02 Jan 2006 15:04:05"
	d.o.Log(false, fmt.Sprintf("The system time was changed from %s to %s using information from %v.", before.UTC().Format(form), before.Add(wrong).UTC().Format(form), from))
}
