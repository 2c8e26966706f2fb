package ether

// A SegmentReceiver finds the connections of a stack. The stack itself hands a TCP segment that
// arrives to a goroutine of its own. If a SegmentReceiver knows the segment's connection, the
// segment is processed on the pump instead, which saves two hand-overs between goroutines: of
// the segment, and of its acknowledgement. Segments that are delivered together are left to the
// stack: while there is much data, it is faster if several goroutines work.
type SegmentReceiver interface {
	// LockConnection locks the connection that a segment is for, so that the stack only queues
	// the segment. The headers of the segment, Ethernet to TCP, are h; the TCP header begins at
	// tcp. It returns nil if it does not know the connection.
	LockConnection(h []byte, tcp int) LockedConnection
}

// A LockedConnection is a connection of a stack whose segments are queued.
type LockedConnection interface {
	// ProcessSegments processes the queued segments and unlocks the connection.
	ProcessSegments()
}

// SetSegmentReceiver sets what finds the connections of the port's stack. It must be called
// before anything is transmitted.
func (p *Port) SetSegmentReceiver(r SegmentReceiver) { p.link.receiver = r }

// lockConnection locks the connection of a frame that arrives, if it has one. The result may be
// empty.
func (l *link) lockConnection(frame []byte) lockedConnection {
	if l.receiver == nil {
		return lockedConnection{}
	}
	tcp, data, ok := findTCP(frame)
	if !ok {
		return lockedConnection{}
	}
	return lockedConnection{l.receiver.LockConnection(frame[:data:data], tcp)}
}

// A lockedConnection is a LockedConnection or nil.
type lockedConnection struct{ LockedConnection }

func (c lockedConnection) unlock() {
	if c.LockedConnection != nil {
		c.ProcessSegments()
	}
}
