package alert

import (
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/logs"
)

// week is how often AutoSupport reports.
const week = 7 * 24 * time.Hour

// awaitReport sets the timer of the next weekly report: a week after the last one, also
// over restarts. mu is held.
func (d *Desk) awaitReport() {
	now := d.o.Clock.Now()
	if d.kept.Report.IsZero() || d.kept.Report.After(now) {
		d.kept.Report = now
		d.save()
	}
	d.week = d.timers.AfterFunc(d.o.Clock, max(0, week-now.Sub(d.kept.Report)), d.report)
}

// report sends the weekly report, if AutoSupport is on.
func (d *Desk) report() {
	s := d.o.Settings()
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return
	}
	d.kept.Report = d.o.Clock.Now()
	d.save()
	d.awaitReport()
	d.mu.Unlock()
	if !s.AutoSupport {
		return
	}
	to := []string{VendorAddress}
	for _, r := range s.Recipients {
		if s.AutoSupportCopy && r.Wants(System, Information) && !isVendor(r.Address) {
			to = append(to, r.Address)
		}
	}
	p := d.o.Product
	text := fmt.Sprintf("Version: %v\nSerial Number: %s\n", p.Version, p.Serial)
	if d.o.Report != nil {
		text += d.o.Report()
	}
	subject := fmt.Sprintf("AutoSupport from Cisco IronPort %s, %s", p.Model, d.o.Hostname())
	for _, l := range d.letters(subject, text, to) {
		done := func(err error) {
			if err != nil {
				d.o.Log(logs.Critical, fmt.Sprintf("Error while sending AutoSupport report to %s with subject \"%s\".", l.To, l.Subject))
			}
		}
		if err := d.o.Submit(l, done); err != nil {
			done(err)
		}
	}
}
