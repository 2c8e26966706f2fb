package pcapfilter

// A layer is the part of a frame to which an offset is relative.
type layer int

const (
	fromLink       layer = iota // the link-layer header
	fromType                    // the type of the payload, in the link-layer header
	fromPayload                 // the link-layer payload: an LLC header if there is one
	fromNetwork                 // the network-layer header
	fromNetworkLLC              // the network-layer header in a payload with an LLC header
	fromIPv4Body                // the payload of an IPv4 header of any length
	fromIPv6Body                // the payload of an IPv6 header
)

// load loads size bytes at an offset from a layer into the accumulator.
func (g *generator) load(l layer, offset uint32, s size) []stmt {
	g.count()
	switch l {
	case fromLink:
		return loadAt(g.linkHeader, offset, s)
	case fromType:
		return loadAt(g.linkType, offset, s)
	case fromPayload:
		return loadAt(g.payload, offset, s)
	case fromNetwork:
		return loadAt(g.payload, g.networkOffset+offset, s)
	case fromNetworkLLC:
		return loadAt(g.payload, g.networkLLCOffset+offset, s)
	case fromIPv6Body:
		return loadAt(g.payload, g.networkOffset+40+offset, s)
	}
	stmts := g.loadIPv4Length()
	return append(stmts, stmt{op: s.code(modeInd), k: g.payload.fixed + g.networkOffset + offset})
}

// loadAt loads size bytes at an offset from a base.
func loadAt(b base, offset uint32, s size) []stmt {
	if b.reg >= 0 {
		return []stmt{
			{op: opLdxMem, k: uint32(b.reg)},
			{op: s.code(modeInd), k: b.fixed + offset},
		}
	}
	return []stmt{{op: s.code(modeAbs), k: b.fixed + offset}}
}

// loadIPv4Length loads the length of the IPv4 header, plus the variable part of the header's
// offset, into X.
func (g *generator) loadIPv4Length() []stmt {
	at := g.payload.fixed + g.networkOffset
	if g.payload.reg < 0 {
		return []stmt{{op: opLdxMsh, k: at}}
	}
	return []stmt{
		{op: opLdxMem, k: uint32(g.payload.reg)},
		{op: opLdIndB, k: at},
		{op: opAnd, k: 0xf},
		{op: opLsh, k: 2},
		{op: opAdd | srcX},
		{op: opTax},
	}
}

// compare compares the value at an offset with v.
func (g *generator) compare(op uint16, l layer, offset uint32, s size, v uint32) cond {
	return &test{stmts: g.load(l, offset, s), op: op, k: v}
}

// equal tests whether the value at an offset is v.
func (g *generator) equal(l layer, offset uint32, s size, v uint32) cond {
	return g.compare(opJeq, l, offset, s, v)
}

// masked tests whether the value at an offset is v after the mask was applied.
func (g *generator) masked(l layer, offset uint32, s size, v, mask uint32) cond {
	stmts := g.load(l, offset, s)
	if mask != ^uint32(0) {
		stmts = append(stmts, stmt{op: opAnd, k: mask})
	}
	return &test{stmts: stmts, op: opJeq, k: v}
}

// bytes tests whether the bytes at an offset are b. It compares the last ones first, because
// addresses differ most in them.
func (g *generator) bytes(l layer, offset uint32, b []byte) cond {
	var c cond
	for n := len(b); n > 0; {
		s := byte1
		switch {
		case n >= 4:
			s = byte4
		case n >= 2:
			s = byte2
		}
		n -= int(s)
		var v uint32
		for _, x := range b[n : n+int(s)] {
			v = v<<8 | uint32(x)
		}
		c = and(c, g.equal(l, offset+uint32(n), s, v))
	}
	return c
}
