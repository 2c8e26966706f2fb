package appliance

import (
	"context"
	"path/filepath"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta"
)

// alertsFile is the file of the state directory with the alerts that displayalerts shows.
const alertsFile = "alerts"

// openAlerts makes the alert desk and the outbox that hands its messages to the mail queue, and
// raises an alert when the file area is full. The logs need not exist yet: nothing is sent before
// Start.
func (a *Appliance) openAlerts() {
	a.outbox = mta.NewOutbox(mta.OutboxOptions{
		Submit: func(ctx context.Context, m mta.OwnMessage) (uint64, error) { return a.MTA.Submit(ctx, m) },
		Events: a.Events, Clock: a.Clock, Logger: a.Logger,
	})
	a.Alerts = alert.Open(alert.Options{
		Clock:    a.Clock,
		Rand:     a.Entropy.Stream("alerts"),
		Product:  a.Product,
		Hostname: a.Hostname,
		Zone:     a.Zone,
		Settings: func() alert.Settings { return alert.Section.Get(a.Config.Committed()) },
		File:     filepath.Join(a.state, alertsFile),
		Submit:   func(m alert.Message) error { return a.outbox.Post(mta.Posted(m)) },
		Log: func(cause uint64, level Level, text string) {
			a.LogEvent(cause, MailLog, level, text)
		},
		Report: a.SupportReport,
		Events: a.Events,
		Logger: a.Logger,
	})
	a.Add(a.outbox)
	a.Add(a.Alerts)
	a.Files.OnFull(func() {
		a.raise("files", alert.System, alert.Critical,
			"The disk is full: files cannot be written until others have been removed.")
	})
}

// raise raises an alert about a trouble of a part of the appliance.
func (a *Appliance) raise(part string, class alert.Class, severity alert.Severity, text string) {
	trouble := events.Publish(a.Events, 0, TroubleFound{part, text})
	a.Alerts.RaiseBy(trouble, class, severity, text)
}
