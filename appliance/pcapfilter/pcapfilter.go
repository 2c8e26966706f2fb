package pcapfilter

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/bpf"
)

// DefaultSnapLen is what a program returns for a frame that matches when Options
// does not say otherwise: tcpdump's own default, larger than any frame.
const DefaultSnapLen = 262144

// Options is what an expression's meaning depends on besides its text. The zero
// Options compile as tcpdump does for a file of Ethernet frames, with no name
// server at hand.
type Options struct {
	// Netmask is the IPv4 mask of the interface, which "ip broadcast" needs.
	// None means 0.0.0.0, as tcpdump takes it for a file. 255.255.255.255 means
	// that it is not known, and "ip broadcast" is then refused.
	Netmask net.IPMask

	// SnapLen is how many bytes of a matching frame are to be kept: the value
	// that the program returns. 0 means DefaultSnapLen.
	SnapLen int

	// LookupHost resolves the name in "host NAME", every address of which is
	// checked for. Without it no host name is known. It is called from Compile
	// only and may block.
	LookupHost func(name string) ([]netip.Addr, error)

	// LookupEther resolves the name in "ether host NAME" (/etc/ethers). Without
	// it no such name is known.
	LookupEther func(name string) (net.HardwareAddr, error)

	// LookupNet resolves the name in "net NAME" to a network's number, such as
	// 10.0.0.0 (/etc/networks). Without it only loopback and link-local are known.
	LookupNet func(name string) (netip.Addr, error)
}

// A Filter decides which frames an expression selects. It is immutable and safe
// for concurrent use.
type Filter struct {
	program []bpf.RawInstruction
	code    code // program, decoded for Match
}

// Compile translates an expression in the language of pcap-filter(7) for Ethernet
// frames. The empty expression selects every frame. An error is a *SyntaxError.
func Compile(expr string, opts Options) (*Filter, error) {
	program, err := compile(expr, opts)
	if err != nil {
		return nil, err
	}
	return &Filter{program: program, code: decode(program)}, nil
}

// Match reports whether the filter selects a frame: frame holds the bytes that
// were captured, from the Ethernet header on, wireLen the length that the frame
// had on the wire (what "len", "less" and "greater" speak of). It allocates
// nothing and keeps nothing.
//
// A frame too short for a byte that the program looks at does not match, however
// the expression continues: "not tcp" selects no frame of 10 bytes.
func (f *Filter) Match(frame []byte, wireLen int) bool {
	result, _ := run(f.code, frame, uint32(wireLen))
	return result != 0
}

// Program returns a copy of the compiled program, in classic BPF: what a kernel
// takes for a socket of Ethernet frames.
func (f *Filter) Program() []bpf.RawInstruction {
	return append([]bpf.RawInstruction(nil), f.program...)
}

// A SyntaxError says why an expression does not compile, and where.
type SyntaxError struct {
	Expr    string // the expression
	Offset  int    // the byte in Expr where the trouble lies; len(Expr) at its end
	Message string // libpcap's wording where it has one: "syntax error", "unknown host 'x'"
}

// Error returns the message alone.
func (e *SyntaxError) Error() string { return e.Message }

// Column returns the position of Offset in characters, counted from 1.
func (e *SyntaxError) Column() int { return utf8.RuneCountInString(e.Expr[:e.Offset]) + 1 }

// Sentence returns a sentence for an administrator: "The filter is not valid at
// character 5: syntax error."
func (e *SyntaxError) Sentence() string {
	return fmt.Sprintf("The filter is not valid at character %d: %s.", e.Column(), strings.TrimSuffix(e.Message, "."))
}

// Caret returns a line that, shown below Expr, points at Offset.
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

// compile runs the stages one after the other.
func compile(expr string, opts Options) (_ []bpf.RawInstruction, err error) {
	defer func() {
		// The parser and the generator give up by panicking with a *SyntaxError.
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

// fail abandons the compilation.
func fail(offset int, message string) {
	panic(&SyntaxError{Offset: offset, Message: message})
}
