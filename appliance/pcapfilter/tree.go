package pcapfilter

// This file contains the tree of an expression. The parser makes it and the generator walks it.

// A proto is a protocol as the language names it: "tcp" in "tcp port 80".
type proto int

const (
	protoDefault proto = iota // no protocol given
	protoLink
	protoIP
	protoARP
	protoRARP
	protoSCTP
	protoTCP
	protoUDP
	protoICMP
	protoIGMP
	protoIGRP
	protoAppleTalk
	protoDECnet
	protoLAT
	protoSCA
	protoMOPRC
	protoMOPDL
	protoIPv6
	protoICMPv6
	protoAH
	protoESP
	protoPIM
	protoVRRP
	protoAARP
	protoISO
	protoESIS
	protoISIS
	protoCLNP
	protoSTP
	protoIPX
	protoNetBEUI
	protoISISL1
	protoISISL2
	protoISISIIH
	protoISISLSP
	protoISISSNP
	protoISISCSNP
	protoISISPSNP
	protoRadio
	protoCARP
)

// A direction selects among a packet's two addresses or ports.
type direction int

const (
	dirDefault direction = iota // no direction given: either of them
	dirSrc
	dirDst
	dirOr
	dirAnd
	dirWLAN // addr1 to addr4, ra, ta; the keyword is in qualifiers.wlan
)

// An addressType is the type of the thing that an identifier names.
type addressType int

const (
	addrDefault addressType = iota // a host
	addrHost
	addrNet
	addrPort
	addrPortrange
	addrGateway
	addrProto
	addrProtochain
	addrUndefined // nothing can be inherited: "tcp or 80"
)

var addressTypeNames = map[addressType]string{
	addrPort: "port", addrPortrange: "portrange",
	addrProto: "proto", addrProtochain: "protochain",
}

// qualifiers are the keywords before an identifier: "tcp", "src" and "port" in
// "tcp src port 80".
type qualifiers struct {
	proto proto
	dir   direction
	typ   addressType
	wlan  string
	at    int // position of the first of them
}

// noQualifiers are the qualifiers of an identifier that cannot inherit any.
var noQualifiers = qualifiers{typ: addrUndefined}

// A node is a part of an expression that is either true or false for a frame.
type node interface {
	offset() int // position of an error that the generator finds in the node
}

// position is the position of a node in the expression.
type position int

func (p position) offset() int { return int(p) }

type (
	// andNode, orNode and notNode combine others.
	andNode struct{ left, right node }
	orNode  struct{ left, right node }
	notNode struct{ operand node }

	// identNode is an identifier with its own or inherited qualifiers.
	identNode struct {
		position
		q    qualifiers
		kind kind // tokName, tokNumber, tokIPv4, tokIPv6, tokMAC or tokARCnet
		text string
		num  uint32 // of a tokNumber
		mask string // in "net TEXT mask MASK"
		bits int    // in "net TEXT/BITS"; -1 if missing
	}

	// protocolNode is a protocol's name alone: "tcp".
	protocolNode struct {
		position
		proto proto
	}

	// relationNode compares two numbers; op is '>', '<', '=', tokGE, tokLE or tokNE.
	relationNode struct {
		position
		op          kind
		left, right arith
	}

	// castNode is "ether broadcast" or "ip multicast".
	castNode struct {
		position
		proto proto
		kind  kind // tokBroadcast or tokMulticast
	}

	// lengthNode is "less 100" or "greater 100".
	lengthNode struct {
		position
		greater bool
		length  uint32
	}

	// byteNode is "byte 3 = 5"; op is '=', '<', '>', '&' or '|'.
	byteNode struct {
		position
		op           kind
		index, value uint32
	}

	// encapsulationNode is vlan, mpls, pppoed, pppoes or geneve, which change the offsets
	// for the rest of the expression.
	encapsulationNode struct {
		position
		kind  kind
		value uint32
		any   bool // no value is given
	}

	// llcNode is "llc", or "llc NAME".
	llcNode struct {
		position
		name string
	}

	// errorNode is a syntax error.
	errorNode struct {
		position
		message, missing string
	}
)

func (n *andNode) offset() int { return n.left.offset() }
func (n *orNode) offset() int  { return n.left.offset() }
func (n *notNode) offset() int { return n.operand.offset() }

// An arith is a number that is computed from a frame.
type arith interface{ offset() int }

type (
	numberNode struct {
		position
		value uint32
	}

	// lenNode is the length of the frame on the wire.
	lenNode struct{ position }

	// loadNode is "tcp[INDEX:SIZE]".
	loadNode struct {
		position
		proto proto
		index arith
		size  uint32
	}

	// binaryNode is an operation; op is one of + - * / % & | ^ tokLsh tokRsh.
	binaryNode struct {
		position
		op          kind
		left, right arith
	}

	negateNode struct {
		position
		operand arith
	}
)
