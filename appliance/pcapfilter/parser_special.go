package pcapfilter

// special parses the primitives that begin with a keyword of their own. It returns nil if the
// current token begins none of them.
func (p *parser) special() node {
	t := p.tok
	at := position(t.at)
	switch t.kind {
	case tokLess, tokGreater:
		p.advance()
		return &lengthNode{at, t.kind == tokGreater, p.expect(tokNumber).value}
	case tokByte:
		p.advance()
		n := &byteNode{position: at, index: p.expect(tokNumber).value, op: p.tok.kind}
		switch n.op {
		case '=', '<', '>', '&', '|':
		default:
			p.syntaxError()
		}
		p.advance()
		n.value = p.expect(tokNumber).value
		return n
	case tokVLAN, tokMPLS, tokPPPoES, tokGeneve:
		p.advance()
		n := &encapsulationNode{position: at, kind: t.kind, any: true}
		if p.tok.kind == tokNumber || p.tok.kind == '(' {
			n.any = false
			n.value = p.plainNumber()
		}
		return n
	case tokPPPoED:
		p.advance()
		return &encapsulationNode{position: at, kind: t.kind, any: true}
	case tokLLC:
		p.advance()
		n := &llcNode{position: at}
		if p.tok.kind == tokName || p.tok.kind == tokPFNumber && p.tok.text == "rnr" {
			n.position = position(p.tok.at)
			n.name = p.advance().text
		}
		return n
	}
	p.refuseUnsupported()
	return nil
}

// plainNumber parses a number, possibly in parentheses.
func (p *parser) plainNumber() uint32 {
	defer p.nest()()
	if p.tok.kind != '(' {
		return p.expect(tokNumber).value
	}
	p.advance()
	v := p.plainNumber()
	p.expect(')')
	return v
}
