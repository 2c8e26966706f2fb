package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// maxProxyLine is the longest line that a proxy handles as a whole. Commands are shorter
// (RFC 5321 4.5.3.1.4), and go-smtp's server refuses longer ones.
const maxProxyLine = 4096

// An smtpProxy stands between a client and go-smtp's server, which always behaves well. The
// proxy sends the greeting, error replies and late replies, closes the connection, and
// handles TLS, as the behavior of its MailExchanger says. The server does not see a command
// that the proxy refuses. The proxy passes on one command at a time, so what it does does
// not depend on how commands are split into segments. It sends each reply as a whole, when
// the server reads the next command.
//
// Only the server's goroutine uses it, except for conn.Abort.
type smtpProxy struct {
	net.Conn // conn, or TLS over it
	x        *MailExchanger
	conn     network.Conn
	ctx      context.Context

	in           *bufio.Reader
	line         []byte // read from the client and not yet passed on
	out          bytes.Buffer
	greeted      bool
	secure       bool
	verb         string // of the command whose reply is being written
	inData       bool   // lines belong to a message
	lineComplete bool   // the previous line ended with CRLF, so the next bytes start a line
	commands     int
	closed       bool
}

func newSMTPProxy(x *MailExchanger, c network.Conn) *smtpProxy {
	g := &smtpProxy{x: x, conn: c, ctx: x.connCtx, lineComplete: true}
	g.setConn(c)
	if x.behavior.implicit {
		g.secure = true
		g.setConn(tls.Server(c, x.tlsConfig()))
	}
	return g
}

// setConn makes c the connection to the client.
func (g *smtpProxy) setConn(c net.Conn) {
	g.Conn = c
	g.in = bufio.NewReaderSize(c, maxProxyLine)
}

// Read returns the client's data that is meant for the server.
func (g *smtpProxy) Read(p []byte) (int, error) {
	for len(g.line) == 0 {
		if err := g.flush(); err != nil {
			return 0, err
		}
		line, err := g.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return 0, err
		}
		if g.line, err = g.handleLine(line); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.line)
	g.line = g.line[n:]
	return n, nil
}

// handleLine returns the part of a line that is meant for the server.
func (g *smtpProxy) handleLine(line []byte) ([]byte, error) {
	begins := g.lineComplete
	g.lineComplete = bytes.HasSuffix(line, []byte("\r\n"))
	if g.inData {
		g.inData = !(begins && string(line) == ".\r\n")
		return line, nil
	}
	verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(string(line))), " ")
	if g.x.behavior.closeAfter > 0 && g.commands == g.x.behavior.closeAfter {
		g.Close()
		return nil, io.EOF
	}
	g.commands++
	g.verb = verb
	if a, refused := g.errorReply(verb); refused {
		return nil, g.replyError(a)
	}
	if verb == "STARTTLS" && g.offersTLS() {
		return nil, g.startTLS()
	}
	return line, nil
}

// errorReply returns the error reply to a command; ok is false if there is none.
func (g *smtpProxy) errorReply(verb string) (answer, bool) {
	switch verb {
	case "STARTTLS", "NOOP", "RSET", "QUIT":
		return answer{}, false
	case "EHLO", "HELO":
		return g.x.errorReply(strings.ToLower(verb))
	case "BDAT":
		return answer{502, "5.5.1", "BDAT is not offered"}, true
	}
	if g.x.behavior.requireTLS && !g.secure {
		return answer{530, "5.7.0", "Must issue a STARTTLS command first"}, true
	}
	return g.x.errorReply(strings.ToLower(verb)) // only MAIL, RCPT and DATA can have one
}

// replyError sends an error reply. After 421 it closes the connection (RFC 5321 3.8).
func (g *smtpProxy) replyError(a answer) error {
	g.out.WriteString(a.String() + "\r\n")
	if a.code != 421 {
		return nil
	}
	g.Close()
	return io.EOF
}

func (g *smtpProxy) offersTLS() bool { return g.x.behavior.starttls && !g.secure }

// startTLS accepts STARTTLS and continues in TLS. Plain text that has been read already is
// discarded (RFC 3207). The client's next EHLO resets the server.
func (g *smtpProxy) startTLS() error {
	g.out.WriteString("220 2.0.0 Ready to start TLS\r\n")
	if err := g.flush(); err != nil {
		return err
	}
	g.secure = true
	secure := tls.Server(g.conn, g.x.tlsConfig())
	g.setConn(secure)
	return secure.HandshakeContext(g.ctx)
}

// plainReplies are the usual replies of mail servers, where go-smtp's are unusual.
var plainReplies = map[string]string{
	"HELO": "250 Ok",
	"MAIL": "250 2.1.0 Ok",
	"RCPT": "250 2.1.5 Ok",
	"NOOP": "250 2.0.0 Ok",
	"RSET": "250 2.0.0 Ok",
	"QUIT": "221 2.0.0 Bye",
}

// Write receives a line of the server's reply, and replaces some of them.
func (g *smtpProxy) Write(p []byte) (int, error) {
	switch {
	case !g.greeted:
		g.greeted = true
		if a, refused := g.x.errorReply("connect"); refused {
			g.out.WriteString(a.String() + "\r\n")
			g.Close()
			return 0, net.ErrClosed
		}
		g.out.WriteString("220 " + g.x.behavior.banner + "\r\n")
	case g.verb == "EHLO" && bytes.HasPrefix(p, []byte("250-Hello ")):
		g.out.WriteString("250-" + g.x.behavior.hostname + "\r\n")
		if g.offersTLS() {
			g.out.WriteString("250-STARTTLS\r\n")
		}
	case g.verb == "EHLO" && string(p) == "250-CHUNKING\r\n": // the proxy handles lines only
	case bytes.HasPrefix(p, []byte("354 ")):
		g.inData = true
		g.out.WriteString("354 End data with <CR><LF>.<CR><LF>\r\n")
	case plainReplies[g.verb] != "" && p[0] == '2':
		g.out.WriteString(plainReplies[g.verb] + "\r\n")
	default:
		g.out.Write(p)
	}
	return len(p), nil
}

// flush sends the reply, after the delay that the options demand.
func (g *smtpProxy) flush() error {
	if g.out.Len() == 0 {
		return nil
	}
	if err := clock.System().Sleep(g.ctx, g.x.behavior.delay); err != nil {
		return err
	}
	_, err := g.Conn.Write(g.out.Bytes())
	g.out.Reset()
	return err
}

// Close sends the pending reply and closes the connection.
func (g *smtpProxy) Close() error {
	if g.closed {
		return nil
	}
	g.closed = true
	_ = g.flush() // fails if the client has closed the connection
	g.x.removeProxy(g)
	return g.Conn.Close()
}
