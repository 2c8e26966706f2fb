package appliance

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/maillog"
)

// Directory of the mail queue below Options.Dir, and files of the state directory.
const (
	queueDir      = "queue"
	suspendedFile = "suspended"
	countersFile  = "counters"
)

// openMail opens the mail system, and has the logs and the figures made of its events.
func (a *Appliance) openMail(o Options) error {
	a.Metrics = metrics.Open(metrics.Options{
		Clock: a.Clock, File: filepath.Join(a.state, countersFile), Logger: a.Logger,
	})
	lines := maillog.New(maillog.Options{
		Version:  a.Product.Version,
		Settings: func() logs.Settings { return logs.General.Get(a.Config.Committed()) },
		Zone:     a.Zone,
		Write: func(e logs.Entry) {
			a.Logs.Write(e)
			if e.Text != "" { // not a record of the delivery log
				a.logToOperator(e.Type, e.Level, e.Text)
			}
		},
	})
	recorder := maillog.NewRecorder(maillog.RecorderOptions{
		Subscriptions: func() []logs.Subscription { return logs.Section.Get(a.Config.Committed()).List },
		Write:         a.Logs.Write,
	})
	a.unsubscribe = append(a.unsubscribe, a.Events.Subscribe(a.Metrics.Handle, "mail"),
		a.Events.Subscribe(lines.Handle, "mail"), a.Events.Subscribe(recorder.Handle, "mail"))
	var err error
	a.MTA, err = mta.Open(mta.Options{
		Recorder: recorder,
		Dir:      filepath.Join(o.Dir, queueDir), Quota: o.QueueQuota,
		StateFile: filepath.Join(a.state, suspendedFile),
		Daemons:   a.Daemons, Client: a.Mail, Resolver: a.Resolver, Events: a.Events,
		Committed: a.Config.Committed, Hostname: a.Hostname, Zone: a.Zone, Clock: a.Clock,
		Entropy: o.Entropy, Logger: a.Logger, Certificates: a.Certificates,
		TrustedRoots:  a.TrustedAuthorities,
		OnTLSFailed:   func(text string) { a.raise("mail", alert.System, alert.Warning, text) },
		OnRateLimited: func(text string) { a.raise("mail", alert.System, alert.Information, text) },
		OnHarvest:     func(text string) { a.raise("mail", alert.Harvest, alert.Warning, text) },
		OnConserving:  func(text string) { a.raise("mail", alert.System, alert.Critical, text) },
	})
	if err != nil {
		return fmt.Errorf("open the mail system: %w", err)
	}
	a.Config.AddApplier(deliveryApplier{a.MTA.Delivery})
	return nil
}

// A deliveryApplier lets mail that waits know of limits that a commit has changed.
type deliveryApplier struct{ server *delivery.Server }

// Apply does nothing: deliveries follow the committed configuration.
func (deliveryApplier) Apply(context.Context, *config.Config, *config.Config) error { return nil }

// Done follows a commit.
func (d deliveryApplier) Done(context.Context, *config.Config, *config.Config) {
	d.server.Reschedule()
}

// closeMail closes what openMail has opened. Nothing is logged or counted afterwards.
func (a *Appliance) closeMail() error {
	var err error
	if a.MTA != nil {
		err = a.MTA.Close()
	}
	for _, cancel := range a.unsubscribe {
		cancel()
	}
	a.unsubscribe = nil
	if a.Metrics != nil {
		a.Metrics.Close()
	}
	return err
}
