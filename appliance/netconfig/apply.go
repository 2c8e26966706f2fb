package netconfig

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/refusal"
)

// Options are what an Applier needs.
type Options struct {
	// Net is left alone unless it is a network.Configurer.
	Net network.Network
	// AfterCommit is called at the end of each commit, when removed ports are gone.
	AfterCommit func()
	Logger      *slog.Logger
}

// An Applier makes a network's ports, addresses and routes agree with the configuration.
type Applier struct{ o Options }

var _ config.Applier = (*Applier)(nil)

// NewApplier returns an Applier, which is to be added to a config.Store.
func NewApplier(o Options) *Applier { return &Applier{o} }

// Start brings up the network that c describes, as far as that is possible. The rest is logged:
// an appliance that was moved to another network must still come up, to be configured.
func (a *Applier) Start(c *config.Config) {
	n, ok := a.o.Net.(network.Configurer)
	if !ok {
		return
	}
	p := newPlan(a.o.Net, c)
	for _, text := range p.problems {
		a.o.Logger.Warn("the network is not as configured", "problem", text)
	}
	if err := errors.Join(p.establish(a.o.Net, n, true), p.prune(n)); err != nil {
		a.o.Logger.Warn("the network is not as configured", "err", err)
	}
}

// Apply adds new ports, addresses and routes to the network, and leaves changes that end
// connections to Done. If the plan has problems, Apply refuses before it changes anything. When it
// undoes a commit, Apply brings back the older configuration as far as possible, from any state.
func (a *Applier) Apply(_ context.Context, old, next *config.Config) error {
	n, ok := a.o.Net.(network.Configurer)
	if !ok {
		return nil
	}
	p := newPlan(a.o.Net, next)
	switch {
	case config.Undoes(old, next):
		return errors.Join(p.establish(a.o.Net, n, true), p.prune(n))
	case p.equal(newPlan(a.o.Net, old)):
		// A change to other sections is not stopped by a network that fails for other reasons.
		return nil
	case len(p.problems) > 0:
		return refusal.New(strings.Join(p.problems, "\n"))
	}
	return p.establish(a.o.Net, n, false)
}

// Done removes the ports that are no longer configured, and ends the connections whose addresses
// are gone.
func (a *Applier) Done(_ context.Context, _, next *config.Config) {
	if n, ok := a.o.Net.(network.Configurer); ok {
		if err := newPlan(a.o.Net, next).prune(n); err != nil {
			a.o.Logger.Error("an interface that is no longer configured could not be removed", "err", err)
		}
		n.AbortConns()
	}
	a.o.AfterCommit()
}
