package netsim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A Role is what a simulated server is for, with its article. Servers of several kinds can have the
// same role.
type Role string

// The roles of servers that programs can look up by the name of a host.
const (
	MailRole   Role = "a mail server"
	SyslogRole Role = "a syslog server"
	DNSRole    Role = "a DNS server"
	NTPRole    Role = "an NTP server"
	UploadRole Role = "a server for uploads"
	SinkRole   Role = "a sink"
	DHCPRole   Role = "a DHCP server"
)

// kinds returns the kinds of servers that have the role.
func (r Role) kinds() []string {
	return map[Role][]string{
		MailRole: {peers.MailKind}, SyslogRole: {peers.SyslogKind}, DNSRole: {peers.DNSKind},
		NTPRole: {peers.NTPKind}, UploadRole: {peers.FTPKind, peers.SCPKind},
		SinkRole: {peers.SinkKind}, DHCPRole: {peers.DHCPKind},
	}[r]
}

// noun returns the role without its article.
func (r Role) noun() string {
	_, noun, _ := strings.Cut(string(r), " ")
	return noun
}

// MailServers returns the names of the mail servers, in the order of the topology: the name of
// the host if it has one mail server, and otherwise that of the service, HOST/TYPE unless the
// topology gives it another one.
func (w *World) MailServers() []string { return MailRole.names(w.servers.topology) }

// SyslogServers returns the names of the syslog servers, which are formed as in MailServers.
func (w *World) SyslogServers() []string { return SyslogRole.names(w.servers.topology) }

// DNSServers returns the names of the DNS servers, which are formed as in MailServers.
func (w *World) DNSServers() []string { return DNSRole.names(w.servers.topology) }

// MailServer returns a mail server by its name in MailServers, or by that of its service. The
// error is that of Role.Service.
func (w *World) MailServer(name string) (*peers.MailExchanger, error) {
	return lookUp[*peers.MailExchanger](w, MailRole, name)
}

// SyslogServer returns a syslog server. Name and error are as those of MailServer.
func (w *World) SyslogServer(name string) (*peers.SyslogServer, error) {
	return lookUp[*peers.SyslogServer](w, SyslogRole, name)
}

// DNSServer returns a DNS server. Name and error are as those of MailServer.
func (w *World) DNSServer(name string) (*peers.DNSServer, error) {
	return lookUp[*peers.DNSServer](w, DNSRole, name)
}

// NTPServer returns an NTP server. Name and error are as those of MailServer.
func (w *World) NTPServer(name string) (*peers.NTPServer, error) {
	return lookUp[*peers.NTPServer](w, NTPRole, name)
}

// UploadServer returns a server that receives files by FTP or SCP. Name and error are as those of
// MailServer.
func (w *World) UploadServer(name string) (peers.UploadServer, error) {
	return lookUp[peers.UploadServer](w, UploadRole, name)
}

// Sink returns a server that discards what it receives. Name and error are as those of MailServer.
func (w *World) Sink(name string) (*peers.Sink, error) {
	return lookUp[*peers.Sink](w, SinkRole, name)
}

// DHCPServer returns a server that gives addresses. Name and error are as those of MailServer.
func (w *World) DHCPServer(name string) (*peers.DHCPServer, error) {
	return lookUp[*peers.DHCPServer](w, DHCPRole, name)
}

// lookUp returns the server of a role, which all kinds of the role implement as type P.
func lookUp[P any](w *World, r Role, name string) (p P, err error) {
	service, err := r.Service(w.servers.topology, name)
	if err != nil {
		return p, err
	}
	return w.Peer(service).(P), nil
}

// MailRules returns the rules of a mail server, which is named as in World.MailServer.
func (f *Faults) MailRules(server string) (*peers.MailRules, error) {
	service, err := MailRole.Service(f.topology, server)
	if err != nil {
		return nil, err
	}
	return f.mail[service], nil
}

// mailRules returns the rules that the mail servers of a topology begin with.
func mailRules(t *topology.Topology) map[string]*peers.MailRules {
	rules := make(map[string]*peers.MailRules)
	for _, h := range t.Hosts {
		for _, s := range MailRole.services(t, h) {
			rules[s.Name] = peers.NewMailRules(s.Rules, s.Options)
		}
	}
	return rules
}

// services returns the services of a host that have the role.
func (r Role) services(t *topology.Topology, h topology.Host) []topology.Service {
	kinds := r.kinds()
	return slices.DeleteFunc(slices.Clone(t.SimulatedServices(h)),
		func(s topology.Service) bool { return !slices.Contains(kinds, s.Type) })
}

// names returns the names of the servers that have the role.
func (r Role) names(t *topology.Topology) (names []string) {
	for _, h := range t.Hosts {
		services := r.services(t, h)
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

// Service returns the name of the service of the server that has the role and that name: the name of
// its host if the host has one server that has the role, and otherwise that of the service. The error
// is a *NotFoundError. It lists the names that there are, and if the name is that of another server
// or of a host, it says what that is.
func (r Role) Service(t *topology.Topology, name string) (string, error) {
	for _, h := range t.Hosts {
		services := r.services(t, h)
		for _, s := range services {
			if s.Name == name || h.Name == name && len(services) == 1 {
				return s.Name, nil
			}
		}
	}
	expected := "none, since the topology has none"
	if names := r.names(t); len(names) > 0 {
		expected = "one of " + strings.Join(names, ", ")
	}
	return "", NotFound("%s, expected %s", r.mistake(t, name), expected)
}

// mistake says why no server that has the role is called name.
func (r Role) mistake(t *topology.Topology, name string) string {
	for _, h := range t.Hosts {
		services := t.SimulatedServices(h)
		for _, s := range services {
			if s.Name == name {
				return fmt.Sprintf("%q is %s and not %s", name, titleOf(s), r)
			}
		}
		switch {
		case h.Name != name:
		case len(r.services(t, h)) > 1:
			return fmt.Sprintf("the host %q has %d servers of that kind", name, len(r.services(t, h)))
		case len(services) == 0:
			return fmt.Sprintf("the host %q has no %s", name, r.noun())
		default:
			var others []string
			for _, s := range services {
				others = append(others, titleOf(s))
			}
			return fmt.Sprintf("the host %q has %s and no %s", name, strings.Join(others, ", "), r.noun())
		}
	}
	return fmt.Sprintf("there is no %s %q", r.noun(), name)
}

func titleOf(s topology.Service) string {
	kind, _ := peers.Lookup(s.Type) // Check has found it
	return kind.Title
}
