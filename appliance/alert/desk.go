package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/product"
)

// Options are a Desk's surroundings. All but Report are required.
type Options struct {
	Clock    clock.Clock
	Rand     *entropy.Stream // for the letters' names
	Product  product.Facts
	Hostname func() string
	Zone     func() *time.Location
	Settings func() Settings // as committed now
	// File holds the stored alerts.
	File string
	// Submit accepts a letter, or refuses it with an error, and does not wait; done
	// is told how it went. See mail.Internal.
	Submit func(l mail.InternalMessage, done func(error)) error
	// Log writes to the mail log. It must not block.
	Log func(level logs.Level, text string)
	// Report is the text of AutoSupport's weekly report; nil means version and
	// serial number only.
	Report func() string
	Logger *slog.Logger // for whoever runs the program
}

// An Alert is one that was told.
type Alert struct {
	Time     time.Time `json:"time"`
	Class    Class     `json:"class"`
	Severity Severity  `json:"severity"`
	Text     string    `json:"text"`
	Repeats  *Repeats  `json:"repeats,omitempty"` // nil: it was the first
}

// Repeats are alerts that were held back.
type Repeats struct {
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// A Desk tells people of trouble. It is a service of the appliance, and safe for
// concurrent use.
type Desk struct {
	o      Options
	timers clock.Group // of series, and of the report
	saving sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	series  map[key]*series
	kept    kept
	dirty   bool // kept is not in the file
	writes  bool // somebody writes it
	week    func() bool
}

// A key is what makes alerts equal.
type key struct {
	class    Class
	severity Severity
	text     string
}

// A series is a row of equal alerts.
type series struct {
	pace     pace
	interval time.Duration
	unset    func() bool
	held     Repeats
}

// A pace is the settings of intervals. A series ends when they change.
type pace struct{ initial, maximum int }

func paceOf(s Settings) pace { return pace{s.InitialInterval, s.MaximumInterval} }

// maxSeries bounds the memory for duplicates: more alerts that differ than that within
// an interval are told without holding anything back.
const maxSeries = 1000

// Open returns a Desk that remembers the alerts of its file. The caller stops it.
func Open(o Options) (*Desk, error) {
	d := &Desk{o: o, series: map[key]*series{}}
	if err := d.kept.load(o.File); err != nil {
		return nil, fmt.Errorf("read the stored alerts: %w", err)
	}
	return d, nil
}

// Name is the service's.
func (*Desk) Name() string { return "alerts" }

// Start sets the timer of the weekly report.
func (d *Desk) Start(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.week != nil {
		return errors.New("alerts: started twice")
	}
	d.awaitReport()
	return nil
}

// Stop ends the waits and writes the stored alerts. What is raised afterwards is
// dropped.
func (d *Desk) Stop(context.Context) error {
	d.mu.Lock()
	d.stopped = true
	for _, s := range d.series {
		s.unset()
	}
	clear(d.series)
	if d.week != nil {
		d.week()
	}
	d.mu.Unlock()
	d.timers.Wait()
	d.saving.Wait()
	return nil
}

// Raise tells of trouble. It does not block. text is what happened: its beginning is the
// letter's subject.
func (d *Desk) Raise(c Class, s Severity, text string) {
	now, settings := d.o.Clock.Now(), d.o.Settings()
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return
	}
	k := key{c, s, text}
	a := Alert{Time: now, Class: c, Severity: s, Text: text}
	if same := d.series[k]; same != nil {
		if same.hold(now); same.pace == paceOf(settings) {
			d.mu.Unlock()
			return
		}
		same.unset()
		delete(d.series, k)
		a.Repeats = &same.held
	}
	if settings.InitialInterval > 0 && len(d.series) < maxSeries {
		d.series[k] = &series{pace: paceOf(settings)}
		d.await(k, time.Duration(settings.InitialInterval)*time.Second)
	}
	d.store(a, settings.StoredAlerts)
	d.mu.Unlock()
	d.tell(a, settings)
}

func (s *series) hold(now time.Time) {
	if s.held.Count == 0 {
		s.held.First = now
	}
	s.held.Count++
	s.held.Last = now
}

// await begins an interval of a series. mu is held.
func (d *Desk) await(k key, interval time.Duration) {
	s := d.series[k]
	s.interval, s.held = interval, Repeats{}
	s.unset = d.timers.AfterFunc(d.o.Clock, interval, func() { d.over(k, s) })
}

// over ends an interval: what was held back is told, and another begins; or the series
// ends.
func (d *Desk) over(k key, s *series) {
	settings := d.o.Settings()
	d.mu.Lock()
	if d.stopped || d.series[k] != s {
		d.mu.Unlock()
		return
	}
	held := s.held
	if held.Count == 0 {
		delete(d.series, k)
		d.mu.Unlock()
		return
	}
	if settings.InitialInterval > 0 {
		interval := next(s.interval, settings)
		if now := paceOf(settings); now != s.pace {
			s.pace, interval = now, time.Duration(settings.InitialInterval)*time.Second
		}
		d.await(k, interval)
	} else {
		delete(d.series, k)
	}
	a := Alert{Time: d.o.Clock.Now(), Class: k.class, Severity: k.severity, Text: k.text, Repeats: &held}
	d.store(a, settings.StoredAlerts)
	d.mu.Unlock()
	d.tell(a, settings)
}

// next is the interval after another (logs.md 4.5).
func next(interval time.Duration, s Settings) time.Duration {
	return min(time.Duration(s.InitialInterval)*time.Second+2*interval, time.Duration(s.MaximumInterval)*time.Second)
}

// tell writes to everybody who wants to know.
func (d *Desk) tell(a Alert, s Settings) {
	var to []string
	for _, r := range s.Recipients {
		if r.Wants(a.Class, a.Severity) {
			to = append(to, r.Address)
		}
	}
	if s.AutoSupport && !slices.ContainsFunc(to, isVendor) {
		to = append(to, VendorAddress)
	}
	if to == nil {
		return
	}
	subject := Subject(a.Class, a.Severity, d.o.Hostname(), a.Text, s.SubjectLength)
	kind := string(a.Class) + "/" + a.Severity.ShortName()
	for _, l := range d.letters(subject, body(a, d.o.Product, d.o.Zone()), to) {
		done := func(err error) {
			if err != nil {
				d.o.Log(logs.Critical, fmt.Sprintf("Error while sending alert: Unable to send %s alert to %s with subject \"%s\".", kind, l.To, l.Subject))
				return
			}
			d.o.Log(logs.Information, fmt.Sprintf("A %s alert was sent to %s with subject \"%s\".", kind, l.To, l.Subject))
		}
		if err := d.o.Submit(l, done); err != nil {
			done(err)
		}
	}
}

func isVendor(address string) bool { return strings.EqualFold(address, VendorAddress) }

// Alerts are those that are stored, the newest first.
func (d *Desk) Alerts() []Alert {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := slices.Clone(d.kept.Alerts)
	slices.Reverse(out)
	return out
}
