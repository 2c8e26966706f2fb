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
	"github.com/esasim/esasim/appliance/network"
)

var _ = register(Kind{
	Name: "syslogd",
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

// What a SyslogServer keeps: the last connections, the beginning of what came on each,
// and the last records of all.
const (
	maxSyslogConnections = 200
	maxSyslogStream      = 64 << 10
	maxSyslogRecords     = 20000
	maxSyslogBytes       = 8 << 20
	maxSyslogLine        = 64 << 10 // what is longer is several records

	slowBuffer = 8 << 10
)

// A SyslogServer takes records by TCP, one a line, and by UDP, one a datagram; or in TLS.
// Its options make it misbehave: see syslogManners.
type SyslogServer struct {
	stream
	manners syslogManners
	life    context.Context // of its connections
	end     context.CancelFunc
	sockets []network.PacketConn
	own     []network.Conn // that fill the backlog

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
	more        chan struct{} // closed when total grows, and replaced
}

// A SyslogConnection is a connection as its server saw it.
type SyslogConnection struct {
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"`
	TLS    bool           `json:"tls,omitempty"`
	Data   []byte         `json:"-"` // its first 64 KiB
	Bytes  int64          `json:"bytes"`
	End    string         `json:"end"` // how it ended: "client", "reset", "close", ...; "" while it is open
}

func newSyslogServer(c Config) *SyslogServer {
	manners := syslogMannersOf(c)
	if manners.rate > 0 {
		c.receive = slowBuffer // so that who sends soon notices
	}
	s := &SyslogServer{stream: stream{config: c}, manners: manners, more: make(chan struct{})}
	s.serve = s.take
	return s
}

// Start listens on the host's addresses.
func (s *SyslogServer) Start(ctx context.Context) error {
	s.life, s.end = context.WithCancel(context.Background())
	s.sockets, s.own = nil, nil
	var err error
	switch {
	case s.manners.full:
		err = s.fillBacklog(ctx)
	case s.manners.protocol != "udp":
		err = s.stream.Start(ctx)
	}
	if err == nil && (s.manners.protocol == "" || s.manners.protocol == "udp") {
		err = s.listenPackets(ctx)
	}
	if err != nil {
		s.Stop()
	}
	return err
}

// Stop cuts the connections and waits for their goroutines.
func (s *SyslogServer) Stop() {
	if s.end != nil {
		s.end()
	}
	for _, c := range s.sockets {
		c.Close()
	}
	for _, c := range s.own {
		c.Abort()
	}
	s.stream.Stop()
}

func (s *SyslogServer) listenPackets(ctx context.Context) error {
	for _, a := range s.config.Addrs {
		c, err := s.config.Transport.ListenPacket(ctx, network.DialConfig{Local: netip.AddrPortFrom(a, s.config.Port), Owner: s.config.Name})
		if err != nil {
			return fmt.Errorf("%s: listen: %w", s.config.Name, err)
		}
		s.sockets = append(s.sockets, c)
		s.running.Go(func() { s.takePackets(c) })
	}
	return nil
}

func (s *SyslogServer) takePackets(c network.PacketConn) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.config.Logger.Error("a simulated server stopped listening", "server", s.config.Name, "error", err)
			}
			return
		}
		s.keep(string(bytes.TrimSuffix(buf[:n], []byte("\n"))))
	}
}

const (
	// fullBacklog is the shortest that there is.
	fullBacklog = 1
	// fillTries is far more than that takes.
	fillTries = 50
	// fillWait bounds one connection: who finds the queue full, as others came too, would
	// wait for long.
	fillWait = 100 * time.Millisecond
)

// fillBacklog listens, accepts nobody, and opens connections to itself until no more may
// wait: who comes then waits in vain.
func (s *SyslogServer) fillBacklog(ctx context.Context) error {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	s.stopped, s.listeners, s.conns = false, nil, nil
	for _, a := range s.config.Addrs {
		at := netip.AddrPortFrom(a, s.config.Port)
		l, err := s.config.Transport.Listen(ctx, network.ListenConfig{Addr: at, Backlog: fullBacklog, Owner: s.config.Name})
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
	return errors.New("it does not get full")
}

// isFull reports whether no more connections may wait at an address, whoever opened them.
// As many as the backlog and BSD's margin may (network.ListenConfig). The side that opened
// one believes in it a moment before the listener does.
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

// fill opens a connection that waits, if there is room.
func (s *SyslogServer) fill(ctx context.Context, at netip.AddrPort) error {
	short, cancel := context.WithTimeout(ctx, fillWait)
	defer cancel()
	c, err := s.config.Transport.Dial(short, network.DialConfig{Local: netip.AddrPortFrom(at.Addr(), 0), Remote: at, Owner: s.config.Name})
	switch {
	case err == nil:
		s.own = append(s.own, c)
	case ctx.Err() != nil || short.Err() == nil:
		return err
	}
	return nil
}

// take serves a connection.
func (s *SyslogServer) take(c network.Conn) {
	seen, number := s.begin(c)
	var in io.Reader = struct{ io.Reader }{c}
	if s.manners.protocol == "tls" {
		secure := tls.Server(c, s.tlsConfig())
		if err := secure.HandshakeContext(s.life); err != nil {
			s.finish(seen, "TLS: "+err.Error())
			return
		}
		in = secure
	}
	misbehaves := s.manners.misbehaves(number)
	if misbehaves && s.manners.records == 0 && s.manners.bytes == 0 {
		s.act(c, in, seen, nil)
		return
	}
	var line []byte
	records := 0
	buf := make([]byte, s.manners.chunk())
	for {
		n, err := in.Read(buf)
		line = s.lines(seen, line, buf[:n], &records)
		if misbehaves && s.manners.reached(records, seen.Bytes) {
			s.act(c, in, seen, line)
			return
		}
		if err != nil {
			if len(line) > 0 {
				s.keep(string(line)) // as rsyslogd does with what has no line end
			}
			s.finish(seen, ended(err))
			return
		}
		if lines := bytes.Count(buf[:n], []byte("\n")); s.manners.rate > 0 {
			_ = clock.System().Sleep(s.life, time.Duration(float64(lines)/s.manners.rate*float64(time.Second)))
		}
	}
}

// ended is the word for the end of a connection that was not the server's doing.
func ended(err error) string {
	if errors.Is(err, io.EOF) {
		return "client"
	}
	return err.Error()
}

// lines keeps the lines that data ends, and returns the beginning of the next one.
func (s *SyslogServer) lines(seen *SyslogConnection, line, data []byte, records *int) []byte {
	s.mu.Lock()
	seen.Bytes += int64(len(data))
	seen.Data = append(seen.Data, data[:min(len(data), maxSyslogStream-len(seen.Data))]...)
	s.mu.Unlock()
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			if line = append(line, data...); len(line) >= maxSyslogLine {
				s.keep(string(line))
				line = line[:0]
			}
			return line
		}
		s.keep(string(append(line, data[:i]...)))
		*records++
		line, data = line[:0], data[i+1:]
	}
}

// act does what the manners want. line is the beginning of the next one.
func (s *SyslogServer) act(c network.Conn, in io.Reader, seen *SyslogConnection, line []byte) {
	_ = clock.System().Sleep(s.life, s.manners.pause)
	switch s.manners.then {
	case "reset":
		c.Abort()
	case "half-close":
		_ = c.CloseWrite()
		records := 0
		buf := make([]byte, s.manners.chunk())
		for {
			n, err := in.Read(buf)
			line = s.lines(seen, line, buf[:n], &records)
			if err != nil {
				break
			}
		}
	case "stop-reading":
		<-s.life.Done()
	}
	s.finish(seen, s.manners.then)
}

// begin takes note of a connection, and counts it, from 1.
func (s *SyslogServer) begin(c network.Conn) (seen *SyslogConnection, number int) {
	client, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	seen = &SyslogConnection{Time: s.config.Clock.Now(), Client: client, TLS: s.manners.protocol == "tls"}
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

func (s *SyslogServer) finish(seen *SyslogConnection, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen.End = how
	s.open--
}

func (s *SyslogServer) keep(record string) {
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
	close(s.more)
	s.more = make(chan struct{})
}

// Records are the last that came, without line ends, in the order in which they came: at
// most 20000, of 8 MiB.
func (s *SyslogServer) Records() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// Total counts all records that came.
func (s *SyslogServer) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Open is the number of open TCP connections.
func (s *SyslogServer) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// Connections are the last 200 TCP connections, the oldest first.
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

// Await waits until n records have come since the beginning, and returns Records.
func (s *SyslogServer) Await(ctx context.Context, n int) ([]string, error) {
	for {
		s.mu.Lock()
		total, more := s.total, s.more
		s.mu.Unlock()
		if total >= n {
			return s.Records(), nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d records came: %w", total, n, context.Cause(ctx))
		}
	}
}

// A SyslogReport is what a SyslogServer tells of itself.
type SyslogReport struct {
	Taken       int                `json:"taken"` // records since the beginning
	Open        int                `json:"open"`  // connections
	Connections []SyslogConnection `json:"connections"`
	Records     []string           `json:"records"` // those that are still kept
}

// Report implements Reporter with a SyslogReport.
func (s *SyslogServer) Report() any {
	return SyslogReport{Taken: s.Total(), Open: s.Open(), Connections: s.Connections(), Records: s.Records()}
}
