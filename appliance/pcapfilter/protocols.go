package pcapfilter

import "strings"

// Types of an Ethernet payload. In a frame, values up to maxLength are lengths, and the payload
// begins with an LLC header. Such a value below is a service access point in that header.
const (
	maxLength = 1500

	typeIPv4      = 0x0800
	typeARP       = 0x0806
	typeRARP      = 0x8035
	typeIPv6      = 0x86dd
	typeVLAN      = 0x8100
	typeQinQ      = 0x88a8
	typeQinQOld   = 0x9100
	typeMPLS      = 0x8847
	typePPPoED    = 0x8863
	typePPPoES    = 0x8864
	typeAppleTalk = 0x809b
	typeAARP      = 0x80f3
	typeMOPDL     = 0x6001
	typeMOPRC     = 0x6002
	typeDECnet    = 0x6003
	typeLAT       = 0x6004
	typeSCA       = 0x6007
	typeLoopback  = 0x9000
	typeBridged   = 0x6558 // Ethernet inside Geneve
	typeIPX       = 0x8137

	sapIP      = 0x06
	sapSTP     = 0x42
	sapIPX     = 0xe0
	sapNetBEUI = 0xf0
	sapISO     = 0xfe
)

// Numbers of protocols on IP.
const (
	ipICMP     = 1
	ipIGMP     = 2
	ipTCP      = 6
	ipIGRP     = 9
	ipUDP      = 17
	ipFragment = 44
	ipESP      = 50
	ipAH       = 51
	ipICMPv6   = 58
	ipNoNext   = 59
	ipPIM      = 103
	ipVRRP     = 112
	ipSCTP     = 132
)

// Numbers of protocols on OSI's network layer, and of IS-IS's packets.
const (
	isoCLNP = 0x81
	isoESIS = 0x82
	isoISIS = 0x83
)

// protocols contains the meaning of each protocol's keyword in the positions where the grammar
// allows it.
var protocols = [...]struct {
	name string

	// The keyword alone: a type of payload, or a protocol number on another protocol
	// (IPv4 and IPv6 if on is protoDefault).
	typ    uint32
	number uint32
	on     proto

	// Packets of IS-IS: types of PDU in the order in which they are tested.
	pdus []uint32

	// hostless: libpcap does not implement "PROTOCOL host ADDRESS" although it would be
	// meaningful.
	hostless bool
}{
	protoLink:      {name: "link"},
	protoIP:        {name: "ip", typ: typeIPv4},
	protoARP:       {name: "arp", typ: typeARP},
	protoRARP:      {name: "rarp", typ: typeRARP},
	protoIPv6:      {name: "ip6", typ: typeIPv6},
	protoSCTP:      {name: "sctp", number: ipSCTP},
	protoTCP:       {name: "tcp", number: ipTCP},
	protoUDP:       {name: "udp", number: ipUDP},
	protoAH:        {name: "ah", number: ipAH},
	protoESP:       {name: "esp", number: ipESP},
	protoPIM:       {name: "pim", number: ipPIM},
	protoICMP:      {name: "icmp", number: ipICMP, on: protoIP},
	protoIGMP:      {name: "igmp", number: ipIGMP, on: protoIP},
	protoIGRP:      {name: "igrp", number: ipIGRP, on: protoIP},
	protoVRRP:      {name: "vrrp", number: ipVRRP, on: protoIP},
	protoCARP:      {name: "carp", number: ipVRRP, on: protoIP},
	protoICMPv6:    {name: "icmp6", number: ipICMPv6, on: protoIPv6},
	protoAppleTalk: {name: "atalk", typ: typeAppleTalk, hostless: true},
	protoAARP:      {name: "aarp", typ: typeAARP, hostless: true},
	protoDECnet:    {name: "decnet", typ: typeDECnet},
	protoLAT:       {name: "lat", typ: typeLAT, hostless: true},
	protoSCA:       {name: "sca", typ: typeSCA, hostless: true},
	protoMOPRC:     {name: "moprc", typ: typeMOPRC, hostless: true},
	protoMOPDL:     {name: "mopdl", typ: typeMOPDL, hostless: true},
	protoISO:       {name: "iso", typ: sapISO, hostless: true},
	protoESIS:      {name: "esis", number: isoESIS, on: protoISO},
	protoISIS:      {name: "isis", number: isoISIS, on: protoISO},
	protoCLNP:      {name: "clnp", number: isoCLNP, on: protoISO},
	protoSTP:       {name: "stp", typ: sapSTP},
	protoIPX:       {name: "ipx", typ: sapIPX, hostless: true},
	protoNetBEUI:   {name: "netbeui", typ: sapNetBEUI},
	protoRadio:     {name: "radio"},

	// Level 1 and level 2, hellos, link state, and sequence numbers.
	protoISISL1:   {name: "l1", pdus: []uint32{26, 24, 18, 15, 17}},
	protoISISL2:   {name: "l2", pdus: []uint32{27, 25, 20, 16, 17}},
	protoISISIIH:  {name: "iih", pdus: []uint32{17, 15, 16}},
	protoISISLSP:  {name: "lsp", pdus: []uint32{18, 20}},
	protoISISSNP:  {name: "snp", pdus: []uint32{27, 26, 24, 25}},
	protoISISCSNP: {name: "csnp", pdus: []uint32{24, 25}},
	protoISISPSNP: {name: "psnp", pdus: []uint32{26, 27}},
}

// noProto contains the errors for "PROTOCOL proto NUMBER" that differ from "'PROTOCOL proto' is
// bogus".
var noProto = map[proto]string{
	protoARP:       "arp does not encapsulate another protocol",
	protoRARP:      "rarp does not encapsulate another protocol",
	protoAppleTalk: "AppleTalk encapsulation is not specifiable",
	protoDECnet:    "DECNET encapsulation is not specifiable",
	protoLAT:       "LAT does not encapsulate another protocol",
	protoSCA:       "SCA does not encapsulate another protocol",
	protoMOPRC:     "MOPRC does not encapsulate another protocol",
	protoMOPDL:     "MOPDL does not encapsulate another protocol",
	protoCLNP:      "'clnp proto' is not supported",
}

// title returns the protocol's name for messages that begin with it.
func (p proto) title() string {
	if p == protoAppleTalk {
		return "AppleTalk"
	}
	return strings.ToUpper(protocols[p].name)
}

// etherProtocols are the names that are valid after "ether proto".
var etherProtocols = map[string]uint32{
	"aarp": typeAARP, "arp": typeARP, "atalk": typeAppleTalk, "decnet": typeDECnet,
	"ip": typeIPv4, "ip6": typeIPv6, "lat": typeLAT, "loopback": typeLoopback,
	"mopdl": typeMOPDL, "moprc": typeMOPRC, "rarp": typeRARP, "sca": typeSCA,
	"iso": sapISO, "stp": sapSTP, "ipx": sapIPX, "netbeui": sapNetBEUI,
}

// isoProtocols are the names that are valid after "iso proto".
var isoProtocols = map[string]uint32{"clnp": isoCLNP, "esis": isoESIS, "isis": isoISIS}

// networks are the names that are valid after "net", as in the /etc/networks of a Debian system.
var networks = map[string]uint32{"loopback": 0x7f000000, "link-local": 0xa9fe0000}

// ipProtocols are the names that are valid after "ip proto", as in the /etc/protocols of a
// Debian system. They are case-sensitive.
var ipProtocols = map[string]uint32{
	"ip": 0, "IP": 0, "hopopt": 0, "HOPOPT": 0, "icmp": 1, "ICMP": 1, "igmp": 2, "IGMP": 2, "ggp": 3,
	"GGP": 3, "ipencap": 4, "IP-ENCAP": 4, "st": 5, "ST": 5, "tcp": 6, "TCP": 6, "egp": 8, "EGP": 8,
	"igp": 9, "IGP": 9, "pup": 12, "PUP": 12, "udp": 17, "UDP": 17, "hmp": 20, "HMP": 20,
	"xns-idp": 22, "XNS-IDP": 22, "rdp": 27, "RDP": 27, "iso-tp4": 29, "ISO-TP4": 29, "dccp": 33,
	"DCCP": 33, "xtp": 36, "XTP": 36, "ddp": 37, "DDP": 37, "idpr-cmtp": 38, "IDPR-CMTP": 38,
	"ipv6": 41, "IPv6": 41, "ipv6-route": 43, "IPv6-Route": 43, "ipv6-frag": 44, "IPv6-Frag": 44,
	"idrp": 45, "IDRP": 45, "rsvp": 46, "RSVP": 46, "gre": 47, "GRE": 47, "esp": 50, "IPSEC-ESP": 50,
	"ah": 51, "IPSEC-AH": 51, "skip": 57, "SKIP": 57, "ipv6-icmp": 58, "IPv6-ICMP": 58,
	"ipv6-nonxt": 59, "IPv6-NoNxt": 59, "ipv6-opts": 60, "IPv6-Opts": 60, "rspf": 73, "RSPF": 73,
	"CPHB": 73, "vmtp": 81, "VMTP": 81, "eigrp": 88, "EIGRP": 88, "ospf": 89, "OSPFIGP": 89,
	"ax.25": 93, "AX.25": 93, "ipip": 94, "IPIP": 94, "etherip": 97, "ETHERIP": 97, "encap": 98,
	"ENCAP": 98, "pim": 103, "PIM": 103, "ipcomp": 108, "IPCOMP": 108, "vrrp": 112, "VRRP": 112,
	"l2tp": 115, "L2TP": 115, "isis": 124, "ISIS": 124, "sctp": 132, "SCTP": 132, "fc": 133,
	"FC": 133, "mobility-header": 135, "Mobility-Header": 135, "udplite": 136, "UDPLite": 136,
	"mpls-in-ip": 137, "MPLS-in-IP": 137, "manet": 138, "hip": 139, "HIP": 139, "shim6": 140,
	"Shim6": 140, "wesp": 141, "WESP": 141, "rohc": 142, "ROHC": 142, "ethernet": 143,
	"Ethernet": 143, "mptcp": 262, "MPTCP": 262,
}
