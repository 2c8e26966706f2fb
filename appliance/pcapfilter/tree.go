package pcapfilter

// The tree of an expression, as the parser makes it and the generator walks it.

// A proto is a protocol as the language names it: "tcp" in "tcp port 80".
type proto int

const (
	protoDefault proto = iota // none given
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

// A direction says which of a packet's two addresses or ports is meant.
type direction int

const (
	dirDefault direction = iota // either, but an error where no direction makes sense
	dirSrc
	dirDst
	dirOr
	dirAnd
	dirWLAN // addr1 to addr4, ra, ta; the word is in qualifiers.wlan
)

// An address type says what an identifier names.
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
	addrUndefined // there is nothing to inherit: "tcp or 80"
)

var addressTypeNames = map[addressType]string{
	addrPort: "port", addrPortrange: "portrange",
	addrProto: "proto", addrProtochain: "protochain",
}

// qualifiers are the words before an identifier, in "tcp src port 80" the first
// three.
type qualifiers struct {
	proto proto
	dir   direction
	typ   addressType
	wlan  string
	at    int // where the first of them stands
}

// noQualifiers is what there is to inherit where nothing can be inherited.
var noQualifiers = qualifiers{typ: addrUndefined}

// A node is a part of an expression that is true or false of a frame.
type node interface {
	offset() int // where the error is shown if it turns out to make no sense
}

// place is the position of a node.
type position int

func (p position) offset() int { return int(p) }

type (
	// andNode, orNode and notNode combine others.
	andNode struct{ left, right node }
	orNode  struct{ left, right node }
	notNode struct{ operand node }

	// identNode is an identifier with its qualifiers, its own or inherited.
	identNode struct {
		position
		q    qualifiers
		kind kind   // tokName, tokNumber, tokIPv4, tokIPv6, tokMAC or tokARCnet
		text string //
		num  uint32 // of a tokNumber
		mask string // in "net TEXT mask MASK"
		bits int    // in "net TEXT/BITS"; -1 without
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

	// shiftNode is vlan, mpls, pppoed, pppoes or geneve, which move the place
	// where the rest of the expression looks.
	encapsulationNode struct {
		position
		kind  kind
		value uint32
		any   bool // no value was given
	}

	// llcNode is "llc", or "llc NAME".
	llcNode struct {
		position
		name string
	}

	// errorNode stands where the text ends to make sense.
	errorNode struct {
		position
		message string
	}
)

func (n *andNode) offset() int { return n.left.offset() }
func (n *orNode) offset() int  { return n.left.offset() }
func (n *notNode) offset() int { return n.operand.offset() }

// An arith is a number computed from a frame.
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
