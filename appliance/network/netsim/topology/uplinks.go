package topology

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Uplink is a cable from the wire of an interface to a real network. Unless Expose is set, only
// the appliance is on that wire: its gateways and hosts, those of its VLANs included, are not
// simulated, except for the sources of doors, whose frames stay inside.
type Uplink struct {
	Interface string       `yaml:"interface"` // "Data 1"
	To        UplinkTarget `yaml:"to"`        // "packet:eth1"
	Expose    bool         `yaml:"expose"`    // the simulated machines of the wire are outside too
	// StormLimit is the number of frames to groups, broadcasts included, that may leave in a
	// second; 100 by default.
	StormLimit int `yaml:"storm_limit" nonzero:"the number of frames a second"`
	// ProbeTime is how long other machines may take to say that an address of the appliance is
	// theirs, when the uplink has been connected; 300 ms by default. The start waits for it.
	ProbeTime time.Duration `yaml:"probe_time" nonzero:"a time such as 300ms"`
}

// setDefaults sets the fields that are left out.
func (u *Uplink) setDefaults() {
	u.StormLimit = cmp.Or(u.StormLimit, DefaultStormLimit)
	u.ProbeTime = cmp.Or(u.ProbeTime, defaultProbeTime)
}

const (
	defaultProbeTime = 300 * time.Millisecond
	maxProbeTime     = time.Minute
	// networkProbeTime is the default in a network of the process, where answers take microseconds.
	networkProbeTime = 60 * time.Millisecond
)

// DefaultStormLimit is the default of Uplink.StormLimit.
const DefaultStormLimit = 100

// maxStormLimit is more than any network carries.
const maxStormLimit = 10_000_000

// Kinds of the outside ends of uplinks.
const (
	UplinkTAP    = "tap"    // a TAP device of the machine
	UplinkPacket = "packet" // a network interface of the machine
	UplinkVXLAN  = "vxlan"  // a tunnel (RFC 7348)
	UplinkUnix   = "unix"   // a socket, as QEMU's -netdev stream and dgram
	// UplinkNetwork is the network of another world of the process. No file names it: see Join.
	UplinkNetwork = "network"
)

// An UplinkTarget is the outside end of an uplink.
type UplinkTarget struct {
	Kind string // one of the constants
	Name string // of an interface of the machine; the path of a socket
	// Peer is the path of the other end's socket if Name is that of a socket for datagrams; "" if
	// it is one for a stream.
	Peer string
	// Server says which end of a stream listens: "on" for this one, "off" for the other. By
	// default the end that starts first does.
	Server string
	Host   string         // of a tunnel: name or address of the other end
	Port   uint16         // there
	VNI    uint32         // the number of the virtual network, 24 bits
	Local  netip.AddrPort // of a tunnel; by default Port of all addresses
}

const expectedTarget = "tap:NAME, packet:INTERFACE, vxlan:HOST:PORT/VNI, unix:PATH or unix:PATH,dgram=PATH"

// String returns the text that ParseUplinkTarget reads.
func (t UplinkTarget) String() string {
	s := t.Kind + ":" + t.Name
	if t.Kind == UplinkVXLAN {
		host := t.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		s = fmt.Sprintf("%s:%s:%d/%d", t.Kind, host, t.Port, t.VNI)
	}
	for _, o := range [][2]string{{"dgram", t.Peer}, {"server", t.Server}} {
		if o[1] != "" {
			s += "," + o[0] + "=" + o[1]
		}
	}
	if t.Local.IsValid() {
		s += ",local=" + t.Local.String()
	}
	return s
}

// ParseUplinkTarget reads the outside end of an uplink, such as "vxlan:192.0.2.7:4789/42".
func ParseUplinkTarget(s string) (UplinkTarget, error) {
	words := strings.Split(s, ",")
	t, err := parseTarget(words[0])
	if err != nil {
		return UplinkTarget{}, err
	}
	for _, option := range words[1:] {
		if err := t.setOption(option); err != nil {
			return UplinkTarget{}, err
		}
	}
	return t, nil
}

// errTarget is the error of a text that is no target.
var errTarget = errors.New("expected " + expectedTarget)

func parseTarget(s string) (UplinkTarget, error) {
	kind, rest, _ := strings.Cut(s, ":")
	t := UplinkTarget{Kind: kind, Name: rest}
	switch kind {
	case UplinkTAP, UplinkPacket:
		// Linux: IFNAMSIZ, and what a name may not contain.
		if rest == "" || len(rest) > 15 || strings.ContainsAny(rest, "/ :") {
			return t, errTarget
		}
	case UplinkUnix:
		if rest == "" || len(rest) > maxSocketPath {
			return t, fmt.Errorf("the path of a socket has 1 to %d bytes", maxSocketPath)
		}
	case UplinkVXLAN:
		t.Name = ""
		peer, vni, _ := strings.Cut(rest, "/")
		colon := strings.LastIndexByte(peer, ':')
		if colon < 0 {
			return t, errTarget
		}
		t.Host = strings.TrimSuffix(strings.TrimPrefix(peer[:colon], "["), "]")
		port, err1 := strconv.ParseUint(peer[colon+1:], 10, 16)
		id, err2 := strconv.ParseUint(vni, 10, 24)
		_, err3 := netip.ParseAddr(t.Host)
		if err1 != nil || err2 != nil || port == 0 || err3 != nil && !isDomainName(t.Host) {
			return t, errTarget
		}
		t.Port, t.VNI = uint16(port), uint32(id)
	default:
		return t, errTarget
	}
	return t, nil
}

// maxSocketPath is the greatest length of the path of a socket that all systems have.
const maxSocketPath = 103

// setOption sets an option that follows a target.
func (t *UplinkTarget) setOption(option string) error {
	key, value, _ := strings.Cut(option, "=")
	switch {
	case t.Kind == UplinkUnix && key == "dgram" && value != "" && len(value) <= maxSocketPath:
		t.Peer = value
	case t.Kind == UplinkUnix && key == "server" && (value == "on" || value == "off"):
		t.Server = value
	case t.Kind == UplinkVXLAN && key == "local":
		local, err := netip.ParseAddrPort(value)
		if err != nil {
			return errors.New("expected an address and a port in local, such as 127.0.0.1:4789")
		}
		t.Local = local
	default:
		return fmt.Errorf("%q is no option of %s: expected dgram=PATH or server=on|off after unix,"+
			" local=ADDRESS:PORT after vxlan", option, t.Kind)
	}
	if t.Peer != "" && (t.Server != "" || t.Peer == t.Name) {
		return errors.New("expected two different paths and no server= with dgram=")
	}
	return nil
}

// ParseUplink reads an uplink in one line, such as "Data 1=packet:eth1,expose": the interface, the
// target, and the keys of an Uplink with their values, separated by commas.
func ParseUplink(s string) (Uplink, error) {
	name, rest, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return Uplink{}, errors.New("expected INTERFACE=TARGET, such as \"Data 1=packet:eth1\"")
	}
	u := Uplink{Interface: name}
	var target []string
	for i, word := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case i > 0 && word == "expose":
			u.Expose = true
		case i > 0 && key == "probe_time":
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return u, fmt.Errorf("probe_time %q, expected a time such as 300ms", value)
			}
			u.ProbeTime = d
		case i > 0 && key == "storm_limit":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return u, fmt.Errorf("storm_limit %q, expected the number of frames a second", value)
			}
			u.StormLimit = n
		default:
			target = append(target, word)
		}
	}
	var err error
	u.To, err = ParseUplinkTarget(strings.Join(target, ","))
	return u, err
}

// WithUplink returns a copy of the topology with u, in the place of an uplink of the same
// interface. The caller checks the copy.
func (t *Topology) WithUplink(u Uplink) *Topology {
	next := *t
	u.setDefaults()
	next.Uplinks = slices.DeleteFunc(slices.Clone(t.Uplinks),
		func(old Uplink) bool { return old.Interface == u.Interface })
	next.Uplinks = append(next.Uplinks, u)
	next.Appliance.Interfaces = slices.Clone(t.Appliance.Interfaces)
	next.DeriveMACs()
	return &next
}

func (u Uplink) override(t *Topology) (*Topology, error) { return t.WithUplink(u), nil }

// Join returns a copy of the topology whose interfaces with these names lead to the wires of the same
// names of a network that another world of the process owns. The rules of the topology are that
// world's.
func (t *Topology) Join(network string, interfaces []string) *Topology {
	next := *t
	next.Rules = nil
	for _, name := range interfaces {
		next = *next.WithUplink(Uplink{
			Interface: name, To: UplinkTarget{Kind: UplinkNetwork, Name: network + "/" + name},
			StormLimit: maxStormLimit, ProbeTime: networkProbeTime,
		})
	}
	return &next
}

// Leave returns a copy of the topology without the uplinks that Join has added.
func (t *Topology) Leave() *Topology {
	next := *t
	next.Uplinks = slices.DeleteFunc(slices.Clone(t.Uplinks),
		func(u Uplink) bool { return u.To.Kind == UplinkNetwork })
	return &next
}

// Joins reports whether the wire of an interface belongs to a network that another world owns.
func (t *Topology) Joins(ifname string) bool {
	u := t.UplinkOf(ifname)
	return u != nil && u.To.Kind == UplinkNetwork
}

// networkOf returns the name of the network of another world that an interface has joined, "" if none.
func (t *Topology) networkOf(ifname string) string {
	if !t.Joins(ifname) {
		return ""
	}
	return strings.TrimSuffix(t.UplinkOf(ifname).To.Name, "/"+ifname)
}

// DeriveMACs sets the MAC of each interface with an uplink whose MAC the topology does not give, and
// of each that has joined a network of several appliances, where one MAC for all would be wrong. It
// depends on the serial number and on the device. A caller that changes the serial number of a
// copy of the topology calls it again.
func (t *Topology) DeriveMACs() {
	for i, derived := range t.derivedMACs {
		n := &t.Appliance.Interfaces[i]
		if u := t.UplinkOf(n.Name); u != nil && (derived || u.To.Kind == UplinkNetwork) {
			n.MAC = SerialMAC(t.Appliance.Serial, n.Device)
		}
	}
}

// SerialMAC returns the locally administered address that DeriveMACs gives a device of the appliance
// with a serial number.
func SerialMAC(serial, device string) MAC {
	sum := sha256.Sum256([]byte(serial + "\x00" + device))
	m := MAC(sum[:6])
	m[0] = m[0]&^0x03 | 0x02
	return m
}

// UplinkOf returns the uplink of an interface, nil if there is none.
func (t *Topology) UplinkOf(ifname string) *Uplink {
	for i := range t.Uplinks {
		if t.Uplinks[i].Interface == ifname {
			return &t.Uplinks[i]
		}
	}
	return nil
}

// IsReal reports whether the wire of an interface leads to a real network, so that its gateways
// and hosts are not simulated.
func (t *Topology) IsReal(ifname string) bool {
	u := t.UplinkOf(ifname)
	return u != nil && !u.Expose
}

func (t *Topology) hasRealSegment() bool {
	return slices.ContainsFunc(t.Uplinks, func(u Uplink) bool { return !u.Expose })
}

// Simulates reports whether a host is simulated. A host on a real wire is only if it is the source
// of a door; the world that owns a network simulates all hosts of it.
func (t *Topology) Simulates(h *Host) bool {
	return h.Wire == "" || !t.IsReal(h.Wire) || !t.Joins(h.Wire) &&
		slices.ContainsFunc(t.Doors.In, func(d Door) bool { return d.Source == h.Name })
}

// DoorIsOff reports whether a door leads to a real wire and has no source there: the answers of
// the appliance would leave. The text says so to the user. In a network of the process, the clients
// are hosts of the world that owns it.
func (t *Topology) DoorIsOff(d *Door) (reason string, off bool) {
	if !t.IsReal(d.Interface) || d.Source != "" || t.Joins(d.Interface) {
		return "", false
	}
	return fmt.Sprintf("%s is connected to %v, where the clients of this door are unknown",
		d.Interface, t.UplinkOf(d.Interface).To), true
}

// OpensClient reports whether a connection of the topology is opened: not if the appliance's end is
// on a real wire, where its packets would leave, or has its address by DHCP.
func (t *Topology) OpensClient(c *Client) bool {
	appliance := c.Local.Addr()
	if c.From != FromAppliance {
		appliance = c.Remote.Addr()
	}
	return !slices.ContainsFunc(t.Appliance.Interfaces, func(n Interface) bool {
		return (t.IsReal(n.Name) || n.DHCP && appliance.Is4()) && slices.ContainsFunc(n.Addresses,
			func(p netip.Prefix) bool { return p.Addr() == appliance })
	})
}

// NotSimulated returns the gateways and hosts on the real wire of an interface that the topology
// describes and that are not simulated, for a message.
func (t *Topology) NotSimulated(ifname string) []string {
	var all []string
	for _, s := range t.Segments() {
		if s.Interface.Name != ifname || !t.IsReal(ifname) {
			continue
		}
		for _, p := range s.Routers {
			all = append(all, p.Addr().String())
		}
	}
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.Wire == ifname && !t.Simulates(h) {
			all = append(all, h.Name)
		}
	}
	return all
}

// uplinks checks the uplinks.
func (c *checker) uplinks() error {
	interfaces, targets := make(map[string]bool), make(map[UplinkTarget]bool)
	for i, u := range c.Uplinks {
		at := func(key string) string { return index("uplinks", i, key) }
		switch {
		case c.findInterface(u.Interface) == nil:
			return c.errorf(at(".interface"),
				"no interface is called %q, expected one of %s", u.Interface, c.interfaceNames())
		case interfaces[u.Interface]:
			return c.errorf(at(".interface"), "a second uplink of %s, expected one", u.Interface)
		case u.To == (UplinkTarget{}):
			return c.errorf(at(".to"), "an uplink without its outside end, expected %s", expectedTarget)
		case targets[u.To]:
			return c.errorf(at(".to"), "a second uplink to %v, expected one", u.To)
		case u.StormLimit < 1 || u.StormLimit > maxStormLimit:
			return c.errorf(at(".storm_limit"),
				"%d frames a second, expected 1 to %d", u.StormLimit, maxStormLimit)
		case u.ProbeTime <= 0 || u.ProbeTime > maxProbeTime:
			return c.errorf(at(".probe_time"), "%v, expected at most %v", u.ProbeTime, maxProbeTime)
		}
		interfaces[u.Interface], targets[u.To] = true, true
	}
	return nil
}
