// Package pcapfilter is tcpdump's filter language: it compiles all of
// pcap-filter(7) for Ethernet frames to classic BPF, and runs such programs.
//
//	f, err := pcapfilter.Compile("tcp port 25 and not host 10.0.202.53", pcapfilter.Options{})
//	if err != nil {
//		return err // a *SyntaxError: what is wrong, and where
//	}
//	if f.Match(frame, wireLen) {
//
// It is a leaf: it imports nothing of ours, and of others only the type of a BPF
// instruction, so that a kernel may be given the same program (Filter.Program).
//
// # How an expression becomes a decision
//
//	lexer.go                text to tokens
//	parser*.go, tree.go     tokens to a tree
//	gen*.go, cond.go        the tree to conditions on a frame, in the order of the text
//	cond.go (build)         conditions to a graph of tests
//	optimize.go, flow.go, branches.go, values.go, peephole.go, merge.go
//	                        the graph to a shorter one
//	assemble.go, bpf.go     the graph to a program
//	print.go                the program as tcpdump -d prints it
//	vm.go                   the program and a frame to a decision
//	tables.go, protocols.go, services.go
//	                        words, numbers and names
//
// The parser and the generator give up by panicking with a *SyntaxError, which
// Compile returns.
//
// # What it is measured by
//
// The specification is libpcap 1.10.3, as Debian 12 has it, and not its manual
// page: a filter is refused with libpcap's words or compiled to libpcap's program,
// instruction for instruction. That is stricter than it sounds useful, but the only
// way to decide alike about every frame: a load beyond the captured bytes rejects
// the frame whatever the rest of the expression says, so which loads there are, and
// in which order, is a part of the meaning. "tcp port 25 or not tcp port 25"
// selects a frame cut off within its headers only because libpcap's optimiser
// finds that nothing need be looked at. testdata/filters.txt has every class of the
// manual page with what tcpdump did; further tests ask the real tcpdump and the
// Linux kernel where there are some.
//
// # Where libpcap differs from its manual page
//
//   - Where an identifier may stand alone it inherits the qualifiers of what stands
//     before, also across "not" and into parentheses; but after a primitive without
//     an identifier ("tcp or 80"), or after a parenthesis that begins the
//     expression, there is nothing to inherit.
//   - "%" and "^" have no precedence: all that follows is their right side, and they
//     bind to what stands directly before, so 7 % 2 + 3 is 7 % (2 + 3).
//   - "10-3" is a name, not a difference; numbers that begin with 0 are octal.
//   - "host 10" is 0.0.0.10 and "host 10.1" is the network 10.1.0.0/16; a range of
//     ports may be given backwards, or as one number; numbers of protocols are not
//     limited to a byte (and then match nothing).
//   - vlan, mpls, pppoes and geneve move where the rest of the text looks, over "or"
//     and out of parentheses too. Behind a label only ip and ip6 can be asked for,
//     for the rest of the expression.
//   - "port" and "tcp" look for IPv6 without extension headers, but "tcp", "proto"
//     and "ip6 proto" also behind one fragment header. tcp[0] asks for the protocol
//     so, but then reads what an IPv4 header would place there, and asks for IPv4.
//   - In arithmetic only the left operand's protocol is asked for: "1 + ip[0] = 3"
//     reads that byte of any frame.
//   - "byte 3 & 1" and "byte 3 | 1" forget to load the byte.
//   - "llc" excludes IPX without an LLC header; most service access points after
//     "ether proto" are compared with the destination's, those of IP, ISO and
//     NetBEUI with both.
//   - protochain loses its place behind an authentication header.
//   - "gateway" is always refused; so are inbound, outbound and ifindex, as on a
//     file, and the words of other link layers and of OpenBSD's packet filter.
//   - A store that the optimiser has removed may be taken for done (peephole.go).
//
// # Where this package differs from libpcap
//
//   - A program with a chain of headers that goes in a circle ends and rejects the
//     frame; libpcap never returns.
//   - Scratch memory is zero before a program has set it. In libpcap it holds what
//     the frame before has left ("not geneve and ip" reads such memory).
//   - A graph of more than 8192 tests (some 350 ports) is not optimised, which
//     changes decisions about incomplete frames only. Expressions that nest deeper
//     than 1000 levels or generate more than 32768 loads are refused.
//   - Names of services, protocols and networks come from tables built in, those of
//     a Debian system, and names of hosts only from the function in Options.
//   - Errors carry a place. "can't parse filter expression" is not put before
//     "syntax error".
//
// The kernel's machine differs from both in three things: it refuses programs that
// jump back (protochain) or may read memory that is not set, and "len" is the length
// of what it holds of the frame.
package pcapfilter
