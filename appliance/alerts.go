package appliance

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/product"
)

// alertsFile is the file of the state directory with the alerts that displayalerts
// shows.
const alertsFile = "alerts"

// openAlerts makes the alert desk and the mail system that carries its letters, and
// has the file area tell when it is full. Logs need not be there yet: nothing is sent
// before Start.
func (a *Appliance) openAlerts() (err error) {
	toMailLog := func(level Level, text string) { a.Log(MailLog, level, text) }
	a.InternalMail = mail.NewInternal(mail.InternalOptions{
		Client:       a.Mail,
		Resolver:     a.Resolver,
		Clock:        a.Clock,
		Rand:         a.Entropy.Stream("internal smtp"),
		Log:          toMailLog,
		AttemptLevel: a.letterLevel(),
	})
	a.Alerts, err = alert.Open(alert.Options{
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
	if err != nil {
		return fmt.Errorf("open the alert desk: %w", err)
	}
	a.Add(a.InternalMail)
	a.Add(a.Alerts)
	a.Files.OnFull(func() {
		a.Alerts.Raise(alert.System, alert.Critical, "The disk is full: files cannot be written until others have been removed.")
	})
	return nil
}

// letterLevel is the level of the lines that tell of each attempt to send a letter.
// Before version 9 the mail log does not show them as it comes from the factory: the
// first line after the header in A4 is that of the alert.
func (a *Appliance) letterLevel() logs.Level {
	if a.Product.Version.Before(product.Version{Major: 9}) {
		return Debug
	}
	return Information
}

// SupportReport is what AutoSupport's weekly report tells of the appliance's state.
func (a *Appliance) SupportReport() string {
	up := a.Clock.Since(a.started)
	return fmt.Sprintf("Up since: %s (%dd %dh %02dm %02ds)\nStatus: %s\n", a.Started().In(a.Zone()).Format("Mon Jan _2 15:04:05 2006 MST"),
		up/(24*time.Hour), up/time.Hour%24, up/time.Minute%60, up/time.Second%60, a.metrics())
}
