package pcapfilter

import "strings"

// maxDepth is the maximum nesting depth of an expression.
const maxDepth = 1000

// A parser parses an expression into a tree by recursive descent.
//
// The grammar has three peculiarities. "and" and "or" have the same precedence and are
// left-associative. After either of them an identifier without qualifiers inherits those of the
// primitive before it ("port 80 or 443"): functions that parse such identifiers get these
// qualifiers as a parameter, and return those for the next identifier in their result. And a
// parenthesis contains an expression, arithmetic or a list of identifiers; which of them is
// known only later (see group).
type parser struct {
	lexer lexer
	tok   token // the next token
	depth int

	// parsed contains the primitives parsed so far, in order.
	parsed []node
}

// A context says what the grammar allows at a position of the expression.
type context int

const (
	termOnly    context = iota // a primitive, with its own qualifiers
	termOrID                   // after "and" and "or": a primitive or an identifier without qualifiers
	termOrFirst                // after "(" in termOrID: the same, but no nested list of identifiers
	idOnly                     // after qualifiers
	firstID                    // after "(" in idOnly: the same, but no nested list
	numberOnly                 // after "((" in idOnly
)

func (c context) allowsID() bool { return c != termOnly && c != numberOnly }

func (c context) allowsTerm() bool { return c <= termOrFirst }

// inParenthesis returns the context after "(" in c, afterNot the one after "not".
func (c context) inParenthesis() context {
	return [...]context{termOnly, termOrFirst, termOnly, firstID, numberOnly, numberOnly}[c]
}

func (c context) afterNot() context {
	return [...]context{termOnly, termOrID, termOrID, idOnly, idOnly, numberOnly}[c]
}

// An operand is the beginning of a term whose kind may not be known yet. Exactly one of node,
// arith and number is set.
type operand struct {
	node   node
	isID   bool       // node is an identifier, or a list of them
	q      qualifiers // of node; the next identifier inherits them
	arith  arith
	number *numberNode // a single number, possibly in parentheses: arithmetic or an identifier
}

// arithmetic returns the operand as arithmetic. It is not a node.
func (v operand) arithmetic() arith {
	if v.number != nil {
		return v.number
	}
	return v.arith
}

// parse returns the tree of an expression, or nil for the empty one.
//
// For a syntax error, the tree contains the primitives before the error and an errorNode,
// because libpcap compiles while it parses: errors in these primitives are reported first.
func parse(expr string) (tree node) {
	p := &parser{lexer: lexer{src: expr}}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *SyntaxError:
			tree = &errorNode{position(r.Offset), r.Message, r.Missing}
			for i := len(p.parsed) - 1; i >= 0; i-- {
				tree = &andNode{p.parsed[i], tree}
			}
		default:
			panic(r)
		}
	}()
	p.advance()
	if p.tok.kind == tokEnd {
		return nil
	}
	n := p.tail(p.item(noQualifiers, termOnly)).node
	if p.tok.kind == ')' {
		p.lacks("the opening parenthesis")
	}
	if p.tok.kind != tokEnd {
		p.syntaxError()
	}
	return n
}

// advance reads the next token and returns the current one.
func (p *parser) advance() token {
	t := p.tok
	p.tok = p.lexer.next()
	return t
}

// expect returns the current token, which must be of the given kind, and reads the next one.
func (p *parser) expect(k kind) token {
	if p.tok.kind != k {
		p.lacksAtEnd(missingTokens[k])
	}
	return p.advance()
}

// missingTokens says what an expression lacks that ends where a token of this kind must be.
var missingTokens = map[kind]string{
	')': "a closing parenthesis", ']': "a closing bracket", tokNumber: "a number",
	tokIPv4: "a mask", tokName: "a name", tokSrc: "src", tokDst: "dst",
}

func (p *parser) syntaxError() { p.lacks("") }

// lacks fails with a syntax error at the current token, before which something is missing.
func (p *parser) lacks(missing string) {
	panic(&SyntaxError{Offset: p.tok.at, Message: "syntax error", Missing: missing})
}

// lacksAtEnd fails with a syntax error. If the expression or a parenthesis ends here, it lacks what
// missing says; otherwise the current token is wrong.
func (p *parser) lacksAtEnd(missing string) {
	if p.tok.kind != tokEnd && p.tok.kind != ')' {
		missing = ""
	}
	p.lacks(missing)
}

// nest begins a level of nesting and returns the function that ends it.
func (p *parser) nest() func() {
	if p.depth++; p.depth > maxDepth {
		fail(p.tok.at, "expression is nested too deeply")
	}
	return func() { p.depth-- }
}

// term returns a primitive as an operand from which nothing can be inherited.
func (p *parser) term(n node) operand {
	p.parsed = append(p.parsed, n)
	return operand{node: n, q: noQualifiers}
}

// identifier returns an identifier as an operand.
func (p *parser) identifier(n *identNode) operand {
	p.parsed = append(p.parsed, n)
	return operand{node: n, isID: true, q: n.q}
}

// tail parses the rest of an expression after its first term.
func (p *parser) tail(v operand) operand {
	for p.tok.kind == tokAnd || p.tok.kind == tokOr {
		op := p.advance().kind
		right := p.item(v.q, termOrID)
		v = operand{node: combine(op, v.node, right.node), q: right.q}
	}
	return v
}

// idTail parses the rest of a list in parentheses after its first identifier.
func (p *parser) idTail(v operand) operand {
	for p.tok.kind == tokAnd || p.tok.kind == tokOr {
		op := p.advance().kind
		v.node = combine(op, v.node, p.item(v.q, idOnly).node)
	}
	return v
}

func combine(op kind, left, right node) node {
	if op == tokAnd {
		return &andNode{left, right}
	}
	return &orNode{left, right}
}

// item parses one primitive or identifier, possibly negated, or a parenthesis. Its result is a
// node. q are the qualifiers that an identifier inherits.
func (p *parser) item(q qualifiers, c context) operand {
	v := p.firstOperand(q, c)
	switch {
	case v.node != nil:
		return v
	case v.number != nil && c.allowsID() && !(c.allowsTerm() && p.atOperator()):
		return p.numberID(v.number, q)
	case c.allowsTerm():
		return p.relation(p.arithTail(v.arithmetic(), 0))
	}
	p.syntaxError()
	return v
}

// missingIDs says what is missing if nothing follows the qualifiers.
var missingIDs = map[addressType]string{
	addrDefault: "an address", addrHost: "an address", addrNet: "a network", addrPort: "a port",
	addrPortrange: "a range of ports", addrGateway: "a host name", addrProto: "a protocol",
	addrProtochain: "a protocol",
}

// firstOperand parses an item, or its first operand if the item is arithmetic.
func (p *parser) firstOperand(q qualifiers, c context) operand {
	defer p.nest()()
	t := p.tok
	switch t.kind {
	case '(':
		return p.group(q, c)
	case tokNumber:
		p.advance()
		return operand{number: &numberNode{position(t.at), t.value}}
	case '!':
		if c == numberOnly {
			p.syntaxError()
		}
		p.advance()
		v := p.item(q, c.afterNot())
		v.node = &notNode{v.node}
		return v
	case tokName, tokIPv4, tokIPv6, tokMAC, tokARCnet:
		if !c.allowsID() && (t.kind == tokIPv4 || t.kind == tokIPv6) {
			p.lacks("a word such as host")
		}
		if !c.allowsID() {
			p.syntaxError()
		}
		return p.address(q)
	}
	if !c.allowsTerm() {
		p.lacksID(q)
	}
	switch t.kind {
	case '-', tokLen:
		return operand{arith: p.factor()}
	case tokProtocol:
		p.advance()
		if p.tok.kind == '[' {
			return operand{arith: p.load(t)}
		}
		return p.primitive(t.at, t.proto)
	}
	if n := p.special(); n != nil {
		return p.term(n)
	}
	return p.primitive(t.at, protoDefault)
}

// lacksID fails with a syntax error where an identifier must follow the qualifiers q.
func (p *parser) lacksID(q qualifiers) {
	if k := p.tok.kind; k < tokEnd && k != ')' || k == tokInvalid { // such as an operator
		p.syntaxError()
	}
	p.lacks(missingIDs[q.typ])
}

// group parses a parenthesis. Its kind is known after its first operand: a list of identifiers
// begins with one; a number may still begin a list or arithmetic; arithmetic ends without a
// relation; anything else is an expression.
func (p *parser) group(q qualifiers, c context) operand {
	p.expect('(')
	c = c.inParenthesis()
	v := p.firstOperand(q, c)
	if v.number != nil {
		if p.tok.kind == ')' {
			p.advance()
			return v
		}
		if c.allowsID() && (p.tok.kind == tokAnd || p.tok.kind == tokOr) {
			v = p.numberID(v.number, q)
		}
	}
	switch {
	case v.isID:
		v = p.idTail(v)
	case v.node != nil:
		v = p.tail(v)
		v.q = q
	case !c.allowsTerm():
		p.syntaxError()
	default:
		v = operand{arith: p.arithTail(v.arithmetic(), 0)}
		if p.tok.kind != ')' {
			v = p.tail(p.relation(v.arith))
			v.q = q
		}
	}
	p.expect(')')
	return v
}

// numberID returns a number as an identifier.
func (p *parser) numberID(n *numberNode, q qualifiers) operand {
	return p.identifier(&identNode{
		position: n.position, q: q, kind: tokNumber, num: n.value, bits: -1,
	})
}

// address parses an identifier that is not a number.
func (p *parser) address(q qualifiers) operand {
	t := p.advance()
	n := &identNode{position: position(t.at), q: q, kind: t.kind, text: t.text, bits: -1}
	switch {
	case p.tok.kind == '/' && (t.kind == tokIPv4 || t.kind == tokIPv6):
		p.advance()
		n.bits = int(p.expect(tokNumber).value)
	case p.tok.kind == tokMask && t.kind == tokIPv4:
		p.advance()
		n.mask = p.expect(tokIPv4).text
	}
	return p.identifier(n)
}

// primitive parses the rest of a primitive after its protocol, or one without a protocol:
// qualifiers and an identifier, or a keyword such as "broadcast", or nothing.
func (p *parser) primitive(at int, pr proto) operand {
	q := qualifiers{proto: pr, at: at}
	switch t := p.tok; t.kind {
	case tokBroadcast, tokMulticast:
		p.advance()
		return p.term(&castNode{position(at), pr, t.kind})
	case tokType, tokSubtype, tokDir:
		p.refuseWLAN()
	case tokProto:
		q.typ = addrProto
	case tokProtochain:
		q.typ = addrProtochain
	case tokGateway:
		q.typ = addrGateway
	case tokHost, tokNet, tokPort, tokPortrange:
		q.typ = addressTypes[t.kind]
	case tokSrc, tokDst, tokWLANAddr:
		p.direction(&q)
		if typ, ok := addressTypes[p.tok.kind]; ok {
			q.typ = typ
			p.advance()
		}
		return p.qualified(q)
	default:
		ends := t.kind == tokAnd || t.kind == tokOr || t.kind == ')' || t.kind == tokEnd
		if pr == protoDefault {
			p.lacksAtEnd("a condition")
		}
		if !ends {
			p.syntaxError()
		}
		return p.term(&protocolNode{position(at), pr})
	}
	p.advance()
	return p.qualified(q)
}

// qualified parses the identifier, or the list of identifiers, after qualifiers. The result is a
// term.
func (p *parser) qualified(q qualifiers) operand {
	v := p.item(q, idOnly)
	v.isID = false
	return v
}

var addressTypes = map[kind]addressType{
	tokHost: addrHost, tokNet: addrNet, tokPort: addrPort, tokPortrange: addrPortrange,
}

// direction parses "src", "dst", both combined by "and" or "or", or a keyword of 802.11.
func (p *parser) direction(q *qualifiers) {
	t := p.advance()
	if t.kind == tokWLANAddr {
		q.dir, q.wlan = dirWLAN, strings.Replace(t.text, "address", "addr", 1)
		return
	}
	q.dir = dirSrc
	other := tokDst
	if t.kind == tokDst {
		q.dir = dirDst
		other = tokSrc
	}
	switch p.tok.kind {
	case tokAnd:
		q.dir = dirAnd
	case tokOr:
		q.dir = dirOr
	default:
		return
	}
	p.advance()
	p.expect(other)
}

// relation parses a comparison operator and its right operand.
func (p *parser) relation(left arith) operand {
	t := p.tok
	switch t.kind {
	case '>', '<', '=', tokGE, tokLE, tokNE:
	default:
		p.lacksAtEnd("a comparison")
	}
	p.advance()
	right := p.arithmetic(0)
	return p.term(&relationNode{position(left.offset()), t.kind, left, right})
}

// precedence contains the operators that have one. "%" and "^" have none: their right operand is
// everything that follows, their left operand only the operand directly before them.
var precedence = map[kind]int{
	'|': 1, '&': 2, tokLsh: 3, tokRsh: 3, '+': 4, '-': 4, '*': 5, '/': 5,
}

const unaryPrecedence = 6

// atOperator reports whether the current token is an operator, so that the number before it is
// arithmetic.
func (p *parser) atOperator() bool {
	switch p.tok.kind {
	case '>', '<', '=', tokGE, tokLE, tokNE, '%', '^':
		return true
	}
	return precedence[p.tok.kind] > 0
}

// arithmetic parses operands combined by operators of at least the given precedence.
func (p *parser) arithmetic(least int) arith {
	defer p.nest()()
	return p.arithTail(p.factor(), least)
}

// arithTail is arithmetic after the first operand.
func (p *parser) arithTail(left arith, least int) arith {
	for {
		t := p.tok
		next := 0
		if t.kind != '%' && t.kind != '^' {
			prec, ok := precedence[t.kind]
			if !ok || prec < least {
				return left
			}
			next = prec + 1
		}
		p.advance()
		left = &binaryNode{position(t.at), t.kind, left, p.arithmetic(next)}
	}
}

// factor parses one operand of arithmetic.
func (p *parser) factor() arith {
	if p.tok.kind == tokEnd || p.tok.kind == ')' {
		p.lacks("a value")
	}
	t := p.advance()
	switch t.kind {
	case tokNumber:
		return &numberNode{position(t.at), t.value}
	case tokLen:
		return &lenNode{position(t.at)}
	case '-':
		return &negateNode{position(t.at), p.arithmetic(unaryPrecedence)}
	case tokProtocol:
		return p.load(t)
	case '(':
		n := p.arithmetic(0)
		p.expect(')')
		return n
	}
	fail(t.at, "syntax error")
	return nil
}

// load parses "[INDEX:SIZE]" after a protocol.
func (p *parser) load(t token) arith {
	p.expect('[')
	n := &loadNode{position: position(t.at), proto: t.proto, index: p.arithmetic(0), size: 1}
	if p.tok.kind == ':' {
		p.advance()
		n.size = p.expect(tokNumber).value
	}
	p.expect(']')
	return n
}
