package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A dataPort is where the next data connection comes from.
type dataPort struct {
	listener network.Listener // passive; else
	dial     netip.AddrPort   // active
}

func (d *dataPort) close() {
	if d != nil && d.listener != nil {
		d.listener.Close()
	}
}

var errSyntax = errors.New("transfer: syntax error")

// parsePort understands PORT's argument, "h1,h2,h3,h4,p1,p2" (RFC 959).
func parsePort(arg string) (netip.AddrPort, error) {
	parts := strings.Split(arg, ",")
	if len(parts) != 6 {
		return netip.AddrPort{}, errSyntax
	}
	var b [6]byte
	for i, p := range parts {
		n, err := strconv.ParseUint(strings.TrimSpace(p), 10, 8)
		if err != nil {
			return netip.AddrPort{}, errSyntax
		}
		b[i] = byte(n)
	}
	port := uint16(b[4])<<8 | uint16(b[5])
	if port == 0 {
		return netip.AddrPort{}, errSyntax
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), port), nil
}

// errFamily is told with the numbers of the families that would do.
var errFamily = errors.New("transfer: unknown address family")

// parseEPRT understands EPRT's argument, "|1|132.235.1.2|6275|" (RFC 2428).
func parseEPRT(arg string) (netip.AddrPort, error) {
	if arg == "" || arg[0] < 33 || arg[0] > 126 {
		return netip.AddrPort{}, errSyntax
	}
	parts := strings.Split(arg, arg[:1])
	if len(parts) != 5 || parts[0] != "" || parts[4] != "" {
		return netip.AddrPort{}, errSyntax
	}
	if parts[1] != "1" && parts[1] != "2" {
		return netip.AddrPort{}, errFamily
	}
	addr, err := netip.ParseAddr(parts[2])
	if err != nil || addr.Is4() != (parts[1] == "1") || addr.Zone() != "" {
		return netip.AddrPort{}, errSyntax
	}
	port, err := strconv.ParseUint(parts[3], 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, errSyntax
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
}

// setData replaces the data port that has not been used.
func (c *ftpConn) setData(d *dataPort) {
	c.session.data.close()
	c.session.data = d
}

func (c *ftpConn) port(arg string) { c.active(parsePort(arg)) }
func (c *ftpConn) eprt(arg string) { c.active(parseEPRT(arg)) }
func (c *ftpConn) active(to netip.AddrPort, err error) {
	switch {
	case c.session.epsvOnly:
		c.reply(501, "Only EPSV is accepted after EPSV ALL.")
	case errors.Is(err, errFamily) || err == nil && to.Addr().Is4() != c.local.Addr().Is4():
		c.reply(522, "Network protocol not supported, use ("+c.family()+")")
	case err != nil:
		c.reply(501, "Syntax error in parameters.")
	case to.Addr() != c.remote.Addr() || to.Port() < 1024:
		c.reply(500, "Illegal PORT command: the address is not yours.") // RFC 2577: no bounce
	default:
		c.setData(&dataPort{dial: to})
		c.reply(200, "PORT command successful.")
	}
}

// family is the number of the control connection's address family (RFC 2428).
func (c *ftpConn) family() string {
	if c.local.Addr().Is4() {
		return "1"
	}
	return "2"
}

// listen opens a passive port where the client's control connection arrived.
func (c *ftpConn) listen() (netip.AddrPort, error) {
	c.setData(nil)
	var ln network.Listener
	err := c.s.passivePorts(func(port uint16) (err error) {
		ln, err = c.s.o.Net.Listen(c.ctx, network.ListenConfig{
			Addr: netip.AddrPortFrom(c.local.Addr(), port), Backlog: 5,
			Owner: c.s.o.SocketOwner, User: c.s.o.SocketUser,
		})
		return err
	})
	if err != nil {
		return netip.AddrPort{}, err
	}
	c.setData(&dataPort{listener: ln})
	return addrPort(ln.Addr()), nil
}

func (c *ftpConn) pasv(string) {
	switch {
	case c.session.epsvOnly:
		c.reply(501, "Only EPSV is accepted after EPSV ALL.")
		return
	case !c.local.Addr().Is4():
		c.reply(425, "PASV knows no IPv6 addresses. Use EPSV.")
		return
	}
	at, err := c.listen()
	if err != nil {
		c.cannotListen(err)
		return
	}
	a := c.local.Addr().As4()
	c.reply(227, fmt.Sprintf("Entering Passive Mode (%d,%d,%d,%d,%d,%d).", a[0], a[1], a[2], a[3], at.Port()>>8, at.Port()&0xff))
}

func (c *ftpConn) epsv(arg string) {
	switch {
	case strings.EqualFold(arg, "ALL"):
		c.session.epsvOnly = true
		c.reply(200, "EPSV ALL command successful.")
		return
	case arg != "" && arg != c.family():
		c.reply(522, "Network protocol not supported, use ("+c.family()+")")
		return
	}
	at, err := c.listen()
	if err != nil {
		c.cannotListen(err)
		return
	}
	c.reply(229, fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", at.Port()))
}

func (c *ftpConn) cannotListen(err error) {
	c.s.o.Logger.Warn("ftp: passive port", "cause", err)
	c.reply(425, "Can't open passive connection.")
}

// transfer opens the data connection, lets body use it, and sends the replies
// before and after. It reports whether all went well.
func (c *ftpConn) transfer(opening string, body func(net.Conn) error) bool {
	d := c.session.data
	c.session.data = nil
	defer d.close()
	c.reply(150, opening)
	conn, err := c.open(d)
	if err == nil {
		defer conn.Close() // if body panics
		c.begin(conn.Abort)
		err = body(&movingConn{conn, c.s.o.DataTimeout})
		err = errors.Join(err, onData(conn.Close()))
	} else {
		err = dataError{err, false}
	}
	aborted := c.finish()
	var de dataError
	switch {
	case aborted:
		c.reply(426, "Transfer aborted. Data connection closed.")
		return false
	case err == nil:
		c.reply(226, "Transfer complete.")
	case errors.As(err, &de) && !de.opened:
		c.reply(425, "Can't open data connection.")
	case errors.As(err, &de):
		c.reply(426, "Failure on the data connection; transfer aborted.")
	case errors.Is(err, syscall.ENOSPC):
		c.reply(552, "Requested file action aborted: "+reason(err)+".")
	default:
		c.reply(451, "Requested action aborted: "+reason(err)+".")
	}
	return err == nil
}

// A dataError is trouble with the data connection, as against the file.
type dataError struct {
	error
	opened bool
}

func (e dataError) Unwrap() error { return e.error }

// open waits for the client to connect, or connects to it.
func (c *ftpConn) open(d *dataPort) (network.Conn, error) {
	if d.listener == nil {
		ctx, cancel := context.WithTimeout(c.ctx, c.s.o.DataTimeout)
		defer cancel()
		c.begin(cancel)
		return c.s.o.Net.Dial(ctx, network.DialConfig{
			Local: netip.AddrPortFrom(c.local.Addr(), 0), Remote: d.dial,
			Owner: c.s.o.SocketOwner, User: c.s.o.SocketUser,
		})
	}
	c.begin(func() { d.listener.Close() })
	defer clock.System().AfterFunc(c.s.o.DataTimeout, func() { d.listener.Close() })()
	for {
		conn, err := d.listener.AcceptConn()
		if err != nil {
			return nil, err
		}
		if addrPort(conn.RemoteAddr()).Addr() == c.remote.Addr() {
			return conn, nil
		}
		conn.Abort() // somebody else's: no theft
	}
}

// A movingConn gives up when nothing moves.
type movingConn struct {
	network.Conn
	timeout time.Duration
}

func (m *movingConn) Read(p []byte) (int, error) {
	if err := m.SetReadDeadline(clock.System().Now().Add(m.timeout)); err != nil {
		return 0, dataError{err, true}
	}
	n, err := m.Conn.Read(p)
	return n, onData(err)
}

func (m *movingConn) Write(p []byte) (int, error) {
	if err := m.SetWriteDeadline(clock.System().Now().Add(m.timeout)); err != nil {
		return 0, dataError{err, true}
	}
	n, err := m.Conn.Write(p)
	return n, onData(err)
}

func onData(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return dataError{err, true}
}
