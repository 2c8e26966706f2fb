package appliance

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/dhcp"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/tlsconfig"
	"github.com/esasim/esasim/appliance/users"
)

// Options describe an appliance and its surroundings. Dir is required. Without Net, no function
// that uses the network may be called.
type Options struct {
	Net     network.Network // the caller stops it, after the appliance
	Dir     string          // holds configuration, state and files; created if it does not exist
	Product product.Facts
	Factory *config.Factory // nil: the defaults of the sections
	Zone    *time.Location  // used for its name instead of loading it; nil: each is loaded
	Quota   int64           // bytes of the file area; 0: DefaultQuota
	// QueueQuota is the size of the mail queue in bytes, which is no part of the file area; 0:
	// queue.DefaultQuota.
	QueueQuota int64
	// CaptureInterfaces are the interfaces that packet captures run on until an administrator chooses
	// others; nil: all.
	CaptureInterfaces []string
	// DHCP are the interfaces that ask for their addresses, unless an administrator has configured
	// interfaces.
	DHCP []dhcp.Interface

	Clock   clock.Clock    // nil: the machine's
	Entropy entropy.Source // the zero value is the machine's
	Logger  *slog.Logger   // for the person who runs the program; nil discards

	// Events is the stream of an earlier run of the appliance, to go on with; nil: a new one.
	Events *events.Stream

	// LogFiles keeps log files open, and may be shared by many appliances; nil: one of its own.
	LogFiles *logs.OpenFiles
	// LoginLimits delay and block addresses from which logins fail; the zero value means
	// users.DefaultLimits.
	LoginLimits users.Limits
	// Timeouts bound waits on the network; a zero means the default.
	Timeouts Timeouts
	// FactoryReset replaces the committed configuration by the factory's.
	FactoryReset bool
	// Certificate returns the certificate that the appliance has if an administrator has installed no
	// other (tlsconfig.Demo); nil: there is none.
	Certificate func() (*tls.Certificate, error)
	// TrustedCAs returns certificates, in PEM, of the authorities that come with the appliance. It is
	// called for each TLS connection; nil: none.
	TrustedCAs func() ([]byte, error)
	// OnPower is called when an administrator reboots the appliance or shuts it down. It must
	// return immediately, and have the appliance stopped after the given delay.
	OnPower func(PowerAction, time.Duration)
}

// Timeouts bound waits on the network. They are measured on the machine's clock. Tests make them
// short.
type Timeouts struct {
	Probe   time.Duration // for the answer to a probe of traceroute: 5 s
	Lookup  time.Duration // for the answer of one DNS server: 5 s
	Connect time.Duration // for a TCP connection that a command opens: 75 s
	NTP     time.Duration // for the answer of one time server: 5 s
	// Mail bounds the steps of SMTP; the zero value means mail.DefaultTimeouts, with Connect.
	Mail mail.Timeouts
}

// orDefaults returns t with defaults in place of zeros.
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

// An Appliance is one simulated appliance. Its exported fields are its parts, which New sets. It is
// safe for concurrent use.
type Appliance struct {
	Product      product.Facts
	Clock        *clock.Offset
	Entropy      entropy.Source
	Net          network.Network
	Config       *config.Store
	Certificates *tlsconfig.Store
	Files        *files.Store
	Logs         *logs.Hub
	Users        *users.Directory
	Guard        *users.Guard
	Logins       *users.Logins
	Resolver     *resolver.Client
	Mail         *mail.Client
	Alerts       *alert.Desk
	NTP          *ntp.Daemon
	DHCP         *dhcp.Daemon // has no interfaces unless Options.DHCP has
	Captures     *capture.Recorder
	Daemons      *daemon.Table
	Events       *events.Stream
	Metrics      *metrics.Set
	MTA          *mta.Server
	Timeouts     Timeouts // none is zero
	Logger       *slog.Logger

	Reporting, Tracking *Database

	state        string      // directory
	timers       clock.Group // of installation
	installation installation
	started      clock.Mark
	loadStart    clock.Mark // of the machine's clock; the first load is that since then
	load         processLoad
	power        func(PowerAction, time.Duration)
	trustedCAs   func() ([]byte, error)

	outbox      *mta.Outbox // hands the appliance's own messages to the queue
	status      *statusWriter
	unsubscribe []func() // subscribers of Events
	access      atomic.Pointer[accessCache]
	zone        atomic.Pointer[zoneCache]

	loadedZone *time.Location // of Options

	mu       sync.Mutex
	up       bool // Start has succeeded
	stopped  bool
	services []Service

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

// New returns the appliance that is kept in Options.Dir, or a new one. It does not listen before
// Start. The caller must call Stop, even if the appliance was never started.
//
// New depends neither on the content of the small files in Options.Dir nor on being able to write
// there: a file that is empty, damaged or unreadable is ignored, and what cannot be written stays
// in memory. Both are logged.
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
		power:      o.OnPower,
		trustedCAs: o.TrustedCAs,
		state:      filepath.Join(o.Dir, stateDir),
		loadedZone: o.Zone,
	}
	if a.Events = o.Events; a.Events == nil {
		a.Events = events.NewStream(a.Clock)
	} else {
		a.Events.SetClock(a.Clock)
	}
	if o.Certificate == nil {
		o.Certificate = func() (*tls.Certificate, error) { return nil, errNoCertificate }
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
	a.startInstallationTimer()
	a.started, a.loadStart = a.Clock.Mark(), clock.System().Mark()
	return a, nil
}

func (a *Appliance) open(o Options) (err error) {
	if err := os.RemoveAll(filepath.Join(o.Dir, erasedDir)); err != nil {
		o.Logger.Warn("erased data could not be removed", "err", err)
	}
	if err := atomicfile.Sweep(o.Dir); err != nil {
		o.Logger.Warn("temporary files could not be removed", "err", err)
	}
	a.openState()
	if a.Config, err = config.Open(config.Options{
		Dir:     filepath.Join(o.Dir, configDir),
		Factory: o.Factory,
		Clock:   a.Clock,
		Logger:  o.Logger,
		Reset:   o.FactoryReset,
	}); err != nil {
		return fmt.Errorf("open configuration: %w", err)
	}
	a.Certificates = tlsconfig.NewStore(tlsconfig.Options{
		Committed: a.Config.Committed, Demo: o.Certificate, Now: a.Clock.Now,
	})
	if a.Files, err = files.Open(filepath.Join(o.Dir, filesDir), o.Quota, a.Clock); err != nil {
		return fmt.Errorf("open file area: %w", err)
	}
	for _, text := range a.Files.Recovered() {
		o.Logger.Warn("file area: " + text)
	}
	if a.Users, err = users.NewDirectory(a.Config, o.Entropy.Stream("users")); err != nil {
		return fmt.Errorf("open accounts: %w", err)
	}
	a.Reporting = a.openDatabase("reporting")
	a.Tracking = a.openDatabase("tracking")
	a.Guard = users.NewGuard(a.Clock, cmp.Or(o.LoginLimits, users.DefaultLimits()))
	a.Logins = users.OpenLogins(filepath.Join(a.state, "logins"), a.Clock, o.Logger)
	a.Guard.Events, a.Logins.Events = a.Events, a.Events
	a.openResolver(o)
	a.Mail = mail.New(mail.Options{
		Net:      o.Net,
		Hello:    a.Hostname,
		Owner:    daemon.Hermes.Name(),
		User:     daemon.Hermes.User(),
		Timeouts: a.Timeouts.Mail,
	})
	a.addNTP()
	a.Files.SetZone(a.Zone)
	a.openAlerts()
	a.openLogs(o.LogFiles)
	a.openCaptures(o.CaptureInterfaces)
	a.openNetwork()
	a.addDHCP(o)
	return a.openMail(o)
}

// errNoCertificate means that whoever made the appliance gave it no certificate.
var errNoCertificate = errors.New("the appliance has no certificate")

// closeParts closes the parts that open has opened, last first.
func (a *Appliance) closeParts() error {
	var errs []error
	a.stopInstallationTimer()
	if a.Resolver != nil {
		a.saveResolver()
	}
	if a.Captures != nil {
		errs = append(errs, a.Captures.Close())
	}
	errs = append(errs, a.closeMail())
	if a.Logs != nil {
		errs = append(errs, a.Logs.Close(context.Background()))
	}
	if a.Alerts != nil { // Stop has stopped them already, but New has not if it fails
		ctx := context.Background()
		errs = append(errs, a.Alerts.Stop(ctx), a.outbox.Stop(ctx))
	}
	if a.Logins != nil {
		a.Logins.Close()
	}
	if a.Files != nil {
		errs = append(errs, a.Files.Close())
	}
	return errors.Join(errs...)
}

// Started returns the time at which the appliance came up. It is relative to the clock's present
// setting, so that setting the clock does not change the uptime.
func (a *Appliance) Started() time.Time { return a.Clock.Now().Add(-a.Clock.Since(a.started)) }
