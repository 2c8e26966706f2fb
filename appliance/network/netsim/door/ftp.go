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

// An FTP is a NAT helper (RFC 959, RFC 2428). It reads the control connection and
// has the data connections follow it through the door:
//
//   - Replies 227 and 229 name a port of the appliance. The door listens on the
//     address to which the client connected and names that port instead. Only the
//     client's own address is let in.
//   - PORT and EPRT that name the client's own address and a port that is no
//     service's are given the address of its simulated self, where the door
//     listens for the appliance and dials the client. Any other address passes
//     unchanged, so that ftpd refuses it as it would on a wire.
type FTP struct {
	// PassiveLow to PassiveHigh are the real ports for passive connections; zeros
	// take any.
	PassiveLow, PassiveHigh uint16
	// Public is the IPv4 address that replies 227 name; invalid: the one to
	// which the client connected.
	Public netip.Addr
}

const (
	// dataWait is how long a port waits for its data connection.
	dataWait = time.Minute
	// servicePorts are not dialled for PORT and EPRT.
	servicePorts = 1024
)

// A session is one control connection.
type session struct {
	*FTP
	front     *Front
	outside   *net.TCPConn
	client    netip.Addr     // real
	simulated netip.Addr     // the client's
	server    netip.AddrPort // the appliance

	mu     sync.Mutex
	waitOn func() // ends the listener that waits for a data connection; nil: none
}

// relay serves a control connection until it ends.
func (f *FTP) relay(front *Front, outside *net.TCPConn, inside network.Conn, simulated netip.Addr, server netip.AddrPort) {
	if err := inlineUrgent(outside); err != nil {
		front.Logger.Warn("a client's urgent data will be lost", "door", front.Name, "error", err)
	}
	s := &session{FTP: f, front: front, outside: outside, client: realAddr(outside.RemoteAddr()).Addr(), simulated: simulated, server: server}
	commands := lineEditor{words: []string{"PORT ", "EPRT "}, change: s.command}
	replies := lineEditor{words: []string{"227 ", "229 "}, change: s.reply}
	front.splice(outside, inside, commands.edit, replies.edit)
	s.expect(nil)
}

// expect replaces what waits for a data connection.
func (s *session) expect(end func()) {
	s.mu.Lock()
	before := s.waitOn
	s.waitOn = end
	s.mu.Unlock()
	if before != nil {
		before()
	}
}

// reply changes a line of the server's.
func (s *session) reply(line []byte) []byte {
	var port uint16
	var start, end int
	if bytes.HasPrefix(line, []byte("227 ")) {
		ap, i, j, ok := sixNumbers(line)
		if !ok || ap.Addr() != s.server.Addr() {
			return line
		}
		port, start, end = ap.Port(), i, j
	} else {
		p, i, j, ok := extendedPort(line)
		if !ok {
			return line
		}
		port, start, end = p, i, j
	}
	here, err := s.passive(netip.AddrPortFrom(s.server.Addr(), port))
	if err != nil {
		s.front.Logger.Warn("a passive data connection has no port", "door", s.front.Name, "error", err)
		return []byte("425 Cannot open a data connection.\r\n")
	}
	text := strconv.Itoa(int(here.Port()))
	if line[2] == '7' {
		text = writeSix(here)
	}
	return fmt.Appendf(nil, "%s%s%s", line[:start], text, line[end:])
}

// passive opens a real port that leads to a data port of the appliance. It returns
// the address to name.
func (s *session) passive(to netip.AddrPort) (netip.AddrPort, error) {
	local := realAddr(s.outside.LocalAddr()).Addr()
	l, err := s.listen(local)
	if err != nil {
		return netip.AddrPort{}, err
	}
	stop := s.limit(func() { l.Close() })
	s.front.running.Go(func() {
		defer stop()
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			if realAddr(c.RemoteAddr()).Addr() != s.client {
				abort(c) // somebody else who guessed the port
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
		// A 227 cannot name an IPv6 address. Clients understand zeros as the
		// address that they are connected to.
		name = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(name, realAddr(l.Addr()).Port()), nil
}

// listen takes a port for passive connections.
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

// limit has end called when the session expects something else, ends, or nothing
// came for a while. What it returns ends that.
func (s *session) limit(end func()) (stop func()) {
	f := s.front
	timer := clock.System().AfterFunc(dataWait, end)
	cut := context.AfterFunc(f.ctx, end)
	s.expect(end)
	return func() {
		timer()
		cut()
		end()
	}
}

// command changes a line of the client's.
func (s *session) command(line []byte) []byte {
	extended := bytes.EqualFold(line[:4], []byte("EPRT"))
	var named netip.AddrPort
	if extended {
		named = extendedAddr(string(line[5:]))
	} else {
		named, _, _, _ = sixNumbers(line)
	}
	if named.Addr() != s.client || named.Port() < servicePorts {
		return line
	}
	here, err := s.active(named)
	if err != nil {
		s.front.Logger.Warn("an active data connection has no port", "door", s.front.Name, "error", err)
		return line
	}
	if extended || here.Addr().Is6() {
		family := 1
		if here.Addr().Is6() {
			family = 2
		}
		return fmt.Appendf(nil, "EPRT |%d|%v|%d|\r\n", family, here.Addr(), here.Port())
	}
	return fmt.Appendf(nil, "PORT %s\r\n", writeSix(here))
}

// active opens a port of the client's simulated self that leads to a data port of
// the client.
func (s *session) active(to netip.AddrPort) (netip.AddrPort, error) {
	l, err := s.front.Hosts.Listen(s.front.ctx, network.ListenConfig{Addr: netip.AddrPortFrom(s.simulated, 0), Backlog: 1})
	if err != nil {
		return netip.AddrPort{}, err
	}
	stop := s.limit(func() { l.Close() })
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

// callBack dials the client for a data connection from the appliance.
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

// join leads a data connection to the appliance.
func (f *Front) join(outside *net.TCPConn, from netip.Addr, to netip.AddrPort) {
	inside, err := f.Hosts.Dial(f.ctx, network.DialConfig{Local: netip.AddrPortFrom(from, 0), Remote: to})
	if err != nil {
		abort(outside)
		return
	}
	f.splice(outside, inside, nil, nil)
}

// sixNumbers finds h1,h2,h3,h4,p1,p2 in a line, and where it begins and ends.
func sixNumbers(line []byte) (ap netip.AddrPort, start, end int, ok bool) {
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

// writeSix is the reverse of sixNumbers.
func writeSix(ap netip.AddrPort) string {
	a := ap.Addr().As4()
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], ap.Port()>>8, ap.Port()&0xff)
}

// extendedPort finds the port of a reply 229, "(|||6446|)", and where it begins
// and ends.
func extendedPort(line []byte) (port uint16, start, end int, ok bool) {
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

// extendedAddr reads EPRT's argument, "|1|132.235.1.2|6275|"; invalid if it is
// none.
func extendedAddr(arg string) netip.AddrPort {
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
