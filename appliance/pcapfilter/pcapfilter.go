package pcapfilter

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/bpf"
)

// DefaultSnapLen is the default of Options.SnapLen, and that of tcpdump. It is larger than any
// frame.
const DefaultSnapLen = 262144

// Options are what the meaning of an expression depends on besides its text. With the zero
// Options an expression is compiled as tcpdump compiles it for a file of Ethernet frames,
// without a name server.
type Options struct {
	// Netmask is the IPv4 mask of the interface, which "ip broadcast" needs. nil means
	// 0.0.0.0, tcpdump's value for a file. 255.255.255.255 means that the mask is not
	// known; "ip broadcast" is then refused.
	Netmask net.IPMask

	// SnapLen is the number of bytes to keep of a matching frame, which the program
	// returns. 0 means DefaultSnapLen.
	SnapLen int

	// LookupHost resolves the name in "host NAME". The filter matches all addresses that
	// it returns. If it is nil, no host name is known. It is called by Compile only and
	// may block.
	LookupHost func(name string) ([]netip.Addr, error)

	// LookupEther resolves the name in "ether host NAME" (/etc/ethers). If it is nil, no
	// such name is known.
	LookupEther func(name string) (net.HardwareAddr, error)

	// LookupNet resolves the name in "net NAME" to the number of a network, such as
	// 10.0.0.0 (/etc/networks). If it is nil, only loopback and link-local are known.
	LookupNet func(name string) (netip.Addr, error)
}

// A Filter decides which frames an expression selects. It is immutable and safe for concurrent
// use.
type Filter struct {
	program []bpf.RawInstruction
	code    code // program, decoded for Match
}

// Compile compiles an expression in the language of pcap-filter(7) for Ethernet frames. The
// empty expression selects every frame. The error is always a *SyntaxError.
func Compile(expr string, opts Options) (*Filter, error) {
	program, err := compile(expr, opts)
	if err != nil {
		return nil, err
	}
	return &Filter{program: program, code: decode(program)}, nil
}

// Match reports whether the filter selects a frame. frame contains the captured bytes, from the
// Ethernet header on. wireLen is the length of the frame on the wire, to which "len", "less"
// and "greater" refer. Match does not allocate and does not retain frame.
//
// A frame that is too short for a byte that the program loads does not match, whatever the rest
// of the expression says: "not tcp" selects no frame of 10 bytes.
func (f *Filter) Match(frame []byte, wireLen int) bool {
	result, _ := run(f.code, frame, uint32(wireLen))
	return result != 0
}

// Program returns a copy of the compiled program in classic BPF. It can be attached to a
// socket that receives Ethernet frames.
func (f *Filter) Program() []bpf.RawInstruction {
	return append([]bpf.RawInstruction(nil), f.program...)
}

// A SyntaxError says why an expression cannot be compiled, and at which position.
type SyntaxError struct {
	Expr    string // the expression
	Offset  int    // byte offset of the fault in Expr; len(Expr) at its end
	Message string // that of libpcap if it has one: "syntax error", "unknown host 'x'"
	Missing string // what an unfinished expression lacks there, such as "an address"; may be ""
}

// Error returns the message alone.
func (e *SyntaxError) Error() string { return e.Message }

// Reason returns what Missing says, or the message if the expression is not just unfinished.
func (e *SyntaxError) Reason() string {
	if e.Missing != "" {
		return e.Missing + " is missing"
	}
	return strings.TrimSuffix(e.Message, ".")
}

// Column returns the position of Offset in characters, counted from 1.
func (e *SyntaxError) Column() int { return utf8.RuneCountInString(e.Expr[:e.Offset]) + 1 }

// Sentence returns a sentence for an administrator: "The filter is not valid at character 5:
// syntax error."
func (e *SyntaxError) Sentence() string {
	return fmt.Sprintf("The filter is not valid at character %d: %s.", e.Column(), e.Reason())
}

// Caret returns a line that points at Offset when it is shown below Expr.
func (e *SyntaxError) Caret() string {
	var b strings.Builder
	for _, r := range e.Expr[:e.Offset] {
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteByte('^')
	return b.String()
}

// compile runs the stages of the compiler.
func compile(expr string, opts Options) (_ []bpf.RawInstruction, err error) {
	defer func() {
		// The parser and the generator panic with a *SyntaxError.
		switch r := recover().(type) {
		case nil:
		case *SyntaxError:
			r.Expr = expr
			err = r
		default:
			panic(r)
		}
	}()
	g := newGenerator(opts)
	accept := &block{op: opRet, k: uint32(g.opts.SnapLen)}
	tree := parse(expr)
	if tree == nil {
		return assemble(accept), nil
	}
	root := g.condition(tree).build(accept, &block{op: opRet, k: 0})
	if !g.jumpsInside {
		root = optimize(root)
		if root.op == opRet && root.k == 0 {
			fail(0, "expression rejects all packets")
		}
	}
	return assemble(root), nil
}

// fail stops the compilation with an error.
func fail(offset int, message string) {
	panic(&SyntaxError{Offset: offset, Message: message})
}
