package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// A dataPort says how the next data connection is opened: passively, by accepting a connection, or
// actively, by connecting to the client.
type dataPort struct {
	listener network.Listener // passive; nil if active
	remote   netip.AddrPort   // of an active connection
}

func (d *dataPort) close() {
	if d != nil && d.listener != nil {
		d.listener.Close()
	}
}

var errSyntax = errors.New("transfer: syntax error")

// parsePort parses the argument of PORT, "h1,h2,h3,h4,p1,p2" (RFC 959).
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

// errFamily makes a reply that lists the supported address families.
var errFamily = errors.New("transfer: unknown address family")

// parseEPRT parses the argument of EPRT, "|1|132.235.1.2|6275|" (RFC 2428).
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

// setDataPort replaces the data port, and closes the old one, which has not been used.
func (c *ftpConn) setDataPort(d *dataPort) {
	c.session.dataPort.close()
	c.session.dataPort = d
}

func (c *ftpConn) port(arg string) { c.setActive(parsePort(arg)) }
func (c *ftpConn) eprt(arg string) { c.setActive(parseEPRT(arg)) }

// setActive sets an active data port from the result of parsing an argument.
func (c *ftpConn) setActive(to netip.AddrPort, err error) {
	switch {
	case c.session.epsvOnly:
		c.reply(501, "Only EPSV is accepted after EPSV ALL.")
	case errors.Is(err, errFamily) || err == nil && to.Addr().Is4() != c.local.Addr().Is4():
		c.reply(522, "Network protocol not supported, use ("+c.family()+")")
	case err != nil:
		c.reply(501, "Syntax error in parameters.")
	case to.Addr() != c.remote.Addr() || to.Port() < 1024: // a bounce attack (RFC 2577)
		c.reply(500, "Illegal PORT command: the address is not yours.")
	default:
		c.setDataPort(&dataPort{remote: to})
		c.reply(200, "PORT command successful.")
	}
}

// family returns the number of the control connection's address family (RFC 2428).
func (c *ftpConn) family() string {
	if c.local.Addr().Is4() {
		return "1"
	}
	return "2"
}

// listen opens a passive port on the address that the control connection has reached.
func (c *ftpConn) listen() (netip.AddrPort, error) {
	c.setDataPort(nil)
	var ln network.Listener
	err := c.server.passivePorts(func(port uint16) (err error) {
		ln, err = c.server.options.Net.Listen(c.ctx, network.ListenConfig{
			Addr: netip.AddrPortFrom(c.local.Addr(), port), Backlog: 5,
			Owner: c.server.options.SocketOwner, User: c.server.options.SocketUser,
		})
		return err
	})
	if err != nil {
		return netip.AddrPort{}, err
	}
	c.setDataPort(&dataPort{listener: ln})
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
		c.replyCannotListen(err)
		return
	}
	a := c.local.Addr().As4()
	c.reply(227, fmt.Sprintf("Entering Passive Mode (%d,%d,%d,%d,%d,%d).",
		a[0], a[1], a[2], a[3], at.Port()>>8, at.Port()&0xff))
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
		c.replyCannotListen(err)
		return
	}
	c.reply(229, fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", at.Port()))
}

func (c *ftpConn) replyCannotListen(err error) {
	c.server.options.Logger.Warn("ftp: passive port", "cause", err)
	c.reply(425, "Can't open passive connection.")
}

// A direction is the direction of the data of a transfer.
type direction bool

const (
	toClient   direction = true
	fromClient direction = false
)

// transfer opens the data connection, calls body with it, and sends the replies before and after:
// the last one when the data connection is closed at both ends. It reports whether the transfer has
// succeeded.
func (c *ftpConn) transfer(opening string, d direction, body func(*timeoutConn) error) bool {
	port := c.session.dataPort
	c.session.dataPort = nil
	defer port.close()
	c.reply(150, opening)
	conn, err := c.openDataConn(port)
	if err == nil {
		defer conn.Close() // for a panic of body
		c.beginTransfer(conn.Abort)
		err = body(&timeoutConn{conn, c.server.options.DataTimeout})
		if err == nil && d == toClient {
			err = c.awaitClose(conn)
		}
		err = errors.Join(err, asDataError(conn.Close()))
	} else {
		err = dataError{err, false}
	}
	aborted := c.endTransfer()
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
		c.reply(552, "Requested file action aborted: "+reasonText(err)+".")
	default:
		c.reply(451, "Requested action aborted: "+reasonText(err)+".")
	}
	return err == nil
}

// awaitClose tells the client that it has all data, and waits until it closes the connection too.
// So reply 150, the data and reply 226 reach every client in this order, and the two replies never
// in one segment, however short the data is. A client that closes the connection only after reply
// 226 gets it after CloseTimeout. awaitClose returns an error if the client has reset the
// connection, and so may not have received everything.
func (c *ftpConn) awaitClose(conn network.Conn) error {
	if err := conn.CloseWrite(); err != nil {
		return asDataError(err)
	}
	deadline := clock.System().Now().Add(c.server.options.CloseTimeout)
	if err := conn.SetReadDeadline(deadline); err != nil {
		return asDataError(err)
	}
	_, err := io.Copy(io.Discard, plainReader{conn})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return asDataError(err)
}

// A dataError is an error of the data connection and not of the file.
type dataError struct {
	error
	opened bool // the connection had been opened
}

func (e dataError) Unwrap() error { return e.error }

// openDataConn accepts a connection of the client or connects to the client.
func (c *ftpConn) openDataConn(d *dataPort) (network.Conn, error) {
	if d.listener == nil {
		ctx, cancel := context.WithTimeout(c.ctx, c.server.options.DataTimeout)
		defer cancel()
		c.beginTransfer(cancel)
		return c.server.options.Net.Dial(ctx, network.DialConfig{
			Local: netip.AddrPortFrom(c.local.Addr(), 0), Remote: d.remote,
			Owner: c.server.options.SocketOwner, User: c.server.options.SocketUser,
		})
	}
	c.beginTransfer(func() { d.listener.Close() })
	defer clock.System().AfterFunc(c.server.options.DataTimeout, func() { d.listener.Close() })()
	for {
		conn, err := d.listener.AcceptConn()
		if err != nil {
			return nil, err
		}
		if addrPort(conn.RemoteAddr()).Addr() == c.remote.Addr() {
			return conn, nil
		}
		conn.Abort() // another client must not receive the data
	}
}

// A timeoutConn is a data connection whose reads and writes time out.
type timeoutConn struct {
	network.Conn
	timeout time.Duration
}

func (m *timeoutConn) Read(p []byte) (int, error) {
	if err := m.SetReadDeadline(clock.System().Now().Add(m.timeout)); err != nil {
		return 0, dataError{err, true}
	}
	n, err := m.Conn.Read(p)
	return n, asDataError(err)
}

func (m *timeoutConn) Write(p []byte) (int, error) {
	if err := m.SetWriteDeadline(clock.System().Now().Add(m.timeout)); err != nil {
		return 0, dataError{err, true}
	}
	n, err := m.Conn.Write(p)
	return n, asDataError(err)
}

// canSendRange reports whether sendRest can be used.
func (m *timeoutConn) canSendRange() bool {
	_, ok := m.Conn.(network.RangeSender)
	return ok
}

// A rangeReader is what sendRest sends: an io.ReaderAt from its position on.
type rangeReader interface {
	io.ReaderAt
	io.Seeker
}

// sendRest sends all of r from its position on. It returns the number of bytes that it has sent.
func (m *timeoutConn) sendRest(r rangeReader) (sent int64, err error) {
	off, err := r.Seek(0, io.SeekCurrent)
	for err == nil {
		err = m.SetWriteDeadline(clock.System().Now().Add(m.timeout))
		if err != nil {
			return sent, dataError{err, true}
		}
		var n int64
		n, err = m.Conn.(network.RangeSender).SendRange(r, off+sent, ftpBuffer)
		sent += n
	}
	var op *net.OpError
	switch {
	case err == io.EOF:
		err = nil
	case errors.As(err, &op):
		err = dataError{err, true}
	}
	return sent, err
}

// asDataError returns err as a dataError. It returns nil and io.EOF as they are.
func asDataError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return dataError{err, true}
}
