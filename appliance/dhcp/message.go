package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// Ports of DHCP.
const (
	ServerPort = 67
	ClientPort = 68
)

// A Type is the type of a message.
type Type uint8

// The types of messages.
const (
	Discover Type = iota + 1
	Offer
	Request
	Decline
	ACK
	NAK
	Release
	Inform
)

var typeNames = [...]string{
	Discover: "DHCPDISCOVER", Offer: "DHCPOFFER", Request: "DHCPREQUEST", Decline: "DHCPDECLINE",
	ACK: "DHCPACK", NAK: "DHCPNAK", Release: "DHCPRELEASE", Inform: "DHCPINFORM",
}

// String returns the name that RFC 2131 uses.
func (t Type) String() string {
	if int(t) < len(typeNames) && t != 0 {
		return typeNames[t]
	}
	return fmt.Sprintf("DHCP message type %d", uint8(t))
}

// fromClient reports whether clients send messages of this type.
func (t Type) fromClient() bool {
	return slices.Contains([]Type{Discover, Request, Decline, Release, Inform}, t)
}

// A MAC is an Ethernet address.
type MAC [6]byte

// String returns the address in hexadecimal digits with colons.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Codes of options (RFC 2132).
const (
	optPad        = 0
	optMask       = 1
	optRouters    = 3
	optDNS        = 6
	optHostName   = 12
	optDomain     = 15
	optBroadcast  = 28
	optRequested  = 50
	optLeaseTime  = 51
	optOverload   = 52
	optType       = 53
	optServer     = 54
	optParameters = 55
	optText       = 56
	optMaxSize    = 57
	optT1         = 58
	optT2         = 59
	optClientID   = 61
	optEnd        = 255
)

// Infinite is the LeaseTime of a lease that does not expire.
const Infinite = time.Duration(math.MaxUint32) * time.Second

// A Message is a message of DHCP over Ethernet. Addresses are IPv4. The zero value of a field means
// that the message does not have it.
type Message struct {
	Type      Type
	XID       uint32 // chosen by the client for an exchange
	Secs      uint16 // since the client began to ask
	Broadcast bool   // the client cannot receive replies by unicast
	MAC       MAC    // of the client

	ClientAddr netip.Addr // ciaddr: an address that the client uses already
	YourAddr   netip.Addr // yiaddr: the address for the client
	NextServer netip.Addr // siaddr
	Relay      netip.Addr // giaddr

	Requested  netip.Addr // the address that the client asks for
	Server     netip.Addr // the server identifier
	ClientID   []byte
	HostName   string
	Domain     string
	Parameters []byte // codes of the options that the client asks for
	MaxSize    uint16 // of messages to the client
	Text       string // why a server refuses

	MaskBits  int // of the netmask; 0: none
	Routers   []netip.Addr
	DNS       []netip.Addr
	LeaseTime time.Duration // whole seconds; Infinite: for ever
	T1, T2    time.Duration
}

const (
	headerSize = 236 // of a message, up to the options
	cookie     = 0x63825363
	minSize    = 300 // of a message, as BOOTP has it
	maxOption  = 255

	sizeOfServerName, sizeOfFile = 64, 128
	serverNameAt, fileAt         = 44, 108

	bootRequest, bootReply = 1, 2
	ethernet               = 1
	flagBroadcast          = 0x8000
)

// Append appends the wire form of the message to b. It panics if an address is not IPv4, which is a
// mistake of the caller. Texts and lists that are too long for one option are cut.
func (m *Message) Append(b []byte) []byte {
	start := len(b)
	op := byte(bootReply)
	if m.Type.fromClient() {
		op = bootRequest
	}
	b = append(b, op, ethernet, byte(len(m.MAC)), 0)
	b = binary.BigEndian.AppendUint32(b, m.XID)
	b = binary.BigEndian.AppendUint16(b, m.Secs)
	flags := uint16(0)
	if m.Broadcast {
		flags = flagBroadcast
	}
	b = binary.BigEndian.AppendUint16(b, flags)
	for _, a := range []netip.Addr{m.ClientAddr, m.YourAddr, m.NextServer, m.Relay} {
		b = appendAddr(b, a)
	}
	b = append(b, m.MAC[:]...)
	b = append(b, make([]byte, start+headerSize-len(b))...)
	b = binary.BigEndian.AppendUint32(b, cookie)
	b = m.appendOptions(b)
	b = append(b, optEnd)
	for len(b)-start < minSize {
		b = append(b, optPad)
	}
	return b
}

// appendOptions appends the options, the type first.
func (m *Message) appendOptions(b []byte) []byte {
	add := func(code byte, value []byte) {
		if value = value[:min(len(value), maxOption)]; len(value) > 0 {
			b = append(append(b, code, byte(len(value))), value...)
		}
	}
	addrs := func(code byte, list ...netip.Addr) {
		var value []byte
		for _, a := range list[:min(len(list), maxOption/4)] {
			if a.IsValid() {
				value = appendAddr(value, a)
			}
		}
		add(code, value)
	}
	seconds := func(code byte, d time.Duration) {
		if d > 0 {
			add(code, binary.BigEndian.AppendUint32(nil, uint32(min(d, Infinite)/time.Second)))
		}
	}
	add(optType, []byte{byte(m.Type)})
	add(optClientID, m.ClientID)
	addrs(optServer, m.Server)
	addrs(optRequested, m.Requested)
	seconds(optLeaseTime, m.LeaseTime)
	seconds(optT1, m.T1)
	seconds(optT2, m.T2)
	if m.MaskBits > 0 {
		add(optMask, binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-m.MaskBits)))
	}
	addrs(optRouters, m.Routers...)
	addrs(optDNS, m.DNS...)
	add(optHostName, []byte(m.HostName))
	add(optDomain, []byte(m.Domain))
	if m.MaxSize > 0 {
		add(optMaxSize, binary.BigEndian.AppendUint16(nil, m.MaxSize))
	}
	add(optParameters, m.Parameters)
	add(optText, []byte(m.Text))
	if a := broadcastAddr(m.YourAddr, m.MaskBits); a.IsValid() {
		addrs(optBroadcast, a)
	}
	return b
}

// broadcastAddr returns the broadcast address of the network of a, an invalid address if there is
// none.
func broadcastAddr(a netip.Addr, maskBits int) netip.Addr {
	if !a.IsValid() || maskBits < 1 || maskBits > 30 {
		return netip.Addr{}
	}
	x := a.As4()
	n := binary.BigEndian.Uint32(x[:]) | ^uint32(0)>>maskBits
	binary.BigEndian.PutUint32(x[:], n)
	return netip.AddrFrom4(x)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(b, 0, 0, 0, 0)
	}
	x := a.As4()
	return append(b, x[:]...)
}

var (
	errShort   = errors.New("dhcp: the message is too short")
	errForeign = errors.New("dhcp: not a message of DHCP over Ethernet")
)

// Parse parses a message. Options that are not known are ignored, and so are the values of known ones
// that cannot be used. b is not retained.
func Parse(b []byte) (*Message, error) {
	if len(b) < headerSize+4 {
		return nil, errShort
	}
	if b[1] != ethernet || b[2] != byte(len(MAC{})) ||
		binary.BigEndian.Uint32(b[headerSize:]) != cookie {
		return nil, errForeign
	}
	m := &Message{
		XID: binary.BigEndian.Uint32(b[4:]), Secs: binary.BigEndian.Uint16(b[8:]),
		Broadcast:  binary.BigEndian.Uint16(b[10:])&flagBroadcast != 0,
		ClientAddr: addrOf(b[12:]), YourAddr: addrOf(b[16:]),
		NextServer: addrOf(b[20:]), Relay: addrOf(b[24:]),
		MAC: MAC(b[28:34]),
	}
	o, err := optionsOf(b)
	if err != nil {
		return nil, err
	}
	o.fillIn(m)
	if m.Type.fromClient() != (b[0] == bootRequest) || b[0] != bootRequest && b[0] != bootReply ||
		m.Type < Discover || m.Type > Inform {
		return nil, errForeign
	}
	return m, nil
}

// addrOf returns the address at the beginning of b, invalid if it is 0.0.0.0.
func addrOf(b []byte) netip.Addr {
	if a := netip.AddrFrom4([4]byte(b[:4])); !a.IsUnspecified() {
		return a
	}
	return netip.Addr{}
}

// options are the values of options by their codes. Values of repeated options are joined (RFC 3396).
type options map[byte][]byte

// optionsOf returns the options of a message, with those in the fields that option 52 names.
func optionsOf(b []byte) (options, error) {
	o := options{}
	if err := o.read(b[headerSize+4:]); err != nil {
		return nil, err
	}
	overload := o[optOverload]
	if len(overload) != 1 {
		return o, nil
	}
	if overload[0]&1 != 0 {
		if err := o.read(b[fileAt : fileAt+sizeOfFile]); err != nil {
			return nil, err
		}
	}
	if overload[0]&2 != 0 {
		return o, o.read(b[serverNameAt : serverNameAt+sizeOfServerName])
	}
	return o, nil
}

func (o options) read(b []byte) error {
	for len(b) > 0 {
		code := b[0]
		switch {
		case code == optEnd:
			return nil
		case code == optPad:
			b = b[1:]
			continue
		case len(b) < 2 || len(b) < 2+int(b[1]):
			return errShort
		}
		end := 2 + int(b[1])
		o[code] = append(o[code], b[2:end]...)
		b = b[end:]
	}
	return nil
}

// fillIn sets the fields of m.
func (o options) fillIn(m *Message) {
	if v := o[optType]; len(v) == 1 {
		m.Type = Type(v[0])
	}
	m.Requested, m.Server = o.addr(optRequested), o.addr(optServer)
	m.Routers, m.DNS = o.addrs(optRouters), o.addrs(optDNS)
	m.LeaseTime, m.T1, m.T2 = o.seconds(optLeaseTime), o.seconds(optT1), o.seconds(optT2)
	m.HostName, m.Domain, m.Text = string(o[optHostName]), string(o[optDomain]), string(o[optText])
	m.ClientID, m.Parameters = o[optClientID], o[optParameters]
	if v := o[optMaxSize]; len(v) == 2 {
		m.MaxSize = binary.BigEndian.Uint16(v)
	}
	if v := o[optMask]; len(v) == 4 {
		mask := binary.BigEndian.Uint32(v)
		if n := bits.LeadingZeros32(^mask); mask == ^uint32(0)<<(32-n) {
			m.MaskBits = n
		}
	}
}

func (o options) addr(code byte) netip.Addr {
	if v := o[code]; len(v) == 4 {
		return addrOf(v)
	}
	return netip.Addr{}
}

func (o options) addrs(code byte) (list []netip.Addr) {
	v := o[code]
	if len(v)%4 != 0 {
		return nil
	}
	for ; len(v) > 0; v = v[4:] {
		if a := addrOf(v); a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

func (o options) seconds(code byte) time.Duration {
	if v := o[code]; len(v) == 4 {
		return time.Duration(binary.BigEndian.Uint32(v)) * time.Second
	}
	return 0
}
