package netsim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// MailServers returns the names of the mail servers, in the order of the topology: the name of
// the host if it has one mail server, and otherwise that of the service, HOST/TYPE unless the
// topology gives it another one.
func (w *World) MailServers() []string { return mailServerNames(w.servers.topology) }

// MailServer returns a mail server by its name in MailServers, or by that of its service. The
// error is a *NotFoundError and lists the names.
func (w *World) MailServer(name string) (*peers.MailExchanger, error) {
	service, err := mailService(w.servers.topology, name)
	if err != nil {
		return nil, err
	}
	return w.Peer(service).(*peers.MailExchanger), nil // as every server of the type
}

// MailRules returns the rules of a mail server, which is named as in World.MailServer.
func (f *Faults) MailRules(server string) (*peers.MailRules, error) {
	service, err := mailService(f.topology, server)
	if err != nil {
		return nil, err
	}
	return f.mail[service], nil
}

// mailRules returns the rules that the mail servers of a topology begin with.
func mailRules(t *topology.Topology) map[string]*peers.MailRules {
	rules := make(map[string]*peers.MailRules)
	for _, h := range t.Hosts {
		for _, s := range mailServices(t, h) {
			rules[s.Name] = peers.NewMailRules(s.Rules, s.Options)
		}
	}
	return rules
}

// mailServices returns the services of a host that are mail servers.
func mailServices(t *topology.Topology, h topology.Host) []topology.Service {
	return slices.DeleteFunc(slices.Clone(t.SimulatedServices(h)),
		func(s topology.Service) bool { return s.Type != peers.MailKind })
}

func mailServerNames(t *topology.Topology) (names []string) {
	for _, h := range t.Hosts {
		services := mailServices(t, h)
		if len(services) == 1 {
			names = append(names, h.Name)
			continue
		}
		for _, s := range services {
			names = append(names, s.Name)
		}
	}
	return names
}

// mailService returns the name of the service of a mail server.
func mailService(t *topology.Topology, name string) (string, error) {
	for _, h := range t.Hosts {
		services := mailServices(t, h)
		for _, s := range services {
			if s.Name == name || h.Name == name && len(services) == 1 {
				return s.Name, nil
			}
		}
	}
	names := mailServerNames(t)
	expected := "none, since the topology has none"
	if len(names) > 0 {
		expected = "one of " + strings.Join(names, ", ")
	}
	return "", &NotFoundError{fmt.Sprintf("there is no mail server %q, expected %s", name, expected)}
}
