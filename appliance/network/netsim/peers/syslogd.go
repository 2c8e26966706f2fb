package peers

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// SyslogKind is the type of syslog servers in a topology.
const SyslogKind = "syslogd"

var _ = register(Kind{
	Name: SyslogKind, Title: "a syslog server",
	Port: 514,
	Options: map[string]func(string) error{
		"protocol": checkSyslogProtocol,
		"after":    checkAfter,
		"then":     checkThen,
		"pause":    checkDelay,
		"times":    checkCount,
		"rate":     checkRate,
		"backlog":  checkBacklog,
		"mss":      checkSegment,
		"names":    checkCertificateNames,
		"ca":       checkAuthority,
	},
	New: func(c Config) Peer { return newSyslogServer(c) },
})

// Bounds of what a SyslogServer stores: the latest connections, the beginning of the data of
// each, and the latest records of all.
const (
	maxSyslogConnections = 200
	maxSyslogStream      = 64 << 10
	maxSyslogRecords     = 20000
	maxSyslogBytes       = 8 << 20
	maxSyslogLine        = 64 << 10 // a longer line counts as several records

	slowBuffer = 8 << 10
)

// A SyslogServer accepts records over TCP or TLS, one in a line, and over UDP, one in a
// datagram. Its options make it misbehave, see syslogBehavior.
type SyslogServer struct {
	stream
	behavior    syslogBehavior
	connCtx     context.Context // of its connections
	cancelConns context.CancelFunc
	sockets     []network.PacketConn
	fillers     []network.Conn // connections that fill the backlog

	certify     sync.Once
	certificate *tls.Certificate
	certifyErr  error

	mu          sync.Mutex
	accepted    int
	open        int
	connections []*SyslogConnection
	records     []string
	bytes       int
	total       int
	changed     chan struct{} // closed and replaced when total grows
}

// A SyslogConnection describes a connection from the server's side.
type SyslogConnection struct {
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	TLS    bool           `json:"tls,omitempty"`
	Data   []byte         `json:"-"` // the first 64 KiB
	Bytes  int64          `json:"bytes"`
	// End says how it ended: "client", "reset", "close", ...; "" while the connection is open.
	End string `json:"end"`
}

func newSyslogServer(c Config) *SyslogServer {
	manners := syslogBehaviorOf(c)
	if manners.rate > 0 {
		c.receive = slowBuffer // so that the client soon meets a closed window
	}
	s := &SyslogServer{stream: stream{config: c}, behavior: manners, changed: make(chan struct{})}
	s.serve = s.serveConn
	return s
}

// Eager implements Eager: to fill its backlog, the server connects to itself.
func (s *SyslogServer) Eager() bool { return s.behavior.full }

// Start listens on the host's addresses.
func (s *SyslogServer) Start(ctx context.Context) error {
	s.connCtx, s.cancelConns = context.WithCancel(context.Background())
	s.sockets, s.fillers = nil, nil
	var err error
	switch {
	case s.behavior.full:
		err = s.fillBacklog(ctx)
	case s.behavior.protocol != "udp":
		err = s.stream.Start(ctx)
	}
	if err == nil && (s.behavior.protocol == "" || s.behavior.protocol == "udp") {
		err = s.listenPackets(ctx)
	}
	if err != nil {
		s.Stop()
	}
	return err
}

// Stop resets the connections and waits for their goroutines.
func (s *SyslogServer) Stop() {
	if s.cancelConns != nil {
		s.cancelConns()
	}
	for _, c := range s.sockets {
		c.Close()
	}
	for _, c := range s.fillers {
		c.Abort()
	}
	s.stream.Stop()
}

func (s *SyslogServer) listenPackets(ctx context.Context) error {
	for _, a := range s.config.Addrs {
		c, err := s.config.Transport.ListenPacket(ctx,
			network.DialConfig{Local: netip.AddrPortFrom(a, s.config.Port), Owner: s.config.Name})
		if err != nil {
			return fmt.Errorf("%s: listen: %w", s.config.Name, err)
		}
		s.sockets = append(s.sockets, c)
		s.running.Go(func() { s.servePackets(c) })
	}
	return nil
}

func (s *SyslogServer) servePackets(c network.PacketConn) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.config.Logger.Error("a simulated server cannot receive any more",
					"server", s.config.Name, "error", err)
			}
			return
		}
		s.store(string(bytes.TrimSuffix(buf[:n], []byte("\n"))))
	}
}

const (
	// fullBacklog is the shortest possible backlog.
	fullBacklog = 1
	// fillTries bounds the attempts to fill the backlog. It takes far fewer.
	fillTries = 50
	// fillWait bounds one attempt to connect. If other clients have filled the queue
	// meanwhile, the attempt would otherwise last until TCP gives up.
	fillWait = 100 * time.Millisecond
)

// fillBacklog listens without accepting, and opens connections to itself until the queue is
// full. New connections of clients then time out.
func (s *SyslogServer) fillBacklog(ctx context.Context) error {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	s.stopped, s.listeners, s.conns = false, nil, nil
	for _, a := range s.config.Addrs {
		at := netip.AddrPortFrom(a, s.config.Port)
		l, err := s.config.Transport.Listen(ctx,
			network.ListenConfig{Addr: at, Backlog: fullBacklog, Owner: s.config.Name})
		if err != nil {
			return fmt.Errorf("%s: listen: %w", s.config.Name, err)
		}
		s.listeners = append(s.listeners, l)
		if err := s.fillQueue(ctx, at); err != nil {
			return fmt.Errorf("%s: fill the queue of connections: %w", s.config.Name, err)
		}
	}
	return nil
}

func (s *SyslogServer) fillQueue(ctx context.Context, at netip.AddrPort) error {
	for range fillTries {
		if full, err := s.isFull(at); full || err != nil {
			return err
		}
		if err := s.fill(ctx, at); err != nil {
			return err
		}
	}
	return errors.New("the queue does not fill up")
}

// isFull reports whether the listener's queue at an address is full, no matter which clients
// opened the connections in it. The queue holds the backlog and BSD's margin
// (network.ListenConfig). It asks the listener, because the client's side considers a
// connection established a moment earlier.
func (s *SyslogServer) isFull(at netip.AddrPort) (bool, error) {
	tables, ok := s.config.Transport.(interface {
		Sockets() ([]network.Socket, error)
	})
	if !ok {
		return false, errors.ErrUnsupported
	}
	sockets, err := tables.Sockets()
	return slices.ContainsFunc(sockets, func(x network.Socket) bool {
		return x.State == "LISTEN" && x.Local == at && x.QLen > x.MaxQLen*3/2
	}), err
}

// fill opens one connection, which stays in the queue. If the queue is full, fill does nothing.
func (s *SyslogServer) fill(ctx context.Context, at netip.AddrPort) error {
	short, cancel := context.WithTimeout(ctx, fillWait)
	defer cancel()
	c, err := s.config.Transport.Dial(short,
		network.DialConfig{Local: netip.AddrPortFrom(at.Addr(), 0), Remote: at, Owner: s.config.Name})
	switch {
	case err == nil:
		s.fillers = append(s.fillers, c)
	case ctx.Err() != nil || short.Err() == nil:
		return err
	}
	return nil
}

// serveConn serves a connection.
func (s *SyslogServer) serveConn(c network.Conn) {
	seen, number := s.openConnection(c)
	var in io.Reader = struct{ io.Reader }{c}
	if s.behavior.protocol == "tls" {
		secure := tls.Server(c, s.tlsConfig())
		if err := secure.HandshakeContext(s.connCtx); err != nil {
			s.closeConnection(seen, "TLS: "+err.Error())
			return
		}
		in = secure
	}
	misbehaves := s.behavior.misbehaves(number)
	if misbehaves && s.behavior.records == 0 && s.behavior.bytes == 0 {
		s.misbehave(c, in, seen, nil)
		return
	}
	var line []byte
	records := 0
	buf := make([]byte, s.behavior.chunk())
	for {
		n, err := in.Read(buf)
		line = s.lines(seen, line, buf[:n], &records)
		if misbehaves && s.behavior.reached(records, seen.Bytes) {
			s.misbehave(c, in, seen, line)
			return
		}
		if err != nil {
			if len(line) > 0 {
				s.store(string(line)) // like rsyslogd, which accepts a last line without its end
			}
			s.closeConnection(seen, ended(err))
			return
		}
		if lines := bytes.Count(buf[:n], []byte("\n")); s.behavior.rate > 0 {
			_ = clock.System().Sleep(s.connCtx,
				time.Duration(float64(lines)/s.behavior.rate*float64(time.Second)))
		}
	}
}

// ended returns the text for the end of a connection that the server did not end.
func ended(err error) string {
	if errors.Is(err, io.EOF) {
		return "client"
	}
	return err.Error()
}

// lines stores the lines that data completes, and returns the beginning of the next line.
func (s *SyslogServer) lines(seen *SyslogConnection, line, data []byte, records *int) []byte {
	s.mu.Lock()
	seen.Bytes += int64(len(data))
	seen.Data = append(seen.Data, data[:min(len(data), maxSyslogStream-len(seen.Data))]...)
	s.mu.Unlock()
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			if line = append(line, data...); len(line) >= maxSyslogLine {
				s.store(string(line))
				line = line[:0]
			}
			return line
		}
		s.store(string(append(line, data[:i]...)))
		*records++
		line, data = line[:0], data[i+1:]
	}
}

// misbehave ends or blocks the connection as the behavior says. line is the beginning of the
// next line.
func (s *SyslogServer) misbehave(c network.Conn, in io.Reader, seen *SyslogConnection, line []byte) {
	_ = clock.System().Sleep(s.connCtx, s.behavior.pause)
	switch s.behavior.then {
	case "reset":
		c.Abort()
	case "half-close":
		_ = c.CloseWrite()
		records := 0
		buf := make([]byte, s.behavior.chunk())
		for {
			n, err := in.Read(buf)
			line = s.lines(seen, line, buf[:n], &records)
			if err != nil {
				break
			}
		}
	case "stop-reading":
		<-s.connCtx.Done()
	}
	s.closeConnection(seen, s.behavior.then)
}

// openConnection records a new connection and returns its number, counted from 1.
func (s *SyslogServer) openConnection(c network.Conn) (seen *SyslogConnection, number int) {
	client, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	seen = &SyslogConnection{Time: s.config.Clock.Now(), Client: client, TLS: s.behavior.protocol == "tls"}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
	s.open++
	s.connections = append(s.connections, seen)
	if len(s.connections) > maxSyslogConnections {
		s.connections = slices.Delete(s.connections, 0, 1)
	}
	return seen, s.accepted
}

func (s *SyslogServer) closeConnection(seen *SyslogConnection, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen.End = how
	s.open--
}

func (s *SyslogServer) store(record string) {
	events.Publish(s.config.Events, 0, SyslogReceived{s.config.Name, s.keep(record), record})
}

// keep stores a record and returns its number.
func (s *SyslogServer) keep(record string) (number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	s.bytes += len(record)
	s.records = append(s.records, record)
	drop := 0
	for len(s.records)-drop > maxSyslogRecords || s.bytes > maxSyslogBytes && drop < len(s.records)-1 {
		s.bytes -= len(s.records[drop])
		drop++
	}
	if drop > 0 {
		s.records = s.records[drop:]
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return s.total
}

// Records returns the latest records without line ends, in the order of their arrival: at
// most 20000, with at most 8 MiB.
func (s *SyslogServer) Records() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// Total returns the number of all records received.
func (s *SyslogServer) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// After returns the stored records that follow record number n, and the number of all records
// received. changed is closed when another record arrives.
func (s *SyslogServer) After(n int) (records []string, total int, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.total - len(s.records) // the number of records that are no longer stored
	return slices.Clone(s.records[min(max(n-first, 0), len(s.records)):]), s.total, s.changed
}

// Open returns the number of open TCP connections.
func (s *SyslogServer) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// Connections returns the latest 200 TCP connections, oldest first.
func (s *SyslogServer) Connections() []SyslogConnection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []SyslogConnection
	for _, c := range s.connections {
		seen := *c
		seen.Data = slices.Clone(c.Data)
		all = append(all, seen)
	}
	return all
}

// Await blocks until n records have been received since the start, and returns Records.
func (s *SyslogServer) Await(ctx context.Context, n int) ([]string, error) {
	for {
		s.mu.Lock()
		total, more := s.total, s.changed
		s.mu.Unlock()
		if total >= n {
			return s.Records(), nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d records have arrived: %w", total, n, context.Cause(ctx))
		}
	}
}

// A SyslogReport is the report of a SyslogServer.
type SyslogReport struct {
	Taken       int                `json:"taken"` // records since the start
	Open        int                `json:"open"`  // number of open connections
	Connections []SyslogConnection `json:"connections"`
	Records     []string           `json:"records"` // those that are still stored
}

// Report implements Reporter. It returns a SyslogReport.
func (s *SyslogServer) Report() any {
	return SyslogReport{Taken: s.Total(), Open: s.Open(), Connections: s.Connections(), Records: s.Records()}
}
