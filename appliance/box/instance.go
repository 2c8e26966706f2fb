package box

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/commands"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/transfer"
)

// A system is one run of an appliance, from power on to power off.
type instance struct {
	world     *netsim.World
	appliance *appliance.Appliance
	ctx       context.Context // ends, with why as its cause, when the system begins to stop
	cancel    context.CancelCauseFunc
}

func newInstance(o Options, faults *netsim.Faults, doors map[string]netip.AddrPort, reset bool, power func(appliance.PowerAction, time.Duration)) (*instance, error) {
	facts, err := productFacts(o.Topology)
	if err != nil {
		return nil, err
	}
	made, err := factory(o.Topology, facts.Version)
	if err != nil {
		return nil, err
	}
	s := &instance{}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
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
	for _, p := range []daemon.Process{daemon.Postgres, daemon.Controller} {
		s.appliance.Add(s.appliance.Daemons.Placeholder(p))
	}
	s.appliance.Add(newSSHServer(s.appliance, o, func(ctx context.Context) (net.Listener, error) {
		return s.appliance.Daemons.Listen(ctx, daemon.SSHPort())
	}))
	s.appliance.Add(transfer.NewFTPServer(ftpOptions(s.appliance, o)))
	gui, err := newGUI(s, o)
	if err != nil {
		return nil, errors.Join(err, s.appliance.Stop(context.Background()), s.world.Stop(context.Background()))
	}
	s.appliance.Add(gui)
	for _, p := range []daemon.Process{
		daemon.Quarantine, daemon.APIServer, daemon.Hermes, daemon.Nginx, daemon.NextGUI,
	} {
		if s.appliance.Daemons.Has(p) {
			s.appliance.Add(s.appliance.Daemons.Placeholder(p))
		}
	}
	return s, nil
}

// start brings everything up: the world with its doors, the services behind them,
// and the connections that the topology wants to be there.
func (s *instance) start(ctx context.Context) error {
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

func (s *instance) stop(ctx context.Context) error {
	s.cancel(shell.StoppedError(appliance.StopReason(ctx)))
	return errors.Join(s.appliance.Stop(ctx), s.world.Stop(ctx))
}

// withDoors is the topology with what the options say of its doors.
func withDoors(o Options) *topology.Topology {
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
		if o.FTPPassivePorts[0] != 0 {
			d.PassivePorts = fmt.Sprintf("%d-%d", o.FTPPassivePorts[0], o.FTPPassivePorts[1])
		}
		if o.FTPPublicAddr.IsValid() {
			d.PublicAddress = o.FTPPublicAddr
		}
	}
	return &t
}

// doorApplier tells the doors on which port a service listens.
type doorApplier struct{ s *instance }

func (doorApplier) Apply(context.Context, *config.Config, *config.Config) error { return nil }

func (a doorApplier) Done(_ context.Context, _, next *config.Config) { a.s.leadDoors(next) }

func (s *instance) leadDoors(c *config.Config) {
	for _, d := range s.world.Topology().Doors.In {
		for _, i := range netconfig.Interfaces.Get(c).List {
			port := map[string]uint16{"ftp": i.FTP, "ssh": i.SSH, "http": i.HTTP, "https": i.HTTPS}[d.Service]
			if i.Port != d.Interface || port == 0 {
				continue
			}
			if err := s.world.SetServicePort(d.Service, port); err != nil {
				s.appliance.Logger.Warn("a door does not follow its service", "door", d.Name, "err", err)
			}
			break // of several addresses a door takes one that the service listens on
		}
	}
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
			return a.Daemons.Listen(ctx, daemon.FTPPort())
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
		OnLogin:     func(user string, from netip.Addr) func() { return ftpLogIn(a, user, from) },
		Guard:       a.Guard,
		Admit:       func(addr netip.Addr) bool { return a.AdminAccess().Admits(addr) },
		Banner:      func() string { return a.AdminAccess().Banner },
		Hostname:    a.Hostname,
		StopReason:  appliance.StopReason,
		Clock:       a.Clock,
		Log:         func(text string) { a.Log(appliance.FTPLog, appliance.Information, text) },
		Logger:      o.Logger,
		SocketOwner: daemon.FTPD.Name(),
		SocketUser:  daemon.FTPD.User(),
	}
}
