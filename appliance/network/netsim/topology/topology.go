package topology

import (
	"net/netip"
	"time"
)

// A Topology is the world that a file asks for: an appliance, its wires, and
// everything behind them. Exported types are what is asked for; World is what
// runs. A Topology is not changed by what runs, and many worlds may share one.
type Topology struct {
	// File is the name under which it was loaded.
	File string `yaml:"-"`
	// About says in a sentence what it is for.
	About string `yaml:"about"`

	Appliance Appliance `yaml:"appliance"`
	// Hosts are the simulated machines.
	Hosts []Host `yaml:"hosts"`
	// Names are what the DNS knows of addresses that are no host's, such as
	// routers': the name of an address, and the address of the name.
	Names map[netip.Addr]string `yaml:"names"`
	// Mail says which hosts take a domain's mail: the MX records.
	Mail []MX `yaml:"mail"`
	// Clients are connections that exist once the appliance's services are up.
	Clients []Client `yaml:"clients"`
	// Paths are the routers between the appliance's gateways and networks.
	Paths []Path `yaml:"paths"`
	// Rules are the faults that are there from the start; the first that matches
	// decides. See Faults for those that come later.
	Rules []Rule `yaml:"rules"`
	// Doors connect this world with the real one.
	Doors Doors `yaml:"doors"`

	at positions // of the values in the file
}

// ServerTypes are the servers that simulated hosts can run, by the name that a service's
// type gives.
type ServerTypes map[string]ServerType

// A ServerType is what a topology has to know of one.
type ServerType struct {
	Port uint16 // its usual one; 0: none
	// CheckOption reports what is wrong with an option. Its error is one line.
	CheckOption func(name, value string) error
}

// An Appliance is what the appliance is before anybody configures it.
type Appliance struct {
	HostName  string       `yaml:"hostname"`
	Model     string       `yaml:"model"`      // "C100V"
	Serial    string       `yaml:"serial"`     // "421F6D8FB9C75E19C425-C9AEA81B2B70"
	Version   string       `yaml:"version"`    // release and build: "14.0.0-698"
	BuildDate string       `yaml:"build_date"` // of that version: "2021-07-27"
	TimeZone  string       `yaml:"timezone"`   // "America/Los_Angeles"; "" is UTC
	DNS       []netip.Addr `yaml:"dns"`        // the name servers that it asks
	NTP       []string     `yaml:"ntp"`        // the time servers that it asks; its own default unless given
	DiskQuota Bytes        `yaml:"disk_quota"` // of its data area; 1 GiB unless given

	// Logs are subscriptions besides those that every appliance has, or in place of the
	// one of that name.
	Logs []Log `yaml:"logs"`
	// Alerts are who is told of trouble by mail. Nobody unless given.
	Alerts []Recipient `yaml:"alerts"`
	// AlertSubject is how many characters of its text are in an alert's subject; 60 unless
	// given.
	AlertSubject int `yaml:"alert_subject_length"`

	// Interfaces in the order in which the appliance shows them, without lo0.
	// The default routes lead through the first that reaches a gateway.
	Interfaces []Interface `yaml:"interfaces"`
}

// A Log is a log subscription that is pushed to a syslog server.
type Log struct {
	Name     string `yaml:"name"`     // "Mail_Log"
	Type     string `yaml:"type"`     // of log: "mail", "system"; mail unless given
	Level    string `yaml:"level"`    // "Critical" to "Trace"; Information unless given
	Server   string `yaml:"server"`   // the syslog server's name or address
	Port     uint16 `yaml:"port"`     // 514 unless given
	Protocol string `yaml:"protocol"` // "udp", "tcp", "tls"; udp unless given
	Facility string `yaml:"facility"` // "mail", "local0"; the log type's own unless given
	Tag      string `yaml:"tag"`      // its name unless given
	Verify   bool   `yaml:"verify"`   // the certificate of a TLS server
	Buffer   Bytes  `yaml:"buffer"`   // on disk, while the server is away; none unless given
}

// A Recipient gets alerts.
type Recipient struct {
	Address    string   `yaml:"address"`    // "alerts@ironport.com"
	Classes    []string `yaml:"classes"`    // "System", "Hardware"; all unless given
	Severities []string `yaml:"severities"` // "Critical", "Warning", "Information"; all unless given
}

// An Interface is one of the appliance's, and the wire that it is plugged into.
type Interface struct {
	Name      string         `yaml:"name"`       // "Data 1"
	Device    string         `yaml:"device"`     // "nic1"
	Link      int            `yaml:"link"`       // N of link#N; 0: its place in the list
	MAC       MAC            `yaml:"mac"`        // zero: one made of its place in the list
	MTU       int            `yaml:"mtu"`        // 1500 unless given
	Addresses []netip.Prefix `yaml:"addresses"`  // with the length of their networks
	QuietIPv6 bool           `yaml:"quiet_ipv6"` // no service listens on the IPv6 address
	// Gateway is the router on this wire, with the length of its network. It may be left
	// out, but the network is then one of Addresses'. In another one the appliance reaches
	// it once it is configured to.
	Gateway  netip.Prefix `yaml:"gateway"`
	Gateway6 netip.Prefix `yaml:"gateway6"`
	VLANs    []VLAN       `yaml:"vlans"` // that the wire carries besides
}

// A Host is a simulated machine.
type Host struct {
	Name      string       `yaml:"name"`      // how the topology and tests call it
	Addresses []netip.Addr `yaml:"addresses"` // IPv4 and IPv6
	// Names are its names in the DNS: all lead to its addresses, and its
	// addresses lead to the first. Without names the DNS does not know it.
	Names []string `yaml:"names"`
	// Wire is the interface on whose wire it is. "" puts it behind the gateways.
	Wire string `yaml:"wire"`
	VLAN int    `yaml:"vlan"` // of the wire's VLANs; 0: in none
	MAC  MAC    `yaml:"mac"`  // on a wire only; zero: one made of its place
	// ARPMAC is where it says by ARP that it is: a group's address, as a cluster that
	// balances its load does. Zero: MAC, from which its frames come in any case.
	ARPMAC   MAC       `yaml:"arp_mac"`
	Services []Service `yaml:"services"`
}

// A Service is a server on a host, see package peers.
type Service struct {
	Type    string            `yaml:"type"`    // "dns", "web", "echo", "sink"
	Name    string            `yaml:"name"`    // for World.Peer; HOST/TYPE unless given
	Port    uint16            `yaml:"port"`    // the type's usual one unless given
	Options map[string]string `yaml:"options"` // the type's own
}

// An MX is a mail exchanger of a domain.
type MX struct {
	Domain     string `yaml:"domain"`
	Preference uint16 `yaml:"preference"`
	Host       string `yaml:"host"`
}

// A Client is a connection of the appliance's to somebody, or the other way
// round. It stays open unless Close is set: then it is closed, by the side that
// opened it, and its socket stays in TIME_WAIT for a while.
type Client struct {
	From   string         `yaml:"from"`  // "appliance", or a host's name
	Local  netip.AddrPort `yaml:"local"` // where it comes from
	Remote netip.AddrPort `yaml:"remote"`
	Send   string         `yaml:"send"`  // text to send; the first answer is read
	Close  bool           `yaml:"close"` // closed at once
	// After names a service of the appliance, as a Door does: the connection is opened
	// when the first one to that service is there. "" opens it with the world.
	After string `yaml:"after"`
	Owner string `yaml:"owner"` // the process, on the appliance
	User  string `yaml:"user"`
}

// A Path is the way from the appliance's gateways to a network: the routers in
// the order in which traceroute prints them.
type Path struct {
	Name string       `yaml:"name"` // for faults; its network unless given
	To   netip.Prefix `yaml:"to"`
	// Hops are the routers. The first one is the gateway itself, under the
	// addresses with which it answers here. Without hops there is the gateway.
	Hops []Hop `yaml:"hops"`
	// Delay is one way, and added to the hops'; Jitter is up to this much more.
	Delay  time.Duration `yaml:"delay"`
	Jitter time.Duration `yaml:"jitter"`
	Loss   float64       `yaml:"loss"` // share of packets lost, each way, 0 to 1
	MTU    int           `yaml:"mtu"`  // of its narrowest link; 0: no limit
	// End is what becomes of packets at the end of the path: "" reaches the
	// network's hosts; "net-unreachable", "host-unreachable" and "prohibited"
	// answer so from the last router; "silent" drops.
	End string `yaml:"end"`
}

// A Hop is a router, or several that share the load.
type Hop struct {
	// Members are the addresses that answer here. UDP packets choose member
	// number (destination port + seed) mod the number of members of their
	// family, so that a traceroute, which counts ports up, meets them in this
	// order; other packets choose by their flow. A member may be named more than
	// once. Where the chosen member is the packet's destination there is no
	// router here for this packet.
	Members []netip.Addr  `yaml:"members"`
	Seed    int           `yaml:"seed"`
	Delay   time.Duration `yaml:"delay"`  // one way, from the hop before
	Jitter  time.Duration `yaml:"jitter"` // of this hop's own answers
	Loss    float64       `yaml:"loss"`   // share of packets lost here, 0 to 1
	Silent  bool          `yaml:"silent"` // answers no probe: "* * *"
}

// Doors connect the real world with the simulated one.
type Doors struct {
	// In lets real clients in.
	In []Door `yaml:"in"`
	// SeenAs says which simulated address a real client becomes; the first
	// network that holds its address decides.
	SeenAs []SeenAs `yaml:"seen_as"`
	// Out lets the appliance reach real servers. Nothing leaves the process but
	// what is listed here.
	Out []Exit `yaml:"out"`
}

// A Door is a real listener that leads to a service of the appliance.
type Door struct {
	Name      string         `yaml:"name"`      // its service unless given
	Listen    netip.AddrPort `yaml:"listen"`    // real; port 0 takes a free one
	Interface string         `yaml:"interface"` // where it leads
	Service   string         `yaml:"service"`   // "ssh", "ftp", "http", "https", "smtp" or a port
	// PassivePorts, "50000-50100", are the real ports of passive FTP data
	// connections; any unless given. PublicAddress is the address that passive
	// replies name; the one that the client connected to unless given.
	PassivePorts  string     `yaml:"passive_ports"`
	PublicAddress netip.Addr `yaml:"public_address"`
}

// A SeenAs maps a real network to a simulated address, or to a simulated network
// of which each real address takes one.
type SeenAs struct {
	From netip.Prefix `yaml:"from"`
	As   netip.Prefix `yaml:"as"`
}

// An Exit maps a simulated address to a real one. The address may be a host's that is on
// no wire: the real machine then takes its place, under its names.
type Exit struct {
	Address netip.Addr `yaml:"address"` // simulated
	Port    uint16     `yaml:"port"`    // 0: all
	To      netip.Addr `yaml:"to"`      // real
	ToPort  uint16     `yaml:"to_port"` // 0: the same
}

// Bytes is a number of bytes, written as "512MiB" or as a plain number.
type Bytes int64

// Sizes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// What a topology may leave out.
const (
	defaultMTU   = 1500
	defaultQuota = GiB
)
