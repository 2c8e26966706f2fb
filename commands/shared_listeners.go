package commands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// This file holds the questions about a new listener, which listenerconfig and systemsetup share.

func listenerName(name *string, s listener.Settings) shell.Field {
	was := *name
	return shell.Text(name, "Please create a name for this listener (Ex: \"InboundMail\"):",
		func(name string) error {
			if _, taken := s.Find(name); taken && !strings.EqualFold(name, was) {
				return refusal.Newf("There is already a listener with the name %s.", name)
			}
			return listener.CheckName(name)
		})
}

// listenerInterface asks for the IP interface of a listener.
func listenerInterface(env *shell.Env, l *listener.Listener) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		var names, choices []string
		for _, i := range netconfig.Interfaces.Get(env.Draft).List {
			prefixes, err := i.Prefixes()
			if err != nil {
				return err
			}
			texts := make([]string, len(prefixes))
			for n, p := range prefixes {
				texts[n] = p.String()
			}
			names = append(names, i.Name)
			choices = append(choices,
				fmt.Sprintf("%s (%s: %s)", i.Name, strings.Join(texts, ", "), i.Hostname))
		}
		if len(names) == 0 {
			return refusal.New("There is no IP interface: create one with interfaceconfig.")
		}
		n, err := d.Choose(ctx, "Please choose an IP interface for this listener.",
			max(0, slices.Index(names, l.Interface)), choices...)
		if err == nil {
			l.Interface = names[n]
		}
		return err
	}
}

// listenerPort asks for a port that no other listener on the same addresses has.
func listenerPort(env *shell.Env, l *listener.Listener, s listener.Settings) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		for {
			port := int(l.Port)
			if err := d.Form(ctx,
				shell.Number(&port, "Please enter the TCP port for this listener.", 1, 65535)); err != nil {
				return err
			}
			l.Port = uint16(port)
			err := portInUse(env, *l, s)
			if err == nil {
				return nil
			}
			d.PrintWrapped(err.Error())
		}
	}
}

// portInUse returns a refusal if another listener has an address and the port of l.
func portInUse(env *shell.Env, l listener.Listener, s listener.Settings) error {
	interfaces := netconfig.Interfaces.Get(env.Draft)
	sockets := func(l listener.Listener) []netip.AddrPort {
		i, _ := interfaces.Find(l.Interface)
		return i.AddrPorts(l.Port)
	}
	mine := sockets(l)
	for _, o := range s.Listeners {
		if strings.EqualFold(o.Name, l.Name) {
			continue
		}
		for _, a := range sockets(o) {
			if slices.Contains(mine, a) {
				return refusal.Newf("The listener %s is already on port %d of %v.", o.Name, a.Port(), a.Addr())
			}
		}
	}
	return nil
}

// acceptedDomains asks for the recipients of a new public listener.
func acceptedDomains(t *listener.RecipientTable) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		_, err := d.Ask(ctx, "Enter the domains or specific email addresses you want to accept mail for.\n"+
			"Partial domains such as \".example.com\" are allowed.\n"+
			"Usernames such as \"postmaster@\" are allowed.\n"+
			"Full email addresses such as \"joe@example.com\" or \"joe@[1.2.3.4]\" are allowed.\n"+
			"Separate multiple addresses with commas.", "", func(answer string) error {
			var next listener.RecipientTable
			for _, one := range splitList(answer) {
				next.Entries = append(next.Entries, listener.RecipientEntry{Address: one})
			}
			if len(next.Entries) == 0 {
				return refusal.New("Enter at least one domain, or ALL.")
			}
			if err := next.Check(); err != nil {
				return err
			}
			*t = next
			return nil
		})
		return err
	}
}

// splitList returns the elements of a list with commas.
func splitList(s string) (out []string) {
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}

// relayHosts asks for the hosts that may relay through a new private listener.
func relayHosts(t *listener.HostTable) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		_, err := d.Ask(ctx, "Please specify the systems allowed to relay email through this appliance.\n"+
			"Hostnames such as \"example.com\" are allowed.\n"+
			"Partial hostnames such as \".example.com\" are allowed.\n"+
			"IP addresses, IP address ranges and networks are allowed.\n"+
			"Separate multiple entries with commas.", "", func(answer string) error {
			return addHosts(&t.Groups[groupIndex(t, "RELAYLIST")], answer)
		})
		return err
	}
}

// addHosts appends hosts with commas between them to a sender group.
func addHosts(g *listener.SenderGroup, list string) error {
	hosts := splitList(list)
	if len(hosts) == 0 {
		return refusal.New("Enter at least one host.")
	}
	entries := slices.Clone(g.Entries)
	for _, h := range hosts {
		if err := listener.CheckEntry(h); err != nil {
			return err
		}
		if slices.ContainsFunc(entries, func(e listener.Entry) bool { return strings.EqualFold(e.Host, h) }) {
			return refusal.Newf("The host %s is already in the sender group %s.", h, g.Name)
		}
		entries = append(entries, listener.Entry{Host: h})
	}
	g.Entries = entries
	return nil
}

// groupIndex returns the index of the sender group of that name, or -1.
func groupIndex(t *listener.HostTable, name string) int {
	return slices.IndexFunc(t.Groups,
		func(g listener.SenderGroup) bool { return strings.EqualFold(g.Label(), name) })
}
