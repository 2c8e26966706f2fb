// Package pcapfilter compiles tcpdump's filter language, as pcap-filter(7)
// describes it for Ethernet, to classic BPF, and runs such programs.
//
//	f, err := pcapfilter.Compile("tcp port 25 and not host 10.0.202.53", pcapfilter.Options{})
//	...
//	if f.Match(frame, wireLen) {
//
// The stages are a file or two each: lexer, parser (a tree, tree.go), gen (the tree
// to conditions on frames, cond.go), the graph of those laid out as a program
// (assemble.go), and vm, which runs it.
package pcapfilter
