package topology

import (
	"net/netip"
	"time"
)

// A Topology describes a world: an appliance, its wires, and everything behind them. A world
// does not change its Topology, and many worlds may share one.
type Topology struct {
	// File is the name under which it was loaded.
	File string `yaml:"-"`
	// About says in one sentence what the topology is for.
	About string `yaml:"about"`

	Appliance Appliance `yaml:"appliance"`
	// Hosts are the simulated machines.
	Hosts []Host `yaml:"hosts"`
	// Names are the DNS names of addresses that belong to no host, such as those of routers.
	// The DNS resolves them in both directions.
	Names map[netip.Addr]string `yaml:"names"`
	// Mail says which hosts receive the mail of a domain: the MX records.
	Mail []MX `yaml:"mail"`
	// Reputation is what the simulated reputation service says of senders of mail, which the
	// appliance asks by DNS. Of several networks that have an address, the smallest counts.
	Reputation []Reputation `yaml:"reputation"`
	// Clients are connections that are opened when the appliance's services are up.
	Clients []Client `yaml:"clients"`
	// Paths are the routers between the appliance's gateways and networks.
	Paths []Path `yaml:"paths"`
	// Rules are the faults that the network has from the start. The first that matches a
	// packet decides.
	Rules []Rule `yaml:"rules"`
	// Uplinks are the cables from wires to real networks.
	Uplinks []Uplink `yaml:"uplinks"`
	// Traffic is the mail that hosts send to the appliance by themselves.
	Traffic Traffic `yaml:"traffic"`
	// Doors connect this world with the real network.
	Doors Doors `yaml:"doors"`

	at          positions // of the values in the file; nil if source has them
	source      *source   // nil if it was not loaded from its prepared form
	derivedMACs []bool    // of each interface, whether its MAC is a default
}

// ServerTypes are the servers that simulated hosts can run, by the type of the service.
type ServerTypes map[string]ServerType

// A ServerType is what Load and Check must know of a server.
type ServerType struct {
	Port uint16 // the default; 0 if there is none
	// CheckOption reports what is wrong with an option. The text of its error is one line.
	CheckOption func(name, value string) error
	// HasRules reports whether its services may have rules.
	HasRules bool
	// OnWire reports whether it works only on a wire, with an IPv4 address.
	OnWire bool
}

// An Appliance is the appliance with its factory configuration.
type Appliance struct {
	HostName  string       `yaml:"hostname"`
	Model     string       `yaml:"model"`      // "C100V"
	Serial    string       `yaml:"serial"`     // "421F6D8FB9C75E19C425-C9AEA81B2B70"
	Version   string       `yaml:"version"`    // release and build: "14.0.0-698"
	BuildDate string       `yaml:"build_date"` // of that version: "2021-07-27"
	TimeZone  string       `yaml:"timezone"`   // "America/Los_Angeles"; "" is UTC
	DNS       []netip.Addr `yaml:"dns"`        // its name servers
	NTP       []string     `yaml:"ntp"`        // its time servers; nil means the appliance's default
	DiskQuota Bytes        `yaml:"disk_quota"` // of its data area; 1 GiB by default

	// Logs are subscriptions that are added to those that every appliance has, or replace the
	// one of the same name.
	Logs []Log `yaml:"logs"`
	// Alerts are the recipients of alerts; none by default.
	Alerts []Recipient `yaml:"alerts"`
	// Relays are the addresses and networks whose mail it relays to anybody: the hosts of the
	// sender group RELAYLIST.
	Relays []string `yaml:"relays"`
	// MailTLS says whether its listener offers TLS and deliveries use it: "off", the default, or
	// "preferred".
	MailTLS string `yaml:"mail_tls"`
	// AlertSubject is the number of characters of its text in the subject of an alert; 60 by
	// default.
	AlertSubject int `yaml:"alert_subject_length"`

	// TCP is what identifies its operating system; by default it is that of AsyncOS 14.
	TCP TCP `yaml:"tcp"`

	// Interfaces are in the order in which the appliance lists them, without lo0. The default
	// routes lead through the first that reaches a gateway.
	Interfaces []Interface `yaml:"interfaces"`
}

// A Log is a log subscription that is pushed to a syslog server.
type Log struct {
	Name     string `yaml:"name"`     // "Mail_Log"
	Type     string `yaml:"type"`     // of log: "mail", "system"; mail by default
	Level    string `yaml:"level"`    // "Critical" to "Trace"; Information by default
	Server   string `yaml:"server"`   // name or address of the syslog server
	Port     uint16 `yaml:"port"`     // 514 by default
	Protocol string `yaml:"protocol"` // "udp", "tcp", "tls"; udp by default
	Facility string `yaml:"facility"` // "mail", "local0"; by default that of the log type
	Tag      string `yaml:"tag"`      // the log's name by default
	Verify   bool   `yaml:"verify"`   // whether the certificate of a TLS server is checked
	Buffer   Bytes  `yaml:"buffer"`   // on disk, while the server is unreachable; none by default
}

// A Reputation is what is known of senders of mail.
type Reputation struct {
	Network netip.Prefix `yaml:"network"` // or an address
	Score   string       `yaml:"score"`   // "-9.5": from -10 to 10; none by default
	Country string       `yaml:"country"` // "United States"; not known by default
}

// A Recipient receives alerts by mail.
type Recipient struct {
	Address    string   `yaml:"address"`    // "alerts@ironport.com"
	Classes    []string `yaml:"classes"`    // "System", "Hardware"; all by default
	Severities []string `yaml:"severities"` // "Critical", "Warning", "Information"; all by default
}

// An Interface is an Ethernet interface of the appliance, with the wire that it is plugged
// into.
type Interface struct {
	Name   string `yaml:"name"`   // "Data 1"
	Device string `yaml:"device"` // "nic1"
	Link   int    `yaml:"link"`   // N of link#N; by default its place in the list
	// MAC is by default derived from its place in the list, or from the serial number if the
	// wire has an uplink.
	MAC       MAC            `yaml:"mac"`
	MTU       int            `yaml:"mtu"`        // 1500 by default
	Addresses []netip.Prefix `yaml:"addresses"`  // with the prefix length of their networks
	QuietIPv6 bool           `yaml:"quiet_ipv6"` // no service listens on the IPv6 address
	// DHCP says that a new appliance asks for its IPv4 address by DHCP. The one in Addresses is then
	// that which it uses if no server answers: see Fallback.
	DHCP bool `yaml:"dhcp"`
	// Gateway is the router on this wire, with the prefix length of its network, which may be
	// left out if the network is one of Addresses. If it is another network, the appliance
	// reaches the router only after it has been configured to.
	Gateway  netip.Prefix `yaml:"gateway"`
	Gateway6 netip.Prefix `yaml:"gateway6"`
	VLANs    []VLAN       `yaml:"vlans"` // that the wire carries too
}

// A VLAN is a VLAN of a wire, with its router. The appliance is not in it until its
// administrator configures that.
type VLAN struct {
	ID       int          `yaml:"id"`       // 1 to 4094
	Gateway  netip.Prefix `yaml:"gateway"`  // the router, with its prefix length: 10.0.12.1/24
	Gateway6 netip.Prefix `yaml:"gateway6"` // Gateway, Gateway6 or both are required
}

// A Host is a simulated machine.
type Host struct {
	Name      string       `yaml:"name"`      // in the topology, in messages and in tests
	Addresses []netip.Addr `yaml:"addresses"` // IPv4 and IPv6
	// Names are its DNS names. All resolve to its addresses, and its addresses resolve to the
	// first. The DNS does not know a host without names.
	Names []string `yaml:"names"`
	// Wire is the interface on whose wire the host is. "" means behind the gateways.
	Wire string `yaml:"wire"`
	VLAN int    `yaml:"vlan"` // of the wire; 0: none
	MAC  MAC    `yaml:"mac"`  // only of a host on a wire; by default derived from its place
	// ARPMAC is the address that its ARP replies name: a multicast address, as in a cluster
	// that balances its load. Its frames always come from MAC, which is the default.
	ARPMAC   MAC       `yaml:"arp_mac"`
	TCP      TCP       `yaml:"tcp"` // what identifies its operating system; Linux by default
	Services []Service `yaml:"services"`
}

// A TCP is what identifies the TCP of an operating system on the wire. The zero TCP is the
// default of the machine.
type TCP struct {
	// Window is the window of a SYN, and the most that is offered later. 1024 to 32767.
	Window int `yaml:"window"`
	// WholeSegments rounds the window of an established connection up to a multiple of the
	// other side's segment size.
	WholeSegments bool `yaml:"whole_segments"`
	// Options are those of a SYN, in their order: "mss", "window-scale", "sack", "timestamps".
	// A machine that answers a SYN uses those that the SYN has too.
	Options []string `yaml:"options"`
}

// IsZero reports whether t is the default.
func (t *TCP) IsZero() bool { return t.Window == 0 && !t.WholeSegments && t.Options == nil }

// A Service is a simulated server on a host.
type Service struct {
	Type    string            `yaml:"type"`    // one of ServerTypes: "dns", "web", "sink"
	Name    string            `yaml:"name"`    // HOST/TYPE by default
	Port    uint16            `yaml:"port"`    // by default that of the type
	Options map[string]string `yaml:"options"` // those of the type
	Rules   []MailRule        `yaml:"rules"`   // of a mail server
	Stopped bool              `yaml:"stopped"` // it does not run until a user starts it
}

// An MX is a mail exchanger of a domain.
type MX struct {
	Domain     string `yaml:"domain"`
	Preference uint16 `yaml:"preference"`
	Host       string `yaml:"host"`
}

// A Client is a connection from the appliance to a host or from a host to the appliance. It
// stays open unless Close is set. Then the end that opened it closes it, and its socket stays
// in TIME_WAIT for a while.
type Client struct {
	From   string         `yaml:"from"`  // FromAppliance, or a host's name
	Local  netip.AddrPort `yaml:"local"` // the end that opens it
	Remote netip.AddrPort `yaml:"remote"`
	Send   string         `yaml:"send"`  // text to send; one answer is then read
	Close  bool           `yaml:"close"` // whether it is closed immediately
	// After is a service of the appliance, named as for a Door. The connection is opened when
	// the service has accepted its first connection. "" opens it with the world.
	After string `yaml:"after"`
	Owner string `yaml:"owner"` // the process, if From is FromAppliance
	User  string `yaml:"user"`  // of that process
}

// FromAppliance is the From of a Client that the appliance opens.
const FromAppliance = "appliance"

// A Path is the way from the appliance's gateways to a network: the routers in the order in
// which traceroute lists them.
type Path struct {
	Name string       `yaml:"name"` // for rules; its network by default
	To   netip.Prefix `yaml:"to"`
	// Hops are the routers. The first one is the gateway itself, with the addresses with which
	// it answers on this path. A path without hops has only the gateway.
	Hops []Hop `yaml:"hops"`
	// Delay is one way and is added to the delays of the hops. Jitter is the most by which a
	// packet may be later than that.
	Delay  time.Duration `yaml:"delay"`
	Jitter time.Duration `yaml:"jitter"`
	Loss   float64       `yaml:"loss"` // share of packets lost in each direction, 0 to 1
	MTU    int           `yaml:"mtu"`  // of its narrowest link; 0: no limit
	// End is the end of the path: Deliver, or one of the constants after it if packets do not
	// arrive.
	End string `yaml:"end"`
}

// Ends of paths. At the unreachable ones, the last router answers with an ICMP error.
const (
	Deliver         = "" // packets reach the hosts of the network
	NetUnreachable  = "net-unreachable"
	HostUnreachable = "host-unreachable"
	Prohibited      = "prohibited"
	Silent          = "silent" // packets are dropped without an answer
)

// A Hop is a router, or several that share the load.
type Hop struct {
	// Members are the addresses that answer here. A UDP packet chooses the member with number
	// (destination port + seed) mod the number of members of its family, so that a traceroute,
	// which counts ports up, finds them in this order. Other packets choose by their flow. A
	// member may be listed more than once. If the chosen member is the packet's destination,
	// there is no router here for this packet.
	Members []netip.Addr  `yaml:"members"`
	Seed    int           `yaml:"seed"`
	Delay   time.Duration `yaml:"delay"`  // one way, from the hop before
	Jitter  time.Duration `yaml:"jitter"` // of this hop's own answers
	Loss    float64       `yaml:"loss"`   // share of packets lost here, 0 to 1
	Silent  bool          `yaml:"silent"` // answers no probe: "* * *"
}

// Doors connect the real network with the simulated one.
type Doors struct {
	// In are the front doors.
	In []Door `yaml:"in"`
	// SeenAs says which simulated addresses real clients have. The first whose network
	// contains the client's address decides.
	SeenAs []SourceMapping `yaml:"seen_as"`
	// Out are the back doors. Only packets for their addresses leave the process.
	Out []BackDoor `yaml:"out"`
}

// A Door is a front door: a real listener that leads to a service of the appliance.
type Door struct {
	Name      string         `yaml:"name"`      // its service by default
	Listen    netip.AddrPort `yaml:"listen"`    // real; port 0 takes a free one
	Interface string         `yaml:"interface"` // of the appliance, to whose addresses it leads
	Service   string         `yaml:"service"`   // "ssh", "ftp", "http", "https", "smtp" or a port
	// Source is a host on the wire of Interface whose address all clients of the door have. By
	// default SeenAs gives them theirs.
	Source string `yaml:"source"`
	// PassivePorts, "50000-50100", are the real ports of passive FTP data connections; any by
	// default. PublicAddress is the address that passive replies name; by default the one that
	// the client connected to.
	PassivePorts  string     `yaml:"passive_ports"`
	PublicAddress netip.Addr `yaml:"public_address"`
}

// A SourceMapping maps the real addresses of a network to one simulated address, or each to
// an address of its own in a simulated network.
type SourceMapping struct {
	From netip.Prefix `yaml:"from"` // real
	As   netip.Prefix `yaml:"as"`   // simulated
}

// A BackDoor maps a simulated address to a real one. The address may belong to a host behind
// the gateways: the real machine then takes the host's place and has its names. A world whose back
// door leads to one of its own front doors cannot be built.
type BackDoor struct {
	Address netip.Addr `yaml:"address"` // simulated
	Port    uint16     `yaml:"port"`    // 0: all
	To      netip.Addr `yaml:"to"`      // real
	ToPort  uint16     `yaml:"to_port"` // 0: the same
}
