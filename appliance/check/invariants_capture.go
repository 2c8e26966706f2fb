package check

// captureInvariants are about captures and what the record says of them.
func captureInvariants() []Invariant {
	return []Invariant{{
		Name: "frames-belong",
		Sentence: "Every TCP segment and UDP datagram of the appliance in a capture belongs to a " +
			"recorded connection, refusal, socket or probe.",
		check: checkFramesBelong,
	}, {
		Name: "connections-show",
		Sentence: "Every connection that was opened, refused or closed while a capture " +
			"without a filter ran on its interface is in that capture, with all acknowledged bytes.",
		check: checkConnectionsShow,
	}, {
		Name: "bytes-agree",
		Sentence: "A connection that a capture shows from SYN to FIN has sent as many bytes as the record " +
			"says, and its process has received no more than the capture shows.",
		check: checkBytes,
	}, {
		Name:     "captures-are-whole",
		Sentence: "A capture has as many frames and bytes as the record says, and its times do not decrease.",
		check:    checkCapturesWhole,
	}}
}

// sides returns the addresses of a frame, the appliance's first. ok is false if the appliance is
// neither its source nor its destination.
func (s *story) sides(f *Frame) (p pair, out, ok bool) {
	if s.own[f.src.Addr()] {
		return pair{f.src, f.dst}, true, true
	}
	if s.own[f.dst.Addr()] {
		return pair{f.dst, f.src}, false, true
	}
	return pair{}, false, false
}

func checkFramesBelong(s *story, report reportFunc) {
	for _, c := range s.captures {
		for _, f := range c.Frames {
			p, _, ok := s.sides(f)
			switch {
			case !ok:
			case f.kind == kindTCP && !s.probes[probeKey{"tcp", p}] && len(s.byPair[p]) == 0 && !s.hasSocket("tcp", p):
				report([]Witness{c.witness(f), nowhere(s.run.Record.Name, "no connection between these addresses")},
					"a segment belongs to no recorded connection")
			case f.kind == kindUDP && !s.hasSocket("udp", p) && !s.refused[p]:
				report([]Witness{c.witness(f), nowhere(s.run.Record.Name, "no socket with these addresses")},
					"a datagram belongs to no recorded socket")
			}
		}
	}
}

// hasSocket reports whether there was a socket of a protocol for datagrams, or a listener, to which
// packets with these addresses belong.
func (s *story) hasSocket(protocol string, p pair) bool {
	for _, x := range s.sockets[portKey{protocol, p.local.Port()}] {
		if (x.local.Addr() == p.local.Addr() || x.local.Addr().IsUnspecified()) &&
			(!x.remote.IsValid() || x.remote.Port() == 0 || x.remote == p.remote) {
			return true
		}
	}
	return s.probes[probeKey{protocol, p}]
}

// covers reports whether a capture, which the record knows, shows all frames of an interface.
func (c *captured) covers(name string) bool {
	if c.ended == nil || !c.ended.is("whole") || c.started.text("filter") != "" {
		return false
	}
	on := c.started.texts("interfaces")
	return len(on) == 0 || contains(on, name)
}

// during reports whether both events happened while the capture ran.
func (c *captured) during(a, b *Event) bool {
	return before(c.started, a) && b != nil && before(b, c.stopping)
}

func checkConnectionsShow(s *story, report reportFunc) {
	for _, c := range s.captures {
		if c.started == nil {
			continue
		}
		flows := c.flows(s)
		for _, a := range s.attempts {
			if a.failed != nil && a.failed.Kind == "connection.refused" && a.started != nil && c.coversAll() &&
				a.pair.local.IsValid() && !s.isLocal(a.pair) && c.during(a.started, a.failed) &&
				flows[a.pair].syns == 0 {
				report(append(s.witnesses(a.failed), nowhere(c.Name, "no SYN between these addresses")),
					"a connection was refused, but the capture does not show it")
			}
			if a.opened == nil || s.isLocal(a.pair) || !c.covers(a.opened.text("interface")) {
				continue
			}
			if a.started != nil && c.during(a.started, a.opened) && flows[a.pair].syns == 0 {
				report(append(s.witnesses(a.opened), nowhere(c.Name, "no SYN between these addresses")),
					"a connection was opened, but the capture does not show it")
				continue
			}
			if !c.during(a.opened, a.closed) {
				continue
			}
			x := flows[a.pair]
			if n := a.closed.number("acknowledged"); x.single && x.out.length() < n {
				report(append(s.witnesses(a.closed), nowhere(c.Name, "%d bytes from %v to %v", x.out.length(),
					a.pair.local, a.pair.remote)),
					"%d bytes were acknowledged, but the capture shows %d", n, x.out.length())
			}
		}
	}
}

func checkBytes(s *story, report reportFunc) {
	for _, c := range s.captures {
		flows := c.flows(s)
		for _, a := range s.attempts {
			x := flows[a.pair]
			if a.closed == nil || !x.single {
				continue
			}
			if n, known := x.outEnds.bytes(); known && n != a.closed.number("sent") {
				report(append(s.witnesses(a.closed), nowhere(c.Name, "%d bytes from %v to %v", n,
					a.pair.local, a.pair.remote)), "the process has sent %d bytes, and the capture shows %d",
					a.closed.number("sent"), n)
			}
			if n, known := x.inEnds.bytes(); known && n < a.closed.number("received") {
				report(append(s.witnesses(a.closed), nowhere(c.Name, "%d bytes from %v to %v", n,
					a.pair.remote, a.pair.local)), "the process has received %d bytes, and the capture shows %d",
					a.closed.number("received"), n)
			}
		}
	}
}

func checkCapturesWhole(s *story, report reportFunc) {
	for _, c := range s.captures {
		var last *Frame
		for _, f := range c.Frames {
			if last != nil && f.Time.Before(last.Time) && !s.clockSet {
				report([]Witness{c.witness(last), c.witness(f)}, "a frame is earlier than the one before it")
			}
			last = f
		}
		if c.ended != nil && int64(len(c.Frames)) > c.ended.number("packets") {
			report(append(s.witnesses(c.ended), nowhere(c.Name, "%d frames", len(c.Frames))),
				"the capture had %d frames when it ended", c.ended.number("packets"))
			continue
		}
		if c.ended == nil || !c.ended.is("whole") {
			continue
		}
		if n := c.ended.number("packets"); n != int64(len(c.Frames)) {
			report(append(s.witnesses(c.ended), nowhere(c.Name, "%d frames", len(c.Frames))),
				"the capture had %d frames when it ended", n)
		}
		if n := c.ended.number("size"); n != 0 && n != c.Size {
			report(append(s.witnesses(c.ended), nowhere(c.Name, "%d bytes", c.Size)),
				"the capture had %d bytes when it ended", n)
		}
	}
}

// A flow is what a capture shows of the connections between two addresses.
type flow struct {
	syns    int  // SYNs without ACK, without retransmissions
	single  bool // all frames are of one connection, whose SYN is in the capture
	out, in spans

	outEnds, inEnds ends
}

// ends are the beginning and the end of one direction of a connection.
type ends struct {
	syn, fin       uint32
	hasSYN, hasFIN bool
}

// bytes returns the number of bytes between SYN and FIN, if both were seen.
func (e ends) bytes() (n int64, known bool) {
	return int64(e.fin - e.syn - 1), e.hasSYN && e.hasFIN
}

// flows returns what a capture shows of each connection.
func (c *captured) flows(s *story) map[pair]flow {
	all := make(map[pair]*flow)
	isns := make(map[pair]uint32)
	for _, f := range c.Frames {
		p, out, ok := s.sides(f)
		if !ok || f.kind != kindTCP {
			continue
		}
		x := all[p]
		if x == nil {
			x = &flow{}
			all[p] = x
		}
		if f.tcp.flags&(flagSYN|flagACK) == flagSYN {
			if isn, known := isns[p]; !known || isn != f.tcp.seq {
				x.syns++
				isns[p] = f.tcp.seq
			}
		}
		way, end := &x.in, &x.inEnds
		if out {
			way, end = &x.out, &x.outEnds
		}
		seq := f.tcp.seq
		if f.tcp.flags&flagSYN != 0 {
			end.syn, end.hasSYN = seq, true
			seq++
		}
		if f.tcp.flags&flagFIN != 0 {
			end.fin, end.hasFIN = seq+uint32(f.length), true
		}
		way.add(seq, f.length)
	}
	out := make(map[pair]flow, len(all))
	for p, x := range all {
		x.single = x.syns == 1 && len(s.byPair[p]) == 1
		out[p] = *x
	}
	return out
}
