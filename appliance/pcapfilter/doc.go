// Package pcapfilter implements tcpdump's filter language: it compiles all of pcap-filter(7)
// for Ethernet frames to classic BPF, and runs such programs.
//
//	f, err := pcapfilter.Compile("tcp port 25 and not host 10.0.202.53", pcapfilter.Options{})
//	if err != nil {
//		return err // a *SyntaxError: the fault and its position
//	}
//	if f.Match(frame, wireLen) {
//
// The package is a leaf: it imports no other package of the project, and from elsewhere only
// the type of a BPF instruction, so that a kernel can be given the same program
// (Filter.Program).
//
// # Terms
//
// An expression consists of primitives ("tcp port 25") that are combined by "and", "or" and
// "not". A primitive consists of qualifiers ("tcp port") and an identifier ("25"). A block is
// a node of the program's graph: statements, then a comparison that leads to one of two other
// blocks. An atom is a place that holds a value: the accumulator, the index register X, or one
// of the 16 words of scratch memory.
//
// # From an expression to a decision
//
//	lexer.go                text to tokens
//	parser*.go, tree.go     tokens to a tree
//	gen*.go, cond.go        the tree to conditions on a frame, in the order of the text
//	cond.go (build)         conditions to a graph of blocks
//	optimize.go, flow.go, branches.go, values.go, peephole.go, merge.go
//	                        the graph to a shorter one
//	assemble.go, bpf.go     the graph to a program
//	print.go                the program as tcpdump -d prints it
//	vm.go                   the program and a frame to a decision
//	tables.go, protocols.go, services.go
//	                        keywords, numbers and names
//
// The parser and the generator stop at an error by panicking with a *SyntaxError, which
// Compile recovers and returns.
//
// # The specification
//
// The specification is libpcap 1.10.3, as in Debian 12, and not its manual page: a filter is
// refused with libpcap's message or compiled to libpcap's program, instruction by instruction.
// That is strict, but it is the only way to decide the same about every frame. A load beyond
// the captured bytes rejects the frame, whatever the rest of the expression says; so the loads
// of a program and their order are part of its meaning. "tcp port 25 or not tcp port 25", for
// example, selects a frame that ends within its headers only because libpcap's optimizer finds
// that the program need not load anything. testdata/filters.txt contains filters of every
// section of the manual page with tcpdump's results. Further tests compare with the real
// tcpdump and with the Linux kernel where they are available.
//
// # Where libpcap differs from its manual page
//
//   - An identifier without qualifiers inherits those of the primitive before it, also across
//     "not" and into parentheses. After a primitive without an identifier ("tcp or 80"), or
//     after a parenthesis at the beginning of the expression, there is nothing to inherit.
//   - "%" and "^" have no precedence: everything after them is their right operand, and the
//     number directly before them their left one, so 7 % 2 + 3 is 7 % (2 + 3).
//   - "10-3" is a name, not a difference. Numbers that begin with 0 are octal.
//   - "host 10" is 0.0.0.10 and "host 10.1" is the network 10.1.0.0/16. A range of ports may be
//     given backwards, or as one number. Numbers of protocols may exceed a byte, and then match
//     nothing.
//   - vlan, mpls, pppoes and geneve change the offsets for all of the text that follows, across
//     "or" and out of parentheses. After an MPLS label, the rest of the expression can match ip
//     and ip6 only.
//   - "port" and "tcp" expect IPv6 without extension headers, but "tcp", "proto" and "ip6 proto"
//     also match after one fragment header. tcp[0] tests for the protocol in this way too, but
//     then reads the offset that applies to IPv4, and requires IPv4.
//   - In arithmetic only the protocol of the left operand is tested: "1 + ip[0] = 3" reads that
//     byte of any frame.
//   - "byte 3 & 1" and "byte 3 | 1" do not load the byte.
//   - "llc" excludes IPX without an LLC header. Most service access points after "ether proto"
//     are compared with the destination's; those of IP, ISO and NetBEUI with both.
//   - protochain continues at a wrong offset after an authentication header.
//   - "gateway" is always refused. So are inbound, outbound and ifindex, as for a file, and the
//     primitives of other link layers and of OpenBSD's packet filter.
//   - A store that the optimizer has removed may be taken for executed (peephole.go).
//
// # Where this package differs from libpcap
//
//   - If a chain of headers is circular, a program ends and rejects the frame; libpcap never
//     returns.
//   - Scratch memory is zero until a program sets it. In libpcap it contains the values of the
//     previous frame ("not geneve and ip" reads such memory).
//   - A graph of more than 8192 blocks (some 350 ports) is not optimized. This changes decisions
//     about incomplete frames only. Expressions that nest deeper than 1000 levels or generate
//     more than 32768 loads are refused.
//   - Names of services, protocols and networks come from built-in tables, which are those of a
//     Debian system. Host names are resolved only by the function in Options.
//   - Errors have a position. "syntax error" is not preceded by "can't parse filter expression".
//
// The kernel's BPF machine differs from both in three ways: it refuses programs that jump
// backwards (protochain) or may read memory that was not set, and "len" is the length of the
// captured bytes.
package pcapfilter
