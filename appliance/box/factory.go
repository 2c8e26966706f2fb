package box

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/dhcp"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/resolver"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// LoadTopology reads a topology, changes it by overrides, and checks it, the appliance's factory
// configuration included. name is the file's and appears in messages. Errors are of type
// *topology.Error.
func LoadTopology(name string, data []byte, overrides ...topology.Override) (*topology.Topology, error) {
	t, err := netsim.Load(name, data, overrides...)
	if err != nil {
		return nil, err
	}
	facts, err := productFacts(t)
	if err != nil {
		return nil, err
	}
	if _, err := factory(t, facts.Version); err != nil {
		return nil, err
	}
	return t, nil
}

// productFacts returns the model, serial number and version that the topology gives.
func productFacts(t *topology.Topology) (product.Facts, error) {
	v, err := product.ParseVersion(t.Appliance.Version)
	if err != nil {
		return product.Facts{}, t.ErrorAt("appliance.version", "%v", err)
	}
	f := product.Facts{Model: t.Appliance.Model, Serial: t.Appliance.Serial, Version: v}
	if date := t.Appliance.BuildDate; date != "" {
		if f.BuildDate, err = time.Parse(time.DateOnly, date); err != nil {
			return product.Facts{}, t.ErrorAt("appliance.build_date", "%v", err)
		}
	}
	f.CPUs, f.MemoryMB = product.Hardware(f.Model)
	return f, nil
}

// preferred is the value of mail_tls with which TLS is used where the other side has it.
const preferred = "preferred"

// factory returns the factory configuration that the topology describes.
func factory(t *topology.Topology, version product.Version) (*config.Factory, error) {
	f := config.NewFactory()
	setIdentity(f, t, version)
	a := t.Appliance
	if a.TimeZone != "" {
		appliance.TimeZone.SetFactory(f, a.TimeZone)
	}
	var ports netconfig.PortList
	var gateways netconfig.DefaultGateways
	for _, i := range a.Interfaces {
		ports.List = append(ports.List, netconfig.Port{Name: i.Name, Ethernet: i.Name, MTU: i.MTU})
		v4, v6 := i.DefaultGateways()
		if !gateways.IPv4.IsValid() {
			gateways.IPv4 = v4
		}
		if !gateways.IPv6.IsValid() {
			gateways.IPv6 = v6
		}
	}
	netconfig.Ports.SetFactory(f, ports)
	netconfig.Gateways.SetFactory(f, gateways)
	for i, host := range a.Relays {
		if err := listener.CheckEntry(host); err != nil {
			return nil, t.ErrorAt(fmt.Sprintf("appliance.relays[%d]", i), "%v", err)
		}
	}
	switch a.MailTLS {
	case "", "off":
	case preferred:
		destinations := delivery.DestinationList{Default: delivery.DefaultDestination()}
		destinations.Default.TLS = delivery.TLSPreferred
		delivery.Destinations.SetFactory(f, destinations)
	default:
		return nil, t.ErrorAt("appliance.mail_tls", "%q, expected off or preferred", a.MailTLS)
	}
	tlsconfig.SSL.SetFactory(f, tlsconfig.DefaultSSL(version))
	dns := resolver.Settings{PTRTimeout: 20, MinimumTTL: 1800}
	for _, addr := range a.DNS {
		dns.Servers = append(dns.Servers, resolver.Server{Addr: addr})
	}
	resolver.DNS.SetFactory(f, dns)
	subscriptions := logs.Subscriptions{List: logs.DefaultSubscriptions(version)}
	for i, l := range a.Logs {
		s := subscription(l)
		if err := s.Check(); err != nil {
			return nil, t.ErrorAt(fmt.Sprintf("appliance.logs[%d]", i), "%v", err)
		}
		subscriptions.Put(s)
	}
	logs.Section.SetFactory(f, subscriptions)
	alerts := alertSettings(a)
	if err := alerts.Check(); err != nil {
		return nil, t.ErrorAt("appliance.alerts", "%v", err)
	}
	alert.Section.SetFactory(f, alerts)
	for i, name := range a.NTP {
		if err := ntp.CheckServer(name); err != nil {
			return nil, t.ErrorAt(fmt.Sprintf("appliance.ntp[%d]", i),
				"%q is no time server, expected a host name or an address", name)
		}
	}
	if a.NTP != nil {
		ntp.NTP.SetFactory(f, ntp.Settings{Servers: a.NTP})
	}
	return f, nil
}

// setIdentity sets the sections that depend on the appliance's host name.
func setIdentity(f *config.Factory, t *topology.Topology, version product.Version) {
	a := t.Appliance
	netconfig.Hostname.SetFactory(f, a.HostName)
	var list netconfig.IPInterfaces
	for _, i := range a.Interfaces {
		list.List = append(list.List, ipInterfaces(i, a.HostName, version)...)
	}
	netconfig.Interfaces.SetFactory(f, list)
	if len(list.List) > 0 {
		first := list.List[0].Name
		listener.Section.SetFactory(f, mailListeners(a, first, version))
	}
}

// mailListeners returns the listeners of a new appliance (B35): a public one for mail, and the one
// for a central quarantine.
func mailListeners(a topology.Appliance, first string, version product.Version) listener.Settings {
	in := listener.New("IncomingMail", first, 25, listener.Public, version)
	if a.MailTLS == preferred {
		mode := listener.Preferred
		in.Hosts.Default.TLS = &mode
	}
	for _, domain := range ownDomains(a.HostName) {
		in.Recipients.Entries = append(in.Recipients.Entries, listener.RecipientEntry{Address: domain})
	}
	for i, g := range in.Hosts.Groups {
		if g.Name == "RELAYLIST" {
			for _, host := range a.Relays {
				in.Hosts.Groups[i].Entries = append(in.Hosts.Groups[i].Entries, listener.Entry{Host: host})
			}
		}
	}
	return listener.Settings{
		Listeners: []listener.Listener{in, listener.NewQuarantine(first)},
		Limits:    listener.DefaultLimits(),
	}
}

// ownDomains returns the domains that a new appliance takes mail for: its own name, and the domain
// above it if that is not a top-level domain.
func ownDomains(hostname string) []string {
	_, above, _ := strings.Cut(hostname, ".")
	if !strings.Contains(above, ".") {
		return []string{hostname}
	}
	return []string{hostname, above}
}

// subscription returns the log subscription that a topology describes. It may have mistakes,
// which Subscription.Check reports.
func subscription(l topology.Log) logs.Subscription {
	kind := logs.Type(cmp.Or(l.Type, string(logs.Mail))).Spec()
	s := logs.NewSubscription(l.Name, kind)
	s.Type = logs.Type(cmp.Or(l.Type, string(logs.Mail)))
	if l.Level != "" {
		named := func(v logs.Level) bool { return v.Title() == l.Level }
		s.Level = logs.Level(1 + slices.IndexFunc(logs.Levels(), named))
	}
	s.Method = logs.Syslog
	s.Push = logs.SyslogPush{
		Host: l.Server, Port: cmp.Or(l.Port, syslog.Port), Protocol: cmp.Or(l.Protocol, "udp"),
		Facility: cmp.Or(l.Facility, kind.Facility), Tag: l.Tag, Verify: l.Verify, Buffer: int64(l.Buffer),
	}
	if l.Protocol == "tls" {
		s.Push.Protocol, s.Push.TLS = "tcp", true
	}
	return s
}

// alertSettings returns the default settings of alerts with the topology's recipients.
func alertSettings(a topology.Appliance) alert.Settings {
	settings := alert.DefaultSettings()
	settings.SubjectLength = cmp.Or(a.AlertSubject, settings.SubjectLength)
	for _, r := range a.Alerts {
		to := alert.Recipient{Address: r.Address}
		for _, c := range r.Classes {
			to.Classes = append(to.Classes, alert.Class(c))
		}
		for _, s := range r.Severities {
			to.Severities = append(to.Severities, alert.Severity(s))
		}
		settings.Recipients = append(settings.Recipients, to)
	}
	return settings
}

// ipInterfaces returns the IP interfaces on an Ethernet interface: one with all services of
// the version and, if the topology has a quiet IPv6 address, one without services for it.
func ipInterfaces(i topology.Interface, hostname string, version product.Version) []netconfig.IPInterface {
	serving := netconfig.IPInterface{
		Name: i.Name, Port: i.Name, Hostname: hostname,
		FTP: 21, SSH: 22, HTTP: 80, HTTPS: 443,
	}
	if daemon.APIServer.In(version) {
		serving.APIHTTP, serving.APIHTTPS = 6080, 6443
	}
	if daemon.Nginx.In(version) {
		serving.NextGUI = 4431
	}
	quiet := netconfig.IPInterface{Name: i.Name + " IPv6", Port: i.Name, Hostname: hostname}
	for _, p := range i.StaticAddresses() {
		switch {
		case p.Addr().Is4():
			serving.IPv4, serving.Netmask = p.Addr(), netconfig.Netmask(p.Bits())
		case i.QuietIPv6:
			quiet.IPv6 = p
		default:
			serving.IPv6 = p
		}
	}
	var list []netconfig.IPInterface
	for _, ip := range []netconfig.IPInterface{serving, quiet} {
		if ip.IPv4.IsValid() || ip.IPv6.IsValid() || i.DHCP && ip.Name == i.Name {
			list = append(list, ip)
		}
	}
	return list
}

// captureInterfaces returns the interfaces that are captured by default: the first that has an
// address or asks for one.
func captureInterfaces(t *topology.Topology) []string {
	for _, i := range t.Appliance.Interfaces {
		if len(i.Addresses) > 0 || i.DHCP {
			return []string{i.Name}
		}
	}
	return nil
}

// dhcpInterfaces returns the interfaces that ask for their addresses by DHCP. As with fixed addresses,
// the default gateway is on the first interface that reaches one.
func dhcpInterfaces(t *topology.Topology) (list []dhcp.Interface) {
	reached := false
	for i := range t.Appliance.Interfaces {
		n := &t.Appliance.Interfaces[i]
		v4, _ := n.DefaultGateways()
		reached = reached || v4.IsValid()
		if n.DHCP {
			x := dhcp.Interface{Name: n.Name, Default: !reached}
			x.Fallback, x.Gateway = n.Fallback()
			list = append(list, x)
		}
	}
	return list
}
