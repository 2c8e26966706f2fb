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
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/product"
)

// Options configure a Desk. All but Report are required.
type Options struct {
	Clock    clock.Clock
	Rand     *entropy.Stream // for Message-IDs
	Product  product.Facts
	Hostname func() string
	Zone     func() *time.Location
	Settings func() Settings // returns the committed settings
	// File is the path of the file with the stored alerts.
	File string
	// Submit accepts a message for delivery, or returns an error. It does not block. The log says
	// what becomes of the message: see mta.Outbox.
	Submit func(Message) error
	// Log writes to the mail log. It must not block.
	// cause is the number of the event of the alert.
	Log func(cause uint64, level logs.Level, text string)
	// Report returns what AutoSupport's weekly report says after version and serial number. Nil
	// means nothing.
	Report func() string
	Events *events.Stream // gets alerts; nil: nobody
	Logger *slog.Logger   // of the program
}

// An Alert is an alert that was sent.
type Alert struct {
	Time     time.Time `json:"time"`
	Class    Class     `json:"class"`
	Severity Severity  `json:"severity"`
	Text     string    `json:"text"`
	Repeats  *Repeats  `json:"repeats,omitempty"` // nil: it was the first of its series
}

// Repeats say how often, and when, an alert was repeated while it was held back.
type Repeats struct {
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

func (r *Repeats) count() int {
	if r == nil {
		return 0
	}
	return r.Count
}

// A Desk sends alerts. It is a service of the appliance. Its methods are safe for concurrent
// use.
type Desk struct {
	o      Options
	timers clock.Group // of series, and of the report
	saving sync.WaitGroup

	mu              sync.Mutex
	stopped         bool
	series          map[seriesKey]*series
	state           deskState
	unsaved         bool // state differs from the file
	saveFailed      bool // the last attempt to write the file failed
	writing         bool // a goroutine writes the file
	stopReportTimer func() bool
}

// A seriesKey is what the alerts of a series have in common.
type seriesKey struct {
	class    Class
	severity Severity
	text     string
}

// A series is a sequence of equal alerts.
type series struct {
	intervals intervals
	interval  time.Duration // the present one
	stopTimer func() bool
	repeats   Repeats
	cause     uint64 // the event of the trouble that began the series
}

// intervals are the settings of intervals. A series begins again if they have changed.
type intervals struct{ initial, maximum int }

func intervalsOf(s Settings) intervals { return intervals{s.InitialInterval, s.MaximumInterval} }

// maxSeries bounds the memory for series. If there are more different alerts than that within an
// interval, the others are sent without holding back repeats.
const maxSeries = 1000

// Open returns a Desk that has the alerts of its file. The caller must stop it.
func Open(o Options) *Desk {
	d := &Desk{o: o, series: map[seriesKey]*series{}}
	if err := d.state.load(o.File); err != nil {
		o.Logger.Warn("the stored alerts are ignored", "err", err)
	}
	return d
}

// Name implements appliance.Service.
func (*Desk) Name() string { return "alerts" }

// Start starts the timer of the weekly report.
func (d *Desk) Start(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopReportTimer != nil {
		return errors.New("alerts: started twice")
	}
	d.scheduleReport()
	return nil
}

// Stop stops all timers and writes the stored alerts. Alerts that are raised afterwards are
// dropped.
func (d *Desk) Stop(context.Context) error {
	d.mu.Lock()
	if !d.stopped && (d.saveFailed || d.unsaved && !d.writing) {
		d.save() // after a failure, there may be space by now
	}
	d.stopped = true
	for _, s := range d.series {
		s.stopTimer()
	}
	clear(d.series)
	if d.stopReportTimer != nil {
		d.stopReportTimer()
	}
	d.mu.Unlock()
	d.timers.Wait()
	d.saving.Wait()
	return nil
}

// Raise is RaiseBy for an alert whose cause is not an event.
func (d *Desk) Raise(c Class, s Severity, text string) { d.RaiseBy(0, c, s, text) }

// RaiseBy stores an alert and sends it, or counts it as a repeat. It does not block. cause is the
// number of the event that the alert is about. text says what happened; the subject of the message
// begins with it.
func (d *Desk) RaiseBy(cause uint64, c Class, s Severity, text string) {
	now, settings := d.o.Clock.Now(), d.o.Settings()
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return
	}
	k := seriesKey{c, s, text}
	a := Alert{Time: now, Class: c, Severity: s, Text: text}
	if same := d.series[k]; same != nil {
		if same.hold(now); same.intervals == intervalsOf(settings) {
			d.mu.Unlock()
			return
		}
		same.stopTimer()
		delete(d.series, k)
		a.Repeats = &same.repeats
	}
	if settings.InitialInterval > 0 && len(d.series) < maxSeries {
		d.series[k] = &series{intervals: intervalsOf(settings), cause: cause}
		d.startInterval(k, time.Duration(settings.InitialInterval)*time.Second)
	}
	d.keep(a, settings.StoredAlerts)
	d.mu.Unlock()
	d.send(cause, a, settings)
}

func (s *series) hold(now time.Time) {
	if s.repeats.Count == 0 {
		s.repeats.First = now
	}
	s.repeats.Count++
	s.repeats.Last = now
}

// startInterval begins an interval of a series. mu must be held.
func (d *Desk) startInterval(k seriesKey, interval time.Duration) {
	s := d.series[k]
	s.interval, s.repeats = interval, Repeats{}
	s.stopTimer = d.timers.AfterFunc(d.o.Clock, interval, func() { d.endInterval(k, s) })
}

// endInterval ends an interval. If alerts were held back, it sends their number and begins
// another interval; otherwise the series ends.
func (d *Desk) endInterval(k seriesKey, s *series) {
	settings := d.o.Settings()
	d.mu.Lock()
	if d.stopped || d.series[k] != s {
		d.mu.Unlock()
		return
	}
	repeats := s.repeats
	if repeats.Count == 0 {
		delete(d.series, k)
		d.mu.Unlock()
		return
	}
	if settings.InitialInterval > 0 {
		interval := nextInterval(s.interval, settings)
		if now := intervalsOf(settings); now != s.intervals {
			s.intervals, interval = now, time.Duration(settings.InitialInterval)*time.Second
		}
		d.startInterval(k, interval)
	} else {
		delete(d.series, k)
	}
	a := Alert{
		Time: d.o.Clock.Now(), Class: k.class, Severity: k.severity, Text: k.text,
		Repeats: &repeats,
	}
	d.keep(a, settings.StoredAlerts)
	d.mu.Unlock()
	d.send(s.cause, a, settings)
}

// nextInterval returns the interval that follows another one (logs.md 4.5).
func nextInterval(interval time.Duration, s Settings) time.Duration {
	initial, maximum := time.Duration(s.InitialInterval)*time.Second,
		time.Duration(s.MaximumInterval)*time.Second
	return min(initial+2*interval, maximum)
}

// send submits a message for each recipient that has chosen the alert's class and severity.
func (d *Desk) send(cause uint64, a Alert, s Settings) {
	event := events.Publish(d.o.Events, cause, Raised{a.Class, a.Severity, a.Text, a.Repeats.count()})
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
	for _, m := range d.messages(kind+mailevents.AlertSuffix, subject, body(a, d.o.Product, d.o.Zone()), to) {
		if d.o.Submit(m) != nil {
			d.o.Log(event, logs.Critical, fmt.Sprintf("Error while sending alert: "+
				"Unable to send %s to %s with subject \"%s\".", m.About, m.To, m.Subject))
		}
	}
}

func isVendor(address string) bool { return strings.EqualFold(address, VendorAddress) }

// Alerts returns the stored alerts, the newest first.
func (d *Desk) Alerts() []Alert {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := slices.Clone(d.state.Alerts)
	slices.Reverse(out)
	return out
}
