package box

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/transfer"
)

// An instance is one run of an appliance in its world, from power on to power off.
type instance struct {
	world     *netsim.World
	appliance *appliance.Appliance
	draft     *config.Draft   // that LoadConfig changes
	ctx       context.Context // ends when the instance begins to stop, with the reason as cause
	cancel    context.CancelCauseFunc
}

// A bootConfig is what differs from one boot of a box to the next.
type bootConfig struct {
	faults  *netsim.Faults
	uplinks *netsim.Uplinks
	events  *events.Stream
	doors   map[string]netip.AddrPort
	held    *netsim.HeldDoors
	reset   bool       // discards the committed configuration
	recall  *keptState // what servers and the guard know from before; nil: nothing
	power   func(appliance.PowerAction, time.Duration)
}

// newInstance builds the world and the appliance. Nothing runs yet.
func newInstance(o Options, c bootConfig) (*instance, error) {
	i := &instance{}
	i.ctx, i.cancel = context.WithCancelCause(context.Background())
	t, checked := o.Blueprint.world(o)
	var err error
	var owns *netsim.SharedNetwork
	if o.OwnsNetwork {
		owns = o.Network
	}
	i.world, err = netsim.New(t, netsim.Options{
		Clock: o.Clock, Entropy: o.Entropy, Logger: o.Logger, DoorAddrs: c.doors, Faults: c.faults,
		Uplinks: c.uplinks, Owns: owns, Events: c.events, HeldDoors: c.held,
		Checked: checked, AuthorityFile: filepath.Join(o.Dir, authorityFile),
	})
	if err != nil {
		return nil, fmt.Errorf("build the network: %w", err)
	}
	// The certificate names what the appliance is called, so it needs the appliance.
	var cert func() (*tls.Certificate, error)
	i.appliance, err = appliance.New(appliance.Options{
		Net:               i.world.Network(),
		Dir:               o.Dir,
		Product:           o.Blueprint.facts,
		Factory:           o.Blueprint.factory,
		Zone:              o.Blueprint.zone,
		Quota:             int64(o.Topology.Appliance.DiskQuota),
		CaptureInterfaces: captureInterfaces(o.Topology),
		DHCP:              dhcpInterfaces(t),
		Clock:             o.Clock,
		Entropy:           o.Entropy,
		Logger:            o.Logger,
		Events:            c.events,
		LogFiles:          o.LogFiles,
		LoginLimits:       o.Limits,
		Timeouts:          o.Timeouts,
		Certificate:       func() (*tls.Certificate, error) { return cert() },
		TrustedCAs:        i.world.Authority().PEM,
		FactoryReset:      c.reset,
		OnPower:           c.power,
	})
	if err != nil {
		return nil, errors.Join(err, i.world.Stop(context.Background()))
	}
	if o.OnChange != nil {
		i.appliance.Config.AddApplier(nameWatcher(o.OnChange))
	}
	i.draft = i.appliance.Config.NewDraft()
	if c.recall != nil {
		if err := i.world.Recall(c.recall.World); err != nil {
			return nil, errors.Join(err, i.stop(context.Background()))
		}
		i.appliance.Guard.Recall(c.recall.Guard)
	}
	cert = certificate(i.appliance, o)
	followServices(i.world, i.appliance)
	addServices(i.appliance, i.world, o)
	return i, nil
}

// addServices adds the appliance's services, in the order in which they start.
func addServices(
	a *appliance.Appliance, w *netsim.World, o Options) {
	for _, p := range []daemon.Process{daemon.Postgres, daemon.Controller} {
		a.Add(a.Daemons.Placeholder(p))
	}
	a.Add(newSSHServer(a, o))
	a.Add(transfer.NewFTPServer(ftpOptions(a, o)))
	a.Add(newGUI(a, w))
	for _, p := range []daemon.Process{
		daemon.Quarantine, daemon.APIServer, daemon.Hermes, daemon.Nginx, daemon.NextGUI,
	} {
		switch {
		case p == daemon.Hermes:
			a.Add(a.MTA)
		case a.Daemons.Has(p):
			a.Add(a.Daemons.Placeholder(p))
		}
	}
}

// start starts the world with its doors, the services behind them, and the connections of
// the topology.
func (i *instance) start(ctx context.Context) error {
	err := i.world.Start(ctx)
	if err == nil {
		err = i.appliance.Start(ctx)
	}
	if err != nil {
		return errors.Join(err, i.stop(context.WithoutCancel(ctx)))
	}
	if err := i.world.StartClients(ctx); err != nil {
		i.appliance.Logger.Warn("connections of the topology are missing", "err", err)
	}
	return nil
}

// stop stops the appliance and then the world.
func (i *instance) stop(ctx context.Context) error {
	i.cancel(shell.StoppedError(appliance.StopReason(ctx)))
	return errors.Join(i.appliance.Stop(ctx), i.world.Stop(ctx))
}
