package box

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

// Traffic returns the generator of mail from simulated hosts. It outlives reboots; a reset makes
// another.
func (b *Box) Traffic() *traffic.Generator {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.traffic
}

// replaceTraffic replaces the generator by one that has not sent anything.
func (b *Box) replaceTraffic() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.traffic = traffic.New(b.o.Topology, site{b}, b.o.Logger)
}

// SendMail sends one message from a simulated host to a listener of the appliance, and blocks until
// the listener has replied. A refusal is part of the Answer; an error says in one line why the
// message could not be sent.
func (b *Box) SendMail(ctx context.Context, r traffic.Request) (traffic.Answer, error) {
	if err := b.WaitSettled(ctx); err != nil {
		return traffic.Answer{}, err
	}
	h := traffic.DefaultHost(b.o.Topology)
	if r.Host != "" {
		h = b.o.Topology.FindHost(r.Host)
	}
	if h == nil {
		return traffic.Answer{}, fmt.Errorf("no host is called %q, expected one of %s", r.Host,
			strings.Join(hostNames(b.o.Topology), ", "))
	}
	local, remote, err := b.route(h, r.Listener)
	if err != nil {
		return traffic.Answer{}, err
	}
	return traffic.Send(ctx, traffic.Client{
		Net: b.World().Hosts(), Local: local, Remote: remote, Hello: helloOf(h),
		ServerName: b.Appliance().Hostname(),
	}, r, b.Now())
}

// StartLoad starts a load. A flow that leaves From or To out comes from the default host, or goes to
// made-up recipients of the appliance's own domains. If DownTo is left out, it is the domains of the
// topology none of whose mail servers runs now.
func (b *Box) StartLoad(l traffic.Load) (traffic.State, error) {
	t := b.o.Topology
	if h := traffic.DefaultHost(t); len(l.Flow.From) == 0 && h != nil {
		l.Flow.From = []string{h.Name}
	}
	if len(l.Flow.To) == 0 {
		for _, domain := range ownDomains(t.Appliance.HostName) {
			l.Flow.To = append(l.Flow.To, "@"+domain)
		}
	}
	if l.Flow.Down > 0 && len(l.Flow.DownTo) == 0 {
		if l.Flow.DownTo = b.domainsDown(); l.Flow.DownTo == nil {
			return traffic.State{}, errors.New("down_to: the mail servers of every domain run:" +
				" stop one with esasim ctl peer stop, or name addresses")
		}
	}
	return b.Traffic().StartLoad(l)
}

// domainsDown returns, as senders write them, the domains of MX records none of whose hosts has a
// server for mail that runs.
func (b *Box) domainsDown() (list []string) {
	up := map[string]bool{} // by the name of the host in the topology
	for _, s := range b.World().Servers() {
		if s.Type == "mx" && s.Running {
			up[s.Host] = true
		}
	}
	running, seen := map[string]bool{}, map[string]bool{}
	for _, m := range b.o.Topology.Mail {
		for _, h := range b.o.Topology.Hosts {
			for _, name := range h.Names {
				running[m.Domain] = running[m.Domain] || strings.EqualFold(name, m.Host) && up[h.Name]
			}
		}
	}
	for _, m := range b.o.Topology.Mail {
		if !running[m.Domain] && !seen[m.Domain] {
			seen[m.Domain] = true
			list = append(list, "@"+m.Domain)
		}
	}
	return list
}

func hostNames(t *topology.Topology) (list []string) {
	for _, h := range t.Hosts {
		list = append(list, h.Name)
	}
	return list
}

// helloOf returns the name that a host says in EHLO.
func helloOf(h *topology.Host) string {
	if len(h.Names) > 0 {
		return h.Names[0]
	}
	return h.Name + ".invalid"
}

// route returns an address of a host, and that of a listener in the same family. Without a name the
// listener is the first public one.
func (b *Box) route(h *topology.Host, name string) (local netip.Addr, remote netip.AddrPort, err error) {
	committed := b.Appliance().Config.Committed()
	interfaces := netconfig.Interfaces.Get(committed)
	err = errors.New("the appliance has no public listener: make one with listenerconfig")
	if name != "" {
		err = fmt.Errorf("the appliance has no listener called %q", name)
	}
	for _, l := range listener.Section.Get(committed).Listeners {
		if name == "" && l.Type != listener.Public || name != "" && !strings.EqualFold(l.Name, name) {
			continue
		}
		i, ok := interfaces.Find(l.Interface)
		if !ok {
			continue
		}
		err = fmt.Errorf("host %s and listener %s have no addresses of one family", h.Name, l.Name)
		for _, to := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
			for _, from := range h.Addresses {
				if to.IsValid() && from.Is4() == to.Is4() {
					return from, netip.AddrPortFrom(to, l.Port), nil
				}
			}
		}
	}
	return local, remote, err
}

// A site is the box as the generator of mail sees it.
type site struct{ *Box }

func (s site) Clock() clock.Clock { return s.o.Clock }

func (s site) Hello(host string) string { return helloOf(s.o.Topology.FindHost(host)) }

func (s site) Route(ctx context.Context, host string) (net network.Transport, local netip.Addr,
	remote netip.AddrPort, err error) {
	if err := s.WaitSettled(ctx); err != nil {
		return nil, local, remote, err
	}
	local, remote, err = s.route(s.o.Topology.FindHost(host), "")
	return s.World().Hosts(), local, remote, err
}

func (s site) SetServer(ctx context.Context, name string, running bool) error {
	if err := s.WaitSettled(ctx); err != nil {
		return err
	}
	if running {
		return s.World().StartServer(ctx, name)
	}
	return s.World().StopServer(name)
}

// Now returns the appliance's time.
func (s site) Now() time.Time { return s.Box.Now() }
