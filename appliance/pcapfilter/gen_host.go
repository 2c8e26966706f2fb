package pcapfilter

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ipv4Address generates an address that is written with dots: "host 10.1.1.1", "net 10.1".
func (g *generator) ipv4Address(text string, q qualifiers) cond {
	switch q.typ {
	case addrPort, addrPortrange, addrProto, addrProtochain:
		g.failQualifiers("'%s' modifier applied to ip host", addressTypeNames[q.typ])
	}
	if q.proto == protoDECnet {
		return g.number(g.decnetAddress(text), 32, true, q)
	}
	v, bits, ok := parseIPv4(text)
	if !ok {
		g.fail("invalid IPv4 address '%s'", text)
	}
	return g.number(v, bits, true, q)
}

// parseIPv4 parses one to four decimal bytes separated by dots. bits is eight for each byte.
func parseIPv4(text string) (v uint32, bits int, ok bool) {
	for _, part := range strings.Split(text, ".") {
		b, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return 0, 0, false
		}
		v = v<<8 | uint32(b)
		bits += 8
	}
	return v, bits, true
}

// ipv4Net generates "net 10.0.0.0/8" and "net 10.0.0.0 mask 255.0.0.0".
func (g *generator) ipv4Net(n *identNode) cond {
	v, bits, ok := parseIPv4(n.text)
	if !ok {
		g.fail("invalid IPv4 address '%s'", n.text)
	}
	v <<= 32 - bits
	var mask uint32
	if n.mask != "" {
		m, bits, ok := parseIPv4(n.mask)
		if !ok {
			g.fail("invalid IPv4 address '%s'", n.mask)
		}
		mask = m << (32 - bits)
		if v&^mask != 0 {
			g.fail("non-network bits set in \"%s mask %s\"", n.text, n.mask)
		}
	} else {
		if n.bits > 32 {
			g.fail("mask length must be <= 32")
		}
		mask = uint32(uint64(0xffffffff) << (32 - n.bits))
		if v&^mask != 0 {
			g.fail("non-network bits set in \"%s/%d\"", n.text, n.bits)
		}
	}
	if n.q.typ != addrNet {
		g.fail("Mask syntax for networks only")
	}
	return g.host(v, mask, n.q)
}

// ipv6Address generates "host fe80::1" and "net fe80::/10".
func (g *generator) ipv6Address(n *identNode) cond {
	bits := n.bits
	if bits < 0 {
		bits = 128
	}
	if bits > 128 {
		g.fail("mask length must be <= 128")
	}
	addr, err := netip.ParseAddr(n.text)
	if err != nil {
		g.fail("invalid ip6 address %s", n.text)
	}
	if netip.PrefixFrom(addr, bits).Masked().Addr() != addr {
		g.fail("non-network bits set in \"%s/%d\"", n.text, bits)
	}
	switch n.q.typ {
	case addrDefault, addrHost:
		if bits != 128 {
			g.fail("Mask syntax for networks only")
		}
	case addrNet:
	default:
		g.fail("invalid qualifier against IPv6 address")
	}
	return g.host6(addr, bits, n.q)
}

// ethernetAddress generates "ether host 0:1:2:3:4:5".
func (g *generator) ethernetAddress(text string, q qualifiers) cond {
	if q.typ != addrHost && q.typ != addrDefault || q.proto != protoLink {
		g.fail("ethernet address used in non-ether expression")
	}
	return g.etherHost(parseMAC(text), q)
}

// parseMAC parses all forms of a hardware address.
func parseMAC(text string) []byte {
	sep := strings.IndexAny(text, ":-.")
	if sep < 0 || sep == 4 {
		digits, _ := strconv.ParseUint(strings.ReplaceAll(text, ".", ""), 16, 64)
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], digits)
		return b[2:]
	}
	var mac []byte
	for _, part := range strings.Split(text, text[sep:sep+1]) {
		b, _ := strconv.ParseUint(part, 16, 8)
		mac = append(mac, byte(b))
	}
	return mac
}

// hostName generates "host NAME", which matches all addresses of the name.
func (g *generator) hostName(name string, q qualifiers) cond {
	addrs := literalAddress(name)
	if addrs == nil && g.opts.LookupHost != nil {
		found, _ := g.opts.LookupHost(name)
		for _, a := range found {
			addrs = append(addrs, a.Unmap().WithZone(""))
		}
	}
	if len(addrs) == 0 {
		g.fail("unknown host '%s'", name)
	}
	var c cond
	for _, a := range addrs {
		switch {
		case a.Is4() && q.proto != protoIPv6:
			b := a.As4()
			c = or(c, g.host(binary.BigEndian.Uint32(b[:]), ^uint32(0), q))
		case a.Is6() && q.proto != protoIP:
			c = or(c, g.host6(a, 128, q))
		}
	}
	if c == nil {
		suffix := ""
		if q.proto != protoDefault {
			suffix = " for specified address family"
		}
		g.fail("unknown host '%s'%s", name, suffix)
	}
	return c
}

// literalAddress parses a name that is an address, preceded by a backslash in the expression:
// "host \10.1.1.1".
func literalAddress(name string) []netip.Addr {
	if a, err := netip.ParseAddr(name); err == nil && a.Is6() {
		return []netip.Addr{a.WithZone("")}
	}
	// inet_aton(3): numbers in the notation of C; the last one fills the remaining bytes.
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return nil
	}
	var v uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		if strings.ContainsAny(part, "_oObB") && !strings.HasPrefix(part, "0x") {
			return nil // valid in Go, not in C
		}
		n, err := strconv.ParseUint(part, 0, bits)
		if err != nil {
			return nil
		}
		v = v<<bits | n
	}
	return []netip.Addr{netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(v))))}
}

// netName generates "net NAME".
func (g *generator) netName(name string, q qualifiers) cond {
	v, ok := networks[name]
	if !ok && g.opts.LookupNet != nil {
		if a, err := g.opts.LookupNet(name); err == nil && a.Is4() {
			b := a.As4()
			v, ok = binary.BigEndian.Uint32(b[:]), true
		}
	}
	if !ok {
		g.fail("unknown network '%s'", name)
	}
	mask := ^uint32(0)
	for v != 0 && v&0xff000000 == 0 {
		v <<= 8
		mask <<= 8
	}
	return g.host(v, mask, q)
}

// etherName generates "ether host NAME".
func (g *generator) etherName(name string, q qualifiers) cond {
	var mac net.HardwareAddr
	if g.opts.LookupEther != nil {
		mac, _ = g.opts.LookupEther(name)
	}
	if len(mac) != 6 {
		g.fail("unknown ether host '%s'", name)
	}
	return g.etherHost(mac, q)
}

// host generates an IPv4 address, or a network with its mask.
func (g *generator) host(v, mask uint32, q qualifiers) cond {
	switch q.proto {
	case protoDefault:
		q.proto = protoIP
		c := g.host(v, mask, q)
		if g.labels > 0 {
			return c // only IP can follow an MPLS label
		}
		q.proto = protoARP
		c = or(c, g.host(v, mask, q))
		q.proto = protoRARP
		return or(c, g.host(v, mask, q))
	case protoIP:
		return g.ipv4Host(v, mask, q, typeIPv4, 12, 16)
	case protoARP:
		return g.ipv4Host(v, mask, q, typeARP, 14, 24)
	case protoRARP:
		return g.ipv4Host(v, mask, q, typeRARP, 14, 24)
	case protoDECnet:
		return g.decnetHost(v, q)
	}
	what := "host"
	if q.typ == addrNet {
		what = "net"
	}
	p := protocols[q.proto]
	switch {
	case q.proto == protoLink:
		g.failQualifiers("link-layer modifier applied to %s", what)
	case q.proto == protoIPv6:
		g.failQualifiers("'ip6' modifier applied to ip host")
	case p.hostless:
		g.failQualifiers("%s host filtering not implemented", q.proto.title())
	}
	g.failQualifiers("'%s' modifier applied to %s", p.name, what)
	return nil
}

// ipv4Host compares the addresses in a network layer's header, where they are at the offsets src
// and dst.
func (g *generator) ipv4Host(v, mask uint32, q qualifiers, typ, src, dst uint32) cond {
	return g.byDirection(q, "addresses", func(d direction) cond {
		offset := src
		if d == dirDst {
			offset = dst
		}
		return and(g.linkTypeIs(typ), g.masked(fromNetwork, offset, byte4, v, mask))
	})
}

// byDirection calls side for the source or the destination or both, as the direction requires,
// and combines the results. what is for the error message if the direction is one of 802.11.
func (g *generator) byDirection(q qualifiers, what string, side func(direction) cond) cond {
	switch q.dir {
	case dirSrc, dirDst:
		return side(q.dir)
	case dirAnd:
		src := side(dirSrc)
		return and(src, side(dirDst))
	case dirWLAN:
		g.failWLAN(q.wlan, what)
	}
	src := side(dirSrc)
	return or(src, side(dirDst))
}

// failWLAN reports an error for a direction of 802.11.
func (g *generator) failWLAN(word, what string) {
	quoted := "'" + word + "' is not a valid qualifier"
	if n, ok := strings.CutPrefix(word, "addr"); ok {
		quoted = "'addr" + n + "' and 'address" + n + "' are not valid qualifiers"
	}
	if what == "addresses" {
		what = "addresses other than 802.11 MAC addresses"
	}
	g.failQualifiers("%s for %s", quoted, what)
}

// host6 generates an IPv6 address, or a network of bits bits.
func (g *generator) host6(addr netip.Addr, bits int, q qualifiers) cond {
	if q.proto != protoDefault && q.proto != protoIPv6 {
		what := "host"
		if q.typ == addrNet {
			what = "net"
		}
		switch q.proto {
		case protoLink:
			g.failQualifiers("link-layer modifier applied to ip6 %s", what)
		case protoAppleTalk:
			g.failQualifiers("AppleTalk modifier applied to ip6 %s", what)
		}
		g.failQualifiers("'%s' modifier applied to ip6 %s", protocols[q.proto].name, what)
	}
	b := addr.As16()
	return g.byDirection(q, "addresses", func(d direction) cond {
		offset := uint32(8)
		if d == dirDst {
			offset = 24
		}
		c := g.linkTypeIs(typeIPv6)
		for i := range uint32(4) {
			width := min(max(bits-32*int(i), 0), 32)
			mask := uint32(uint64(0xffffffff) << (32 - width))
			word := binary.BigEndian.Uint32(b[4*i:])
			c = and(c, g.masked(fromNetwork, offset+4*i, byte4, word, mask))
		}
		return c
	})
}

// etherHost generates a hardware address.
func (g *generator) etherHost(mac []byte, q qualifiers) cond {
	if g.link != ethernet {
		g.failQualifiers("ethernet addresses supported only on " +
			"ethernet/FDDI/token ring/802.11/ATM LANE/Fibre Channel")
	}
	if q.dir == dirWLAN {
		g.failEtherWLAN(q.wlan)
	}
	c := g.byDirection(q, "", func(d direction) cond {
		offset := uint32(6)
		if d == dirDst {
			offset = 0
		}
		return g.bytes(fromLink, offset, mac)
	})
	return and(g.hasEthernetHeader(), c)
}

func (g *generator) failEtherWLAN(word string) {
	if n, ok := strings.CutPrefix(word, "addr"); ok {
		g.failQualifiers("'addr%s' and 'address%s' are only supported on 802.11 with 802.11 headers",
			n, n)
	}
	g.failQualifiers("'%s' is only supported on 802.11 with 802.11 headers", word)
}

// decnetAddress parses "AREA.NODE".
func (g *generator) decnetAddress(text string) uint32 {
	area, node, _ := strings.Cut(text, ".")
	node, _, _ = strings.Cut(node, ".")
	a, _ := strconv.ParseUint(area, 10, 32)
	n, _ := strconv.ParseUint(node, 10, 32)
	return uint32(a<<10)&0xfc00 | uint32(n)&0x3ff
}

// decnetHost generates a DECnet address. The header has a short and a long form and may be
// preceded by a byte of padding. Its numbers are little-endian.
func (g *generator) decnetHost(v uint32, q qualifiers) cond {
	v = v&0xff<<8 | v>>8&0xff
	return g.byDirection(q, "addresses", func(d direction) cond {
		short, long := uint32(5), uint32(17)
		if d == dirDst {
			short, long = 3, 9
		}
		// The lowest bits of the header's first byte contain its form.
		plain := func(form, offset uint32) cond {
			return and(g.masked(fromNetwork, 2, byte1, form, 0x07),
				g.equal(fromNetwork, offset, byte2, v))
		}
		padded := func(form, offset uint32) cond {
			return and(g.masked(fromNetwork, 2, byte2, 0x8100|form, 0xff07),
				g.equal(fromNetwork, offset+1, byte2, v))
		}
		return and(g.linkTypeIs(typeDECnet),
			or(plain(2, short), or(padded(2, short), or(plain(6, long), padded(6, long)))))
	})
}
