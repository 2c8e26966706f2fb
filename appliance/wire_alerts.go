package appliance

import (
	"path/filepath"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/product"
)

// alertsFile is the file of the state directory with the alerts that displayalerts shows.
const alertsFile = "alerts"

// openAlerts makes the alert desk and the internal mail system that sends its messages, and
// raises an alert when the file area is full. The logs need not exist yet: nothing is sent before
// Start.
func (a *Appliance) openAlerts() {
	toMailLog := func(level Level, text string) { a.Log(MailLog, level, text) }
	a.InternalMail = mail.NewInternal(mail.InternalOptions{
		Client:       a.Mail,
		Resolver:     a.Resolver,
		Clock:        a.Clock,
		Rand:         a.Entropy.Stream("internal smtp"),
		Log:          toMailLog,
		AttemptLevel: a.mailAttemptLevel(),
	})
	a.Alerts = alert.Open(alert.Options{
		Clock:    a.Clock,
		Rand:     a.Entropy.Stream("alerts"),
		Product:  a.Product,
		Hostname: a.Hostname,
		Zone:     a.Zone,
		Settings: func() alert.Settings { return alert.Section.Get(a.Config.Committed()) },
		File:     filepath.Join(a.state, alertsFile),
		Submit:   a.InternalMail.Submit,
		Log:      toMailLog,
		Report:   a.SupportReport,
		Logger:   a.Logger,
	})
	a.Add(a.InternalMail)
	a.Add(a.Alerts)
	a.Files.OnFull(func() {
		a.Alerts.Raise(alert.System, alert.Critical,
			"The disk is full: files cannot be written until others have been removed.")
	})
}

// mailAttemptLevel returns the level of the log lines about each attempt to send a message. Before
// version 9 the mail log does not show them at the factory's level: in A4 the first line after
// the header is about the alert.
func (a *Appliance) mailAttemptLevel() logs.Level {
	if a.Product.Version.Before(product.Version{Major: 9}) {
		return Debug
	}
	return Information
}
