package alert

import (
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/mailevents"
)

// reportInterval is how often AutoSupport reports.
const reportInterval = 7 * 24 * time.Hour

// scheduleReport starts the timer of the next weekly report, which is due a week after the last
// one, even if the appliance was restarted. mu must be held.
func (d *Desk) scheduleReport() {
	now := d.o.Clock.Now()
	if d.state.LastReport.After(now) {
		d.state.LastReport = now
		d.save()
	}
	if d.state.LastReport.IsZero() {
		// A first start need not write this: Stop does and, if the process is killed, the next start
		// within a week comes to the same result.
		d.state.LastReport, d.unsaved = now, true
		if age := now.Sub(d.o.Product.Installed); age > 0 && age < reportInterval {
			d.state.LastReport = d.o.Product.Installed
		}
	}
	wait := max(0, reportInterval-now.Sub(d.state.LastReport))
	d.stopReportTimer = d.timers.AfterFunc(d.o.Clock, wait, d.sendReport)
}

// sendReport sends the weekly report if AutoSupport is on, and schedules the next one.
func (d *Desk) sendReport() {
	s := d.o.Settings()
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return
	}
	d.state.LastReport = d.o.Clock.Now()
	d.save()
	d.scheduleReport()
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
	for _, m := range d.messages(mailevents.AutoSupport, subject, text, to) {
		if d.o.Submit(m) != nil {
			d.o.Log(0, logs.Critical, fmt.Sprintf(
				"Error while sending AutoSupport report to %s with subject \"%s\".", m.To, m.Subject))
		}
	}
}
