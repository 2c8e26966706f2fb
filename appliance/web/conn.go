package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/esasim/esasim/appliance/clock"
)

// serverHeader is the first header of every response. Scanners such as nmap know the product by
// it, and expect it in this place.
const serverHeader = "Server: glass/1.0 Python/2.5.1-IronPort\r\n"

// A listener wraps the connections that it accepts in conns.
type listener struct {
	net.Listener
	config       *tls.Config // nil means plain HTTP
	logHandshake func(client net.Addr, text string)
}

func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, logHandshake: l.logHandshake, responseBegins: true}
	if l.config != nil {
		c.tls = tls.Server(raw, l.config)
		c.Conn = c.tls
	}
	return c, nil
}

// A conn is a client's connection. It does two things that net/http cannot do: it writes
// serverHeader before all other headers, which net/http sorts, and it logs failed TLS handshakes
// in the appliance's words.
//
// One goroutine of net/http serves a connection and writes to it; a second one may read.
type conn struct {
	net.Conn
	tls          *tls.Conn // nil for plain HTTP
	logHandshake func(client net.Addr, text string)

	handshake      sync.Once
	handshakeError error
	state          *tls.ConnectionState // of a finished handshake

	responseBegins bool // the next Write begins with a status line
}

type connKey struct{}

// withConn returns a context from which connOf gets the connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request, or nil in unit tests, which have none.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// Read reads from the connection, after the TLS handshake.
func (c *conn) Read(p []byte) (int, error) {
	if c.tls != nil {
		c.handshake.Do(c.shakeHands)
		if c.handshakeError != nil {
			return 0, c.handshakeError
		}
	}
	return c.Conn.Read(p)
}

// shakeHands performs the TLS handshake. net/http has set the read deadline. A client that sends
// plain HTTP gets no answer, as from AsyncOS: by an answer, scanners would take the port for one of
// plain HTTP.
func (c *conn) shakeHands() {
	// If this fails, Handshake fails, too.
	_ = c.tls.SetWriteDeadline(clock.System().Now().Add(headerTimeout))
	if c.handshakeError = c.tls.Handshake(); c.handshakeError == nil {
		state := c.tls.ConnectionState()
		c.state = &state
		c.handshakeError = c.tls.SetWriteDeadline(clock.System().Now().Add(writeTimeout))
		return
	}
	if text := handshakeErrorText(c.handshakeError); text != "" {
		c.logHandshake(c.RemoteAddr(), text)
	}
}

// Write writes to the connection. It inserts serverHeader after the status line of a response.
func (c *conn) Write(p []byte) (int, error) {
	if !c.responseBegins || !bytes.HasPrefix(p, []byte("HTTP/1.")) ||
		bytes.HasPrefix(p, []byte("HTTP/1.1 100 ")) {
		return c.Conn.Write(p)
	}
	i := bytes.Index(p, []byte("\r\n"))
	if i < 0 {
		return c.Conn.Write(p)
	}
	c.responseBegins = false
	i += len("\r\n")
	all := make([]byte, 0, len(p)+len(serverHeader))
	all = append(append(append(all, p[:i]...), serverHeader...), p[i:]...)
	n, err := c.Conn.Write(all)
	return max(0, min(n-len(serverHeader), len(p))), err
}

func looksLikeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}
