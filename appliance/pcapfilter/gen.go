package pcapfilter

import "fmt"

// A generator makes a condition of a tree. It visits the primitives in the order of the text
// and keeps the offsets of headers: after "vlan" all offsets are four bytes larger, whether
// "and" or "or" follows, and outside the parentheses too.
type generator struct {
	opts     Options
	position int // in the expression, of the primitive that is being generated

	// qualifiersAt is the position of the qualifiers of the identifier that is being
	// generated.
	qualifiersAt int

	// link is the link layer of the following headers.
	link linkLayer

	// Beginning of the link-layer header, of the payload's type in it, and of the payload.
	linkHeader, linkType, payload base

	// networkOffset is the offset of the network layer's header in the payload. It grows
	// with each MPLS label. networkLLCOffset is the same for a payload with an LLC header,
	// which is part of the payload.
	networkOffset, networkLLCOffset uint32

	labels    int  // number of MPLS labels so far
	geneve    bool // inside a Geneve packet
	registers registers

	// jumpsInside reports whether a test has jumps between its own statements, which the
	// optimizer does not support.
	jumpsInside bool

	loads int // number of generated loads and numbers
}

// A linkLayer is the kind of a link-layer header.
type linkLayer int

const (
	ethernet linkLayer = iota
	ppp
)

// A base is an offset in the frame: a fixed number of bytes plus, if reg is not negative, the
// value of a register.
type base struct {
	fixed uint32
	reg   int
}

func newGenerator(opts Options) *generator {
	if opts.SnapLen <= 0 {
		opts.SnapLen = DefaultSnapLen
	}
	return &generator{
		opts:             opts,
		linkHeader:       base{0, -1},
		linkType:         base{12, -1},
		payload:          base{14, -1},
		networkLLCOffset: 3,
	}
}

// fail reports an error at the primitive that is being generated.
func (g *generator) fail(format string, args ...any) {
	fail(g.position, fmt.Sprintf(format, args...))
}

// maxLoads bounds the size of the generated code. Sensible expressions need less.
const maxLoads = 1 << 15

// count counts a load or number, and fails if there are too many.
func (g *generator) count() {
	if g.loads++; g.loads > maxLoads {
		g.fail("expression is too long")
	}
}

// failQualifiers reports an error at the qualifiers of the current identifier.
func (g *generator) failQualifiers(format string, args ...any) {
	fail(g.qualifiersAt, fmt.Sprintf(format, args...))
}

// condition generates the condition of a node.
func (g *generator) condition(n node) cond {
	switch n := n.(type) {
	case *andNode:
		left := g.condition(n.left)
		return and(left, g.condition(n.right))
	case *orNode:
		left := g.condition(n.left)
		return or(left, g.condition(n.right))
	case *notNode:
		return not(g.condition(n.operand))
	}
	g.position = n.offset()
	switch n := n.(type) {
	case *identNode:
		return g.identifier(n)
	case *protocolNode:
		return g.protocol(n.proto)
	case *relationNode:
		return g.relation(n)
	case *castNode:
		if n.kind == tokBroadcast {
			return g.broadcast(n.proto)
		}
		return g.multicast(n.proto)
	case *lengthNode:
		return g.length(n)
	case *byteNode:
		return g.byteTest(n)
	case *encapsulationNode:
		return g.encapsulation(n)
	case *llcNode:
		return g.llc(n.name)
	case *errorNode:
		panic(&SyntaxError{Offset: n.offset(), Message: n.message, Missing: n.missing})
	}
	panic(fmt.Sprintf("pcapfilter: unknown node %T", n))
}

// identifier generates an identifier with its qualifiers.
func (g *generator) identifier(n *identNode) cond {
	g.qualifiersAt = n.q.at
	switch n.kind {
	case tokName:
		return g.name(n.text, n.q)
	case tokNumber:
		return g.number(n.num, 32, false, n.q)
	case tokIPv4:
		if n.bits >= 0 || n.mask != "" {
			return g.ipv4Net(n)
		}
		return g.ipv4Address(n.text, n.q)
	case tokIPv6:
		return g.ipv6Address(n)
	case tokMAC:
		return g.ethernetAddress(n.text, n.q)
	default:
		g.fail("aid supported only on ARCnet")
	}
	return nil
}

// name generates the name of a host, network, port or protocol.
func (g *generator) name(name string, q qualifiers) cond {
	switch q.typ {
	case addrUndefined:
		g.fail("syntax error in filter expression")
	case addrNet:
		return g.netName(name, q)
	case addrPort:
		return g.portName(name, q)
	case addrPortrange:
		return g.portrangeName(name, q)
	case addrGateway:
		g.fail("'gateway' not supported in this configuration")
	case addrProto:
		return g.proto(g.protoNumber(name, q.proto), q.proto, q.dir)
	case addrProtochain:
		return g.protochain(g.protoNumber(name, q.proto), q.proto)
	}
	switch q.proto {
	case protoLink:
		return g.etherName(name, q)
	case protoDECnet:
		g.fail("decnet name support not included, '%s' cannot be translated", name)
	}
	return g.hostName(name, q)
}

// number generates a number. If it was written with dots, bits is its number of significant
// bits.
func (g *generator) number(v uint32, bits int, dotted bool, q qualifiers) cond {
	switch q.typ {
	case addrUndefined:
		g.fail("syntax error in filter expression")
	case addrPort, addrPortrange:
		return g.portNumber(v, q)
	case addrGateway:
		g.fail("'gateway' requires a name")
	case addrProto:
		return g.proto(v, q.proto, q.dir)
	case addrProtochain:
		return g.protochain(v, q.proto)
	}
	switch q.proto {
	case protoDECnet:
		return g.host(v, 0, q)
	case protoLink:
		g.fail("illegal link layer address")
	}
	mask := ^uint32(0)
	if !dotted && q.typ == addrNet {
		// "net 10" is 10.0.0.0/8.
		for v != 0 && v&0xff000000 == 0 {
			v <<= 8
			mask <<= 8
		}
		return g.host(v, mask, q)
	}
	return g.host(v<<(32-bits), mask<<(32-bits), q)
}
