package network

import (
	"context"
	"io"
	"net"
	"net/netip"
)

// A Transport opens sockets.
type Transport interface {
	// Listen opens a TCP listener. The port is open when Listen returns.
	Listen(ctx context.Context, c ListenConfig) (Listener, error)
	// Dial opens a TCP connection. The end of ctx aborts the attempt and has no effect on
	// an established connection.
	Dial(ctx context.Context, c DialConfig) (Conn, error)
	// ListenPacket opens a UDP socket. If c.Remote is set, the socket is connected, and the
	// call that follows an ICMP "port unreachable" returns ECONNREFUSED.
	ListenPacket(ctx context.Context, c DialConfig) (PacketConn, error)
}

// A ReadReporter is a Transport that can tell more about TCP connections than TCP does. It is
// optional: callers find out with a type assertion.
type ReadReporter interface {
	// ReadByPeer returns how many of the bytes that were written to a connection the peer's
	// process has read at least. The connection is given by its addresses, and may have ended a
	// short time ago. ok is false if that is not known.
	ReadByPeer(local, remote netip.AddrPort) (n int64, ok bool)
}

// A Listener accepts connections. The connections that Accept returns are Conns.
type Listener interface {
	net.Listener
	// AcceptConn is like Accept, with the result's full type.
	AcceptConn() (Conn, error)
}

// A Server is a Listener that needs no goroutine while no client connects.
type Server interface {
	Listener
	// Serve calls handle for each connection, one after the other, until the listener is closed.
	// It returns immediately. While handle runs, the listener accepts nothing. Serve is called at
	// most once, instead of Accept. wait, which is called after Close, blocks until handle has
	// returned.
	Serve(handle func(Conn)) (wait func())
}

// A BacklogSetter is a Listener whose ListenConfig.Backlog can be changed.
type BacklogSetter interface {
	Listener
	SetBacklog(n int)
}

// A Conn is a TCP connection.
type Conn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	// SetLinger is like that of net.TCPConn: 0 makes Close send a reset.
	SetLinger(sec int) error
	// Abort resets the connection and closes it.
	Abort()
	// Acknowledged returns how many of the written bytes the peer's TCP has acknowledged.
	// After the end of the connection it returns the last value.
	Acknowledged() int64
	// AwaitAcknowledged blocks until n bytes have been acknowledged, or returns ctx's
	// cause. It does not notice the end of the connection: use Read for that.
	AwaitAcknowledged(ctx context.Context, n int64) error
}

// A RangeSender is a Conn that needs no buffer of the caller to send a part of a file.
type RangeSender interface {
	Conn
	// SendRange writes the n bytes of r that begin at off, and returns the number of bytes written.
	// It blocks as Write does. If r ends before, it returns a smaller number and io.EOF. Errors of r
	// are returned as they are; those of the connection are *net.OpError.
	SendRange(r io.ReaderAt, off, n int64) (sent int64, err error)
}

// A PacketConn is a UDP socket. Read and Write need a connected socket.
type PacketConn interface {
	net.PacketConn
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	RemoteAddr() net.Addr
}

// A ListenConfig describes a listener and the process that owns it.
type ListenConfig struct {
	// Addr is the local address. 0.0.0.0 listens on all IPv4 addresses, :: on all IPv6
	// ones. If the port is 0, the network chooses a free one.
	Addr netip.AddrPort
	// Backlog is the number of connections that may wait for Accept. A SYN beyond them,
	// and beyond the margin that BSD adds, is dropped. 0 means 10.
	Backlog int
	// MSS is the largest segment that peers are told to send (TCP_MAXSEG); 0 means the
	// largest that the link carries.
	MSS int
	// ReceiveBuffer is the number of received bytes that each connection holds for Read
	// (SO_RCVBUF), once the peer has used the window of the handshake; 0 means the host's
	// default.
	ReceiveBuffer int
	Owner         string // process name as tcpservices shows it: "hermes", "ginetd"
	User          string // "root", "pgsql", "nobody"
	// PID is the number of the process. Tables of processes are sorted by it.
	PID int
	// Workers are the users of further processes of the same name that accept from the
	// same socket, as nginx's workers do. Their numbers follow PID.
	Workers []string
	// Mapped makes a listener on 127.0.0.1 appear as an IPv4-mapped IPv6 address in tables
	// of processes, as that of a Java process does.
	Mapped bool
}

// A DialConfig describes a connection to open, or a UDP socket.
type DialConfig struct {
	Local     netip.AddrPort // zero: chosen by the route
	Remote    netip.AddrPort
	Interface string // send through this interface; "": chosen by the route
	Owner     string // process name
	User      string
	TTL       uint8 // 0: the stack's default
	Delay     bool  // leave Nagle's algorithm on
}

// A FrameSender is a network on which programs can send whole Ethernet frames, as those must that
// need a network before they have an address. It is optional: callers find out with a type
// assertion. Such programs receive by a Tap.
type FrameSender interface {
	// SendFrame sends an Ethernet frame through a physical interface. Taps, counters and faults see
	// it as any other frame. The network does not retain the frame. The error wraps ENXIO if there is
	// no such interface, ErrUnsupported if it has no Ethernet, EMSGSIZE if the frame is shorter than
	// a header or longer than the MTU allows, and ENETDOWN if the interface is down or has no
	// carrier.
	SendFrame(ifname string, frame []byte) error
}

// A CarrierWatcher is a network that tells when a cable is unplugged or plugged in, for programs that
// must notice a cable that was unplugged for a moment. It is optional: callers find out with a type
// assertion.
type CarrierWatcher interface {
	// WatchCarrier has changed called whenever a physical interface has lost its carrier or has it
	// again, until cancel is called; a call that has begun may still go on then. Inspector.Interfaces
	// says which of the two it is. changed must not block and must not call the network. The error
	// wraps ENXIO if there is no such interface, and ErrUnsupported if it has no Ethernet.
	WatchCarrier(ifname string, changed func()) (cancel func(), err error)
}
