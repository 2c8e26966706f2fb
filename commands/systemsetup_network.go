package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/shell"
)

func (w *setupWizard) askHostname(ctx context.Context) error {
	w.env.Printf("You will now configure the network settings for the %s.\n", w.model())
	was := netconfig.Hostname.Get(w.env.Draft)
	name := was
	if err := w.env.Form(ctx, shell.Text(&name, fmt.Sprintf(
		"Please create a fully qualified hostname for the %[1]s appliance\n"+
			"(Ex: \"%[2]s.example.com\"):", w.model(), strings.ToLower(w.model())),
		netconfig.CheckHostname)); err != nil {
		return err
	}
	netconfig.Hostname.Set(w.env.Draft, name)
	return editSection(w.env, netconfig.Interfaces, func(v *netconfig.IPInterfaces) error {
		for n := range v.List {
			if v.List[n].Hostname == was {
				v.List[n].Hostname = name
			}
		}
		return nil
	})
}

// askInterfaces asks for the addresses of each Ethernet interface.
func (w *setupWizard) askInterfaces(ctx context.Context) error {
	d := ipDialogue{w.env}
	for n, port := range portNames(draftPorts(w.env)) {
		if n > 0 {
			w.env.Printf("\n%s\n\n", endOfPart)
		}
		at := slices.IndexFunc(d.list(), func(i netconfig.IPInterface) bool { return i.Port == port })
		if n > 0 || at < 0 {
			use, err := w.env.Confirm(ctx, fmt.Sprintf(
				"Would you like to assign an IP address for the %q interface?", port), at >= 0)
			if err != nil {
				return err
			}
			if !use {
				continue
			}
		}
		w.env.Printf("You will now assign an IP address for the %q interface.\n", port)
		if err := w.askInterface(ctx, d, port, at); err != nil {
			return err
		}
	}
	if len(d.list()) == 0 {
		return refusal.New("The appliance needs an IP interface: nothing was changed.")
	}
	return nil
}

// askInterface asks for an IP interface on a port: the one with index at in the list, a new one if
// that is negative.
func (w *setupWizard) askInterface(ctx context.Context, d ipDialogue, port string, at int) error {
	i := netconfig.IPInterface{
		Name: port, Port: port, Netmask: netconfig.Netmask(24), SSH: 22,
		Hostname: netconfig.Hostname.Get(w.env.Draft),
	}
	if at >= 0 {
		i = d.list()[at]
	}
	was := i
	var others []netconfig.IPInterface
	if others = d.list(); at >= 0 {
		others = d.others(was.Name)
	}
	for {
		if err := d.askNetwork(ctx, &i, others); err != nil {
			return err
		}
		err := checkOverlap(i, others)
		if err == nil {
			break
		}
		w.env.PrintWrapped(err.Error())
	}
	if err := w.askWebInterface(ctx, &i); err != nil {
		return err
	}
	var err error
	if at >= 0 {
		err = d.replace(was, i)
	} else {
		err = d.add(i)
	}
	if err == nil {
		w.env.Printf("You have successfully configured the IP interface %q.\n", i.Name)
	}
	return err
}

// askWebInterface asks for the services of the appliance's page.
func (w *setupWizard) askWebInterface(ctx context.Context, i *netconfig.IPInterface) error {
	on, secure := i.HTTP != 0 || i.HTTPS != 0, true
	err := w.env.Form(ctx,
		shell.YesNo(&on, fmt.Sprintf(
			"Do you want to enable the web interface on the %s interface?", i.Name)),
		shell.When(func() bool { return on },
			shell.YesNo(&secure, "Do you want to use secure HTTPS?")),
	)
	switch {
	case !on:
		i.HTTP, i.HTTPS = 0, 0
		return err
	case !secure:
		i.HTTPS = 0
	case i.HTTPS == 0:
		i.HTTPS = 443
	}
	if i.HTTP == 0 {
		i.HTTP = 80
	}
	return err
}

func (w *setupWizard) askGateway(ctx context.Context) error {
	return askGateway(ctx, w.env,
		"What is the IP address of the default gateway (router) on your network?", false,
		func(gateway netip.Addr) error {
			for _, i := range netconfig.Interfaces.Get(w.env.Draft).List {
				prefixes, err := i.Prefixes()
				if err != nil {
					return err
				}
				if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(gateway) }) {
					return nil
				}
			}
			return refusal.Newf("The gateway %v is in no network of an IP interface.", gateway)
		})
}

func (w *setupWizard) askDNS(ctx context.Context) error {
	return editSection(w.env, resolver.DNS, func(s *resolver.Settings) error {
		if err := chooseDNSServers(ctx, w.env, &s.UseRoots); err != nil {
			return err
		}
		if !s.UseRoots {
			present := make([]string, len(s.Servers))
			for n, srv := range s.Servers {
				present[n] = srv.Addr.String()
			}
			addrs, err := askServerAddrs(ctx, w.env, "your DNS server", strings.Join(present, ", "))
			if err != nil {
				return err
			}
			s.Servers = nil
			addServers(s, addrs, 0)
		}
		w.env.Printf("You have successfully configured the DNS settings.\n")
		return nil
	})
}
