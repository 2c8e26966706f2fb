package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/users"
)

// Options are an appliance's surroundings. Net and Dir are required.
type Options struct {
	Net     network.Network // stays its owner's
	Dir     string          // where configuration, state and files are kept
	Product product.Facts
	Factory *config.Factory // nil: the defaults of the sections
	Quota   int64           // bytes of the file area; 0 means 1 GiB
	// Capture names the interfaces that a packet capture runs on before somebody
	// chooses others; nil means all.
	Capture []string

	Clock   clock.Clock    // nil means the machine's
	Entropy entropy.Source // the zero value is the machine's
	Logger  *slog.Logger   // for whoever runs the program; nil discards

	// Limits slow down and block addresses that fail to log in; the zero value
	// means users.DefaultLimits.
	Limits users.Limits
	// Timeouts bound what the appliance waits for on the network; zeros mean the
	// defaults.
	Timeouts Timeouts
	// FactoryReset forgets the committed configuration.
	FactoryReset bool
	// TrustedCAs gives certificates, in PEM, of authorities that are trusted besides those
	// of the directory configuration. It is asked for each TLS connection; nil: none.
	TrustedCAs func() ([]byte, error)
	// Power is called when an administrator reboots the appliance or shuts it
	// down. It must return at once.
	Power func(PowerAction, time.Duration)
}

// Timeouts bound waits for others on the network, in the machine's time. A test makes
// them short.
type Timeouts struct {
	Probe   time.Duration // an answer to one of traceroute's probes: 5 s
	Lookup  time.Duration // an answer of one DNS server: 5 s
	Connect time.Duration // a TCP connection that a command opens: 75 s
	NTP     time.Duration // an answer of one time server: 5 s
	// Mail are those of SMTP's steps; zero: mail.DefaultTimeouts, with Connect's.
	Mail mail.Timeouts
}

// orDefaults fills in what is zero.
func (t Timeouts) orDefaults() Timeouts {
	if t.Mail == (mail.Timeouts{}) {
		t.Mail = mail.DefaultTimeouts()
		t.Mail.Connect = cmp.Or(t.Connect, t.Mail.Connect)
	}
	return Timeouts{
		Probe:   cmp.Or(t.Probe, 5*time.Second),
		Lookup:  cmp.Or(t.Lookup, 5*time.Second),
		Connect: cmp.Or(t.Connect, 75*time.Second),
		NTP:     cmp.Or(t.NTP, 5*time.Second),
		Mail:    t.Mail,
	}
}

// An Appliance is one simulated box. Its exported fields are its parts: set by New
// and safe for concurrent use.
type Appliance struct {
	Product      product.Facts
	Clock        *clock.Offset
	Entropy      entropy.Source
	Net          network.Network
	Config       *config.Store
	Files        *files.Store
	Logs         *logs.Hub
	Users        *users.Directory
	Guard        *users.Guard
	Logins       *users.Logins
	Resolver     *resolver.Client
	Mail         *mail.Client
	InternalMail *mail.Internal // carries the appliance's own messages
	Alerts       *alert.Desk
	NTP          *ntp.Daemon
	Captures     *capture.Recorder
	Daemons      *daemon.Table
	Timeouts     Timeouts // none is zero
	Logger       *slog.Logger

	Reporting, Tracking *Database

	state      string // directory
	started    clock.Mark
	power      func(PowerAction, time.Duration)
	trustedCAs func() ([]byte, error)

	access atomic.Pointer[accessCache]
	zone   atomic.Pointer[zoneCache]

	mu       sync.Mutex
	up       bool // Start has succeeded
	stopped  bool
	services []Service

	stopStatusLines func() bool // nil before Start

	restarts sync.Mutex // held for a whole restart; taken before mu
	keys     sync.Mutex // held while the key pair for SCP is made; a leaf
}

// Directories below Options.Dir.
const (
	configDir = "config"
	filesDir  = "files"
	stateDir  = "state"
)

// DefaultQuota is the size of the file area in bytes.
const DefaultQuota = 1 << 30

// New builds an appliance as Options.Dir has it, or in its factory state. Nothing
// listens before Start. The caller ends an appliance with Stop also where it was
// never started.
func New(o Options) (*Appliance, error) {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Quota == 0 {
		o.Quota = DefaultQuota
	}
	a := &Appliance{
		Product:    o.Product,
		Clock:      clock.NewOffset(o.Clock),
		Entropy:    o.Entropy,
		Net:        o.Net,
		Timeouts:   o.Timeouts.orDefaults(),
		Logger:     o.Logger,
		power:      o.Power,
		trustedCAs: o.TrustedCAs,
		state:      filepath.Join(o.Dir, stateDir),
	}
	a.Daemons = daemon.New(daemon.Options{
		Net:       o.Net,
		Clock:     a.Clock,
		Version:   o.Product.Version,
		Committed: func() *config.Config { return a.Config.Committed() },
		Hostname:  a.Hostname,
	})
	if err := a.open(o); err != nil {
		return nil, errors.Join(err, a.closeParts())
	}
	a.started = a.Clock.Mark()
	return a, nil
}

func (a *Appliance) open(o Options) (err error) {
	if err := os.RemoveAll(filepath.Join(o.Dir, erasedDir)); err != nil {
		return fmt.Errorf("remove what was erased: %w", err)
	}
	if err := a.openState(); err != nil {
		return err
	}
	if a.Config, err = config.Open(config.Options{Dir: filepath.Join(o.Dir, configDir), Factory: o.Factory, Clock: a.Clock, Logger: o.Logger, Reset: o.FactoryReset}); err != nil {
		return fmt.Errorf("open configuration: %w", err)
	}
	if a.Files, err = files.Open(filepath.Join(o.Dir, filesDir), o.Quota, a.Clock); err != nil {
		return fmt.Errorf("open file area: %w", err)
	}
	if a.Users, err = users.NewDirectory(a.Config, o.Entropy.Stream("users")); err != nil {
		return fmt.Errorf("open accounts: %w", err)
	}
	if a.Reporting, err = openDatabase(a, "reporting"); err != nil {
		return err
	}
	if a.Tracking, err = openDatabase(a, "tracking"); err != nil {
		return err
	}
	a.Guard = users.NewGuard(a.Clock, cmp.Or(o.Limits, users.DefaultLimits()))
	if a.Logins, err = users.OpenLogins(filepath.Join(a.state, "logins"), a.Clock, o.Logger); err != nil {
		return fmt.Errorf("open the record of logins: %w", err)
	}
	if err := a.openResolver(o); err != nil {
		return fmt.Errorf("open the DNS client: %w", err)
	}
	a.Mail = mail.New(mail.Options{Net: o.Net, Hello: a.Hostname, Owner: "hermes", User: "root", Timeouts: a.Timeouts.Mail})
	a.addNTP()
	a.Files.SetZone(a.Zone)
	if err := a.openAlerts(); err != nil {
		return err
	}
	if err := a.openLogs(); err != nil {
		return err
	}
	factory := capture.FactorySettings()
	factory.Interfaces = o.Capture
	if a.Captures, err = capture.New(capture.Options{
		Net:        o.Net,
		Files:      a.Files,
		Clock:      a.Clock,
		Product:    a.Product,
		Zone:       a.Zone,
		StateFile:  filepath.Join(a.state, "packetcapture"),
		Factory:    factory,
		LookupHost: a.lookupHost,
		OnFailure:  a.captureTrouble,
		Logger:     o.Logger,
	}); err != nil {
		return fmt.Errorf("open packet captures: %w", err)
	}
	a.openNetwork()
	return nil
}

// closeParts closes what open opened, last first.
func (a *Appliance) closeParts() error {
	var errs []error
	if a.Resolver != nil {
		errs = append(errs, a.saveResolver())
	}
	if a.Captures != nil {
		errs = append(errs, a.Captures.Close())
	}
	if a.Logs != nil {
		errs = append(errs, a.Logs.Close(context.Background()))
	}
	if a.Alerts != nil { // where there was no Stop
		errs = append(errs, a.InternalMail.Stop(context.Background()), a.Alerts.Stop(context.Background()))
	}
	if a.Files != nil {
		errs = append(errs, a.Files.Close())
	}
	return errors.Join(errs...)
}

// lookupHost resolves a name in a capture filter.
func (a *Appliance) lookupHost(name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return a.Resolver.Lookup(ctx, name, 0)
}

// captureTrouble reports a capture that the disk ended.
func (a *Appliance) captureTrouble(s capture.Status) {
	text := fmt.Sprintf("Packet capture %s stopped: %v.", s.File, s.Reason)
	a.Log(SystemLog, Warning, text)
	a.Alerts.Raise(alert.System, alert.Warning, text)
}

// Started is when the appliance came up, by its clock as that is set now: setting the
// time does not change how long it has been up.
func (a *Appliance) Started() time.Time { return a.Clock.Now().Add(-a.Clock.Since(a.started)) }
