package appliance

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
)

// An interfaceApplier makes ports, addresses, routes and listeners agree with the
// configuration. Where the network owns no interfaces it minds the listeners only.
type interfaceApplier struct{ appliance *Appliance }

// A RefusedError says why the network cannot be as a configuration wants it. A commit
// returns it.
type RefusedError struct {
	Text string // a sentence for the administrator
	Err  error  // what the network said; may be nil
}

func (e *RefusedError) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + " (" + e.Err.Error() + ")"
}

// Unwrap returns what the network said.
func (e *RefusedError) Unwrap() error { return e.Err }

// Apply gives the network what is new and opens the listeners that are new. What goes
// with connections over it is left for Done: until then the commit may still be
// undone. Undoing is applying what is committed, as far as it can be done, whatever
// has been done before.
func (p interfaceApplier) Apply(ctx context.Context, old, next *config.Config) error {
	undo := next == p.appliance.Config.Committed()
	if undo {
		p.closeListeners(next)
	}
	var errs []error
	if c, ok := p.appliance.Net.(network.Configurer); ok {
		plan := planNetwork(p.appliance.Net, next)
		switch {
		case undo:
			errs = append(errs, plan.establish(p.appliance.Net, c, true), plan.prune(c))
		case plan.equal(planNetwork(p.appliance.Net, old)):
			// Who changes a passphrase need not mend the network.
		case len(plan.refused) > 0:
			return &RefusedError{Text: strings.Join(plan.refused, "\n")}
		default:
			if err := plan.establish(p.appliance.Net, c, false); err != nil {
				return err
			}
		}
	}
	for _, l := range p.appliance.serviceListeners() {
		if err := l.add(ctx, func() []netip.AddrPort { return l.port.Addrs(next) }); err != nil {
			errs = append(errs, err)
			if !undo {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// Done closes the listeners, and ends the connections, whose address is gone, and
// removes the ports that are not configured any more.
func (p interfaceApplier) Done(_ context.Context, _, next *config.Config) {
	p.closeListeners(next)
	if c, ok := p.appliance.Net.(network.Configurer); ok {
		if err := planNetwork(p.appliance.Net, next).prune(c); err != nil {
			p.appliance.Logger.Error("an interface that is not configured any more stays", "err", err)
		}
		c.AbortConns()
	}
	p.appliance.Captures.InterfacesChanged()
}

// closeListeners closes those on which c has no service.
func (p interfaceApplier) closeListeners(c *config.Config) {
	for _, l := range p.appliance.serviceListeners() {
		l.keep(l.port.Addrs(c))
	}
}

// startNetwork makes the network as it is committed, as far as that is possible: an
// appliance that was moved to another network must still come up, to be configured.
func (a *Appliance) startNetwork() {
	c, ok := a.Net.(network.Configurer)
	if !ok {
		return
	}
	plan := planNetwork(a.Net, a.Config.Committed())
	for _, text := range plan.refused {
		a.Logger.Warn("the network is not as configured", "problem", text)
	}
	if err := errors.Join(plan.establish(a.Net, c, true), plan.prune(c)); err != nil {
		a.Logger.Warn("the network is not as configured", "err", err)
	}
}
