package door

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// An FTP is a NAT helper (RFC 959, RFC 2428). It reads the control connection and leads
// the data connections through the door:
//
//   - Replies 227 and 229 name a port of the appliance. The door listens on the address
//     to which the client connected, and replaces the port in the reply by its own. Only
//     connections from the client's address are accepted there.
//   - A PORT or EPRT command that names the client's own address and an unprivileged port
//     gets the address of the simulated client instead. There the door listens for the
//     appliance, and then dials the client. A command with any other address passes
//     unchanged, so that the FTP server refuses it as it would in a real network.
type FTP struct {
	// PassiveLow to PassiveHigh are the real ports for passive connections. If both are
	// zero, any port is used.
	PassiveLow, PassiveHigh uint16
	// Public is the IPv4 address that replies 227 name. If it is invalid, they name the
	// address to which the client connected.
	Public netip.Addr
}

const (
	// dataTimeout is how long a listener waits for its data connection.
	dataTimeout = time.Minute
	// servicePorts is the first port that PORT and EPRT may name: lower ports belong to
	// services.
	servicePorts = 1024
)

// A session is one control connection.
type session struct {
	*FTP
	front     *Front
	outside   *net.TCPConn
	client    netip.Addr     // real
	simulated netip.Addr     // the address of the simulated client
	server    netip.AddrPort // the appliance

	mu             sync.Mutex
	cancelListener func() // closes the listener that waits for a data connection; nil if none does
}

// relay serves a control connection until it ends.
func (f *FTP) relay(front *Front, outside *net.TCPConn, inside network.Conn, simulated netip.Addr,
	server netip.AddrPort) {
	if err := inlineUrgent(outside); err != nil {
		front.Logger.Warn("urgent data of a client will be lost", "door", front.Name, "error", err)
	}
	s := &session{FTP: f, front: front, outside: outside,
		client: realAddr(outside.RemoteAddr()).Addr(), simulated: simulated, server: server}
	commands := lineEditor{words: []string{"PORT ", "EPRT "}, change: s.command}
	replies := lineEditor{words: []string{"227 ", "229 "}, change: s.reply}
	front.splice(outside, inside, commands.edit, replies.edit)
	s.replaceListener(nil)
}

// replaceListener closes the listener that waits for a data connection, if there is one, and
// stores the function that closes the next one.
func (s *session) replaceListener(cancel func()) {
	s.mu.Lock()
	previous := s.cancelListener
	s.cancelListener = cancel
	s.mu.Unlock()
	if previous != nil {
		previous()
	}
}

// reply rewrites a line from the server.
func (s *session) reply(line []byte) []byte {
	var port uint16
	var start, end int
	if bytes.HasPrefix(line, []byte("227 ")) {
		ap, i, j, ok := parseSix(line)
		if !ok || ap.Addr() != s.server.Addr() {
			return line
		}
		port, start, end = ap.Port(), i, j
	} else {
		p, i, j, ok := parseExtendedPort(line)
		if !ok {
			return line
		}
		port, start, end = p, i, j
	}
	here, err := s.passive(netip.AddrPortFrom(s.server.Addr(), port))
	if err != nil {
		s.front.Logger.Warn("no port can be opened for a passive data connection",
			"door", s.front.Name, "error", err)
		return []byte("425 Cannot open a data connection.\r\n")
	}
	text := strconv.Itoa(int(here.Port()))
	if line[2] == '7' {
		text = formatSix(here)
	}
	return fmt.Appendf(nil, "%s%s%s", line[:start], text, line[end:])
}

// passive opens a real port that leads to a data port of the appliance. It returns the
// address that the reply must name.
func (s *session) passive(to netip.AddrPort) (netip.AddrPort, error) {
	local := realAddr(s.outside.LocalAddr()).Addr()
	l, err := s.listen(local)
	if err != nil {
		return netip.AddrPort{}, err
	}
	stop := s.expireListener(func() { l.Close() })
	s.front.running.Go(func() {
		defer stop()
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			if realAddr(c.RemoteAddr()).Addr() != s.client {
				abort(c) // another host guessed the port
				continue
			}
			l.Close()
			s.front.join(c, s.simulated, to)
			return
		}
	})
	name := s.Public
	switch {
	case name.IsValid():
	case local.Is4():
		name = local
	default:
		// A 227 cannot name an IPv6 address. Clients take 0.0.0.0 for the address that
		// they are connected to.
		name = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(name, realAddr(l.Addr()).Port()), nil
}

// listen opens a port for passive connections.
func (s *session) listen(at netip.Addr) (*net.TCPListener, error) {
	var config net.ListenConfig
	var last error
	for port := int(s.PassiveLow); port <= int(s.PassiveHigh); port++ {
		l, err := config.Listen(s.front.ctx, "tcp", netip.AddrPortFrom(at, uint16(port)).String())
		if err == nil {
			return l.(*net.TCPListener), nil
		}
		last = err
	}
	return nil, last
}

// expireListener arranges that end, which closes a listener, is called when the session
// opens another listener or ends, or after dataTimeout. The function that it returns calls
// end at once and cancels the rest.
func (s *session) expireListener(end func()) (stop func()) {
	f := s.front
	timer := clock.System().AfterFunc(dataTimeout, end)
	cut := context.AfterFunc(f.ctx, end)
	s.replaceListener(end)
	return func() {
		timer()
		cut()
		end()
	}
}

// command rewrites a line from the client.
func (s *session) command(line []byte) []byte {
	extended := bytes.EqualFold(line[:4], []byte("EPRT"))
	var named netip.AddrPort
	if extended {
		named = parseExtendedAddr(string(line[5:]))
	} else {
		named, _, _, _ = parseSix(line)
	}
	if named.Addr() != s.client || named.Port() < servicePorts {
		return line
	}
	here, err := s.active(named)
	if err != nil {
		s.front.Logger.Warn("no port can be opened for an active data connection",
			"door", s.front.Name, "error", err)
		return line
	}
	if extended || here.Addr().Is6() {
		family := 1
		if here.Addr().Is6() {
			family = 2
		}
		return fmt.Appendf(nil, "EPRT |%d|%v|%d|\r\n", family, here.Addr(), here.Port())
	}
	return fmt.Appendf(nil, "PORT %s\r\n", formatSix(here))
}

// active opens a port of the simulated client that leads to a data port of the real client.
func (s *session) active(to netip.AddrPort) (netip.AddrPort, error) {
	l, err := s.front.Hosts.Listen(s.front.ctx,
		network.ListenConfig{Addr: netip.AddrPortFrom(s.simulated, 0), Backlog: 1})
	if err != nil {
		return netip.AddrPort{}, err
	}
	stop := s.expireListener(func() { l.Close() })
	s.front.running.Go(func() {
		defer stop()
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			if realAddr(c.RemoteAddr()).Addr() != s.server.Addr() {
				c.Abort()
				continue
			}
			l.Close()
			s.callBack(c, to)
			return
		}
	})
	return realAddr(l.Addr()), nil
}

// callBack dials the real client for a data connection that the appliance has opened.
func (s *session) callBack(inside network.Conn, to netip.AddrPort) {
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(realAddr(s.outside.LocalAddr()).Addr(), 0))
	d := net.Dialer{LocalAddr: from}
	c, err := d.DialContext(s.front.ctx, "tcp", to.String())
	if err != nil {
		inside.Abort()
		return
	}
	s.front.splice(c.(*net.TCPConn), inside, nil, nil)
}

// join connects a data connection of the real client to the appliance.
func (f *Front) join(outside *net.TCPConn, from netip.Addr, to netip.AddrPort) {
	inside, err := f.Hosts.Dial(f.ctx, network.DialConfig{Local: netip.AddrPortFrom(from, 0), Remote: to})
	if err != nil {
		abort(outside)
		return
	}
	f.splice(outside, inside, nil, nil)
}

// parseSix finds h1,h2,h3,h4,p1,p2 in a line and returns its start and end as well.
func parseSix(line []byte) (ap netip.AddrPort, start, end int, ok bool) {
	for start = 4; start < len(line); start++ {
		if !isDigit(line[start]) || isDigit(line[start-1]) {
			continue
		}
		var n [6]byte
		end = start
		for i := range n {
			if i > 0 {
				if end >= len(line) || line[end] != ',' {
					break
				}
				end++
			}
			digits := end
			for end < len(line) && isDigit(line[end]) {
				end++
			}
			v, err := strconv.ParseUint(string(line[digits:end]), 10, 8)
			if err != nil {
				break
			}
			n[i] = byte(v)
			if i == 5 {
				port := uint16(n[4])<<8 | uint16(n[5])
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[:4])), port), start, end, true
			}
		}
	}
	return netip.AddrPort{}, 0, 0, false
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// formatSix is the reverse of parseSix.
func formatSix(ap netip.AddrPort) string {
	a := ap.Addr().As4()
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], ap.Port()>>8, ap.Port()&0xff)
}

// parseExtendedPort finds the port of a reply 229, "(|||6446|)", and returns its start and
// end as well.
func parseExtendedPort(line []byte) (port uint16, start, end int, ok bool) {
	i := bytes.IndexByte(line, '(')
	if i < 0 || len(line) < i+6 || line[i+1] != line[i+2] || line[i+1] != line[i+3] {
		return 0, 0, 0, false
	}
	start = i + 4
	n := bytes.IndexByte(line[start:], line[i+1])
	if n < 0 {
		return 0, 0, 0, false
	}
	v, err := strconv.ParseUint(string(line[start:start+n]), 10, 16)
	return uint16(v), start, start + n, err == nil
}

// parseExtendedAddr parses the argument of EPRT, "|1|132.235.1.2|6275|". The result is
// invalid if the argument is.
func parseExtendedAddr(arg string) netip.AddrPort {
	arg = strings.TrimRight(arg, "\r\n")
	if arg == "" {
		return netip.AddrPort{}
	}
	parts := strings.Split(arg, arg[:1])
	if len(parts) != 5 {
		return netip.AddrPort{}
	}
	a, err1 := netip.ParseAddr(parts[2])
	port, err2 := strconv.ParseUint(parts[3], 10, 16)
	if err1 != nil || err2 != nil || parts[1] != "1" && parts[1] != "2" || a.Is4() != (parts[1] == "1") {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, uint16(port))
}
