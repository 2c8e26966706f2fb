package box

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/transfer"
)

// A system is one run of an appliance, from power on to power off.
type system struct {
	world     *netsim.World
	appliance *appliance.Appliance
	life      context.Context // ends, with why as its cause, when the system begins to stop
	end       context.CancelCauseFunc
}

func newSystem(o Options, faults *netsim.Faults, doors map[string]netip.AddrPort, reset bool, power func(appliance.PowerAction, time.Duration)) (*system, error) {
	facts, err := productFacts(o.Topology)
	if err != nil {
		return nil, err
	}
	made, err := factory(o.Topology, facts.Version)
	if err != nil {
		return nil, err
	}
	s := &system{}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.world, err = netsim.New(withDoors(o), netsim.Options{Clock: o.Clock, Entropy: o.Entropy, Logger: o.Logger, DoorAddrs: doors, Faults: faults})
	if err != nil {
		return nil, fmt.Errorf("build the network: %w", err)
	}
	s.appliance, err = appliance.New(appliance.Options{
		Net:          s.world.Network(),
		Dir:          o.Dir,
		Product:      facts,
		Factory:      made,
		Quota:        int64(o.Topology.Appliance.DiskQuota),
		Capture:      captureInterfaces(o.Topology),
		Clock:        o.Clock,
		Entropy:      o.Entropy,
		Logger:       o.Logger,
		Limits:       o.Limits,
		Timeouts:     o.Timeouts,
		TrustedCAs:   s.world.Authority().PEM,
		FactoryReset: reset,
		Power:        power,
	})
	if err != nil {
		return nil, errors.Join(err, s.world.Stop(context.Background()))
	}
	s.appliance.Config.AddApplier(doorApplier{s})
	s.leadDoors(s.appliance.Config.Committed())
	for _, p := range []*appliance.Process{appliance.Postgres, appliance.Controller} {
		s.appliance.Add(s.appliance.Daemon(p))
	}
	s.appliance.Add(newSSHServer(s.appliance, o, func(ctx context.Context) (net.Listener, error) {
		return s.appliance.ListenService(ctx, appliance.SSHService)
	}))
	s.appliance.Add(transfer.NewFTPServer(ftpOptions(s.appliance, o)))
	gui, err := newGUI(s, o)
	if err != nil {
		return nil, errors.Join(err, s.appliance.Stop(context.Background()), s.world.Stop(context.Background()))
	}
	s.appliance.Add(gui)
	for _, p := range []*appliance.Process{
		appliance.Quarantine, appliance.APIServer, appliance.Hermes, appliance.Nginx, appliance.NextGUI,
	} {
		if s.appliance.Has(p) {
			s.appliance.Add(s.appliance.Daemon(p))
		}
	}
	return s, nil
}

// start brings everything up: the world with its doors, the services behind them,
// and the connections that the topology wants to be there.
func (s *system) start(ctx context.Context) error {
	err := s.world.Start(ctx)
	if err == nil {
		err = s.appliance.Start(ctx)
	}
	if err != nil {
		return errors.Join(err, s.stop(context.WithoutCancel(ctx)))
	}
	if err := s.world.StartClients(ctx); err != nil {
		s.appliance.Logger.Warn("connections of the topology are missing", "err", err)
	}
	return nil
}

func (s *system) stop(ctx context.Context) error {
	s.end(shell.Stopped(appliance.StopReason(ctx)))
	return errors.Join(s.appliance.Stop(ctx), s.world.Stop(ctx))
}

// withDoors is the topology with what the options say of its doors.
func withDoors(o Options) *netsim.Topology {
	t := *o.Topology
	t.Doors.In = slices.Clone(t.Doors.In)
	if o.NoDoors {
		t.Doors.In = nil
	}
	for i := range t.Doors.In {
		d := &t.Doors.In[i]
		if d.Service != "ftp" {
			continue
		}
		if o.FTPPassive[0] != 0 {
			d.PassivePorts = fmt.Sprintf("%d-%d", o.FTPPassive[0], o.FTPPassive[1])
		}
		if o.FTPPublic.IsValid() {
			d.PublicAddress = o.FTPPublic
		}
	}
	return &t
}

// doorApplier tells the doors on which port a service listens.
type doorApplier struct{ s *system }

func (doorApplier) Apply(context.Context, *config.Config, *config.Config) error { return nil }

func (a doorApplier) Done(_ context.Context, _, next *config.Config) { a.s.leadDoors(next) }

func (s *system) leadDoors(c *config.Config) {
	for _, d := range s.world.Topology().Doors.In {
		for _, i := range appliance.Interfaces.Get(c).List {
			port := map[string]uint16{"ftp": i.FTP, "ssh": i.SSH, "http": i.HTTP, "https": i.HTTPS}[d.Service]
			if i.Jack != d.Interface || port == 0 {
				continue
			}
			if err := s.world.SetServicePort(d.Service, port); err != nil {
				s.appliance.Logger.Warn("a door does not follow its service", "door", d.Name, "err", err)
			}
			break // of several addresses a door takes one that the service listens on
		}
	}
}

// productFacts are what the topology says of the machine.
func productFacts(t *netsim.Topology) (product.Facts, error) {
	v, err := product.ParseVersion(t.Appliance.Version)
	if err != nil {
		return product.Facts{}, fmt.Errorf("%s: %w", t.File, err)
	}
	f := product.Facts{Model: t.Appliance.Model, Serial: t.Appliance.Serial, Version: v}
	if date := t.Appliance.BuildDate; date != "" {
		if f.BuildDate, err = time.Parse(time.DateOnly, date); err != nil {
			return product.Facts{}, fmt.Errorf("%s: %w", t.File, err)
		}
	}
	f.CPUs, f.MemoryMB = product.Hardware(f.Model)
	return f, nil
}

// factory is the configuration before anybody changed it: the topology's.
func factory(t *netsim.Topology, version product.Version) (*config.Factory, error) {
	f := config.NewFactory()
	a := t.Appliance
	appliance.Hostname.SetFactory(f, a.HostName)
	if a.TimeZone != "" {
		appliance.TimeZone.SetFactory(f, a.TimeZone)
	}
	var ports appliance.PortList
	var list appliance.IPInterfaces
	var gateways appliance.DefaultGateways
	for _, i := range a.Interfaces {
		ports.List = append(ports.List, appliance.Port{Name: i.Name, Jack: i.Name, MTU: i.MTU})
		list.List = append(list.List, ipInterfaces(i, a.HostName, version)...)
		v4, v6 := i.DefaultGateways()
		if !gateways.IPv4.IsValid() {
			gateways.IPv4 = v4
		}
		if !gateways.IPv6.IsValid() {
			gateways.IPv6 = v6
		}
	}
	appliance.Ports.SetFactory(f, ports)
	appliance.Interfaces.SetFactory(f, list)
	appliance.Gateways.SetFactory(f, gateways)
	if len(list.List) > 0 {
		first := list.List[0].Name
		appliance.Listeners.SetFactory(f, appliance.MailListeners{List: []appliance.MailListener{
			{Name: "MailFlow", Interface: first, Port: 25},
			{Name: "Quarantine", Interface: first, Port: 7025},
		}})
	}
	dns := resolver.Settings{PTRTimeout: 20, MinimumTTL: 1800}
	for _, addr := range a.DNS {
		dns.Servers = append(dns.Servers, resolver.Server{Addr: addr})
	}
	resolver.DNS.SetFactory(f, dns)
	subscriptions := logs.Subscriptions{List: logs.DefaultSubscriptions(version)}
	for _, l := range a.Logs {
		subscriptions.Put(l.Subscription())
	}
	logs.Section.SetFactory(f, subscriptions)
	alerts := alertSettings(a)
	if err := alerts.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", t.File, err)
	}
	alert.Section.SetFactory(f, alerts)
	if a.NTP != nil {
		ntp.NTP.SetFactory(f, ntp.Settings{Servers: a.NTP})
	}
	return f, nil
}

// alertSettings are the factory's with the topology's recipients.
func alertSettings(a netsim.Appliance) alert.Settings {
	settings := alert.DefaultSettings()
	settings.SubjectLength = cmp.Or(a.AlertSubject, settings.SubjectLength)
	for _, r := range a.Alerts {
		to := alert.Recipient{Address: r.Address}
		for _, c := range r.Classes {
			to.Classes = append(to.Classes, alert.Class(c))
		}
		for _, s := range r.Severities {
			to.Severities = append(to.Severities, alert.Severity(s))
		}
		settings.Recipients = append(settings.Recipients, to)
	}
	return settings
}

// ipInterfaces are those on an Ethernet interface: one with all the services that the
// version has and, for an IPv6 address that the topology wants quiet, one without any.
func ipInterfaces(i netsim.Interface, hostname string, version product.Version) []appliance.IPInterface {
	loud := appliance.IPInterface{
		Name: i.Name, Jack: i.Name, Hostname: hostname,
		FTP: 21, SSH: 22, HTTP: 80, HTTPS: 443,
	}
	if !version.Before(appliance.APIServer.Since) {
		loud.APIHTTP, loud.APIHTTPS = 6080, 6443
	}
	if !version.Before(appliance.Nginx.Since) {
		loud.NextGUI = 4431
	}
	quiet := appliance.IPInterface{Name: i.Name + " IPv6", Jack: i.Name, Hostname: hostname}
	for _, p := range i.Addresses {
		switch {
		case p.Addr().Is4():
			loud.IPv4, loud.Netmask = p.Addr(), appliance.Netmask(p.Bits())
		case i.QuietIPv6:
			quiet.IPv6 = p
		default:
			loud.IPv6 = p
		}
	}
	var list []appliance.IPInterface
	for _, ip := range []appliance.IPInterface{loud, quiet} {
		if ip.IPv4.IsValid() || ip.IPv6.IsValid() {
			list = append(list, ip)
		}
	}
	return list
}

// captureInterfaces is the first interface that has an address.
func captureInterfaces(t *netsim.Topology) []string {
	for _, i := range t.Appliance.Interfaces {
		if len(i.Addresses) > 0 {
			return []string{i.Name}
		}
	}
	return nil
}

// newSSHServer is the SSH daemon, with SFTP and SCP in it.
func newSSHServer(a *appliance.Appliance, o Options, listen func(context.Context) (net.Listener, error)) *shell.Server {
	return &shell.Server{
		Appliance: a,
		Commands:  commands.All(),
		HostKey:   o.HostKey,
		Listen:    listen,
		Subsystems: map[string]func(context.Context, shell.Channel){
			"sftp": func(ctx context.Context, ch shell.Channel) {
				l := logIn(a, ch, "sftp", "sftp")
				defer l.Close()
				err := transfer.ServeSFTP(ctx, ch, a.Files.Area(ch.Account().Name), transfer.SFTPOptions{
					Log: transferLog(a, ch, "SFTP", l), Logger: o.Logger,
				})
				ch.Exit(transfer.ExitStatus(err)) //nolint:errcheck // the client may be gone
			},
		},
		Exec: func(ctx context.Context, line string, ch shell.Channel) bool {
			if !transfer.IsSCP(line) {
				return false
			}
			l := logIn(a, ch, "scp", line)
			defer l.Close()
			status := transfer.ServeSCP(ctx, line, ch, a.Files.Area(ch.Account().Name), transfer.SCPOptions{
				Stderr: ch.Stderr(), Log: transferLog(a, ch, "SCP", l), Logger: o.Logger,
			})
			ch.Exit(status) //nolint:errcheck // as above
			return true
		},
	}
}

func ftpOptions(a *appliance.Appliance, o Options) transfer.FTPOptions {
	return transfer.FTPOptions{
		Listen: func(ctx context.Context) (net.Listener, error) {
			return a.ListenService(ctx, appliance.FTPService)
		},
		Net: a.Net,
		Verify: func(user, passphrase string, from netip.Addr) (*files.Area, error) {
			account, err := a.Users.Verify(user, passphrase)
			if err == nil && !files.MayTransfer(string(account.Role)) {
				err = users.ErrDenied
			}
			if err != nil {
				ftpDenied(a, user, from)
				return nil, err
			}
			return a.Files.Area(account.Name), nil
		},
		LoggedIn: func(user string, from netip.Addr) func() { return ftpLogIn(a, user, from) },
		Guard:    a.Guard,
		Admits:   func(addr netip.Addr) bool { return a.AdminAccess().Admits(addr) },
		Banner:   func() string { return a.AdminAccess().Banner },
		Hostname: a.Hostname,
		Reason:   appliance.StopReason,
		Clock:    a.Clock,
		Log:      func(text string) { a.Log(appliance.FTPLog, appliance.Information, text) },
		Logger:   o.Logger,
		Owner:    appliance.FTPDaemon.Name,
		User:     appliance.FTPDaemon.User,
	}
}
