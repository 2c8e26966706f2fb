package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network"
)

// An interfaceApplier makes addresses, routes and listeners agree with the
// configuration. Where the network owns no interfaces it leaves addresses alone.
type interfaceApplier struct{ box *Appliance }

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

// Apply sets addresses and opens the listeners that are new. Connections and
// listeners over addresses that go are left for Done: until then the commit may
// still be undone. Undoing closes the listeners that it opened.
func (p interfaceApplier) Apply(ctx context.Context, _, next *config.Config) error {
	undo := next == p.box.Config.Committed()
	if undo {
		p.closeListeners(next)
	}
	if c, ok := p.box.Net.(network.Configurer); ok {
		if err := checkJacks(p.box.Net, next); err != nil && !undo {
			return err
		}
		if err := setAddresses(p.box.Net, c, next); err != nil {
			return err
		}
	}
	for _, l := range p.box.serviceListeners() {
		if err := l.add(ctx, l.port.Addrs(next)); err != nil {
			return err
		}
	}
	return nil
}

// Done closes the listeners, and ends the connections, whose address is gone.
func (p interfaceApplier) Done(_ context.Context, _, next *config.Config) {
	p.closeListeners(next)
	if c, ok := p.box.Net.(network.Configurer); ok {
		c.AbortConns()
	}
	p.box.Captures.InterfacesChanged()
}

// closeListeners closes those on which c has no service.
func (p interfaceApplier) closeListeners(c *config.Config) {
	for _, l := range p.box.serviceListeners() {
		l.keep(l.port.Addrs(c))
	}
}

// checkJacks refuses IP interfaces on Ethernet interfaces that are not there.
func checkJacks(n network.Network, v config.View) error {
	for _, i := range Interfaces.Get(v).List {
		if !slices.ContainsFunc(n.Interfaces(), func(e network.Interface) bool { return e.Name == i.Jack && ownsAddresses(e) }) {
			return &RefusedError{Text: fmt.Sprintf("The IP interface %s is on the Ethernet interface %s, which does not exist.", i.Name, i.Jack)}
		}
	}
	return nil
}

// ownsAddresses reports whether an interface's addresses are the administrator's: all
// but lo0's are.
func ownsAddresses(e network.Interface) bool { return e.Name != "lo0" }

// setAddresses gives every Ethernet interface the addresses of its IP interfaces,
// and the stack its default routes.
func setAddresses(n network.Network, c network.Configurer, v config.View) error {
	want := map[string][]netip.Prefix{}
	for _, i := range Interfaces.Get(v).List {
		prefixes, err := i.Prefixes()
		if err != nil {
			return err
		}
		want[i.Jack] = append(want[i.Jack], prefixes...)
	}
	for _, i := range n.Interfaces() {
		if !ownsAddresses(i) || slices.Equal(i.Addrs, want[i.Name]) {
			continue
		}
		if err := c.SetAddrs(i.Name, want[i.Name]); err != nil {
			return fmt.Errorf("set addresses of %s: %w", i.Name, err)
		}
	}
	g := Gateways.Get(v)
	var routes []network.Route
	for _, a := range []netip.Addr{g.IPv4, g.IPv6} {
		if !a.IsValid() {
			continue
		}
		everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if a.Is6() {
			everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		routes = append(routes, network.Route{Dst: everywhere, Gateway: a})
	}
	if err := c.SetRoutes(routes); err != nil {
		return fmt.Errorf("set default routes: %w", err)
	}
	return nil
}
