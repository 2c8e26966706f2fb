package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// maxProxyLine is the longest line that a proxy handles as a whole. Commands are shorter
// (RFC 5321 4.5.3.1.4), and go-smtp's server refuses longer ones.
const maxProxyLine = 4096

// An smtpProxy stands between a client and go-smtp's server, which always behaves well. The
// proxy sends the greeting, error replies and late replies, cuts the connection, and handles
// TLS, as the rules and the behavior of its MailExchanger say. The rules for sender, recipients
// and messages are evaluated by the mailSession, which knows them; the others are evaluated
// here, and the server does not see a command that they refuse. The proxy passes on one command
// at a time, so what it does does not depend on how commands are split into segments. It sends
// each reply as a whole, when the server reads the next command.
//
// Only the server's goroutine uses it, except for conn.Abort.
type smtpProxy struct {
	net.Conn // conn, or TLS over it
	x        *MailExchanger
	conn     network.Conn
	client   netip.AddrPort
	ctx      context.Context
	session  *mailSession // nil before EHLO
	admitted bool         // counts as an open connection; guarded by x.mu

	in           *bufio.Reader
	line         []byte // read from the client and not yet passed on
	out          bytes.Buffer
	greeted      bool
	secure       bool
	verb         string              // of the command whose reply is being written
	inData       bool                // lines belong to a message
	lineComplete bool                // the previous line ended with CRLF, so the next bytes start a line
	wait         time.Duration       // that rules demand before the reply
	instead      *topology.MailReply // that rules demand in place of the server's; nil if none
	inAuth       bool                // the next line answers a challenge
	received     int64               // bytes of the connection
	messageBytes int64               // of the message that is arriving, with dot-stuffing
	commands     int
	closed       bool
}

func newSMTPProxy(x *MailExchanger, c network.Conn) *smtpProxy {
	g := &smtpProxy{x: x, conn: c, ctx: x.connCtx, lineComplete: true}
	g.client, _ = netip.ParseAddrPort(c.RemoteAddr().String())
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
	if err := g.countBytes(int64(len(line))); err != nil {
		return nil, err
	}
	switch {
	case g.inData:
		g.inData = !(begins && string(line) == ".\r\n")
		return line, nil
	case g.inAuth:
		g.inAuth = false
		return line, nil
	}
	verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(string(line))), " ")
	if g.x.behavior.closeAfter > 0 && g.commands == g.x.behavior.closeAfter {
		g.Close()
		return nil, io.EOF
	}
	g.commands++
	g.verb = verb
	if refused, err := g.refuse(verb); refused || err != nil {
		return nil, err
	}
	if verb == "STARTTLS" && g.offersTLS() {
		return nil, g.startTLS()
	}
	return line, nil
}

// countBytes counts bytes that have arrived. It returns an error if a rule cuts the connection.
func (g *smtpProxy) countBytes(n int64) error {
	g.received += n
	if g.inData {
		g.messageBytes += n
	}
	if !g.x.rules.countBytes.Load() {
		return nil
	}
	m := mailMoment{client: g.client.Addr()}
	how := g.x.rules.cutWithin(m, g.received-n, g.received)
	if how == "" && g.inData {
		how = g.x.rules.cutWithin(g.session.moment(topology.StageEnd, g.session.to),
			g.messageBytes-n, g.messageBytes)
	}
	if how == "" {
		return nil
	}
	g.cut(how)
	return io.EOF
}

// cut cuts the connection, after the delay that rules demand.
func (g *smtpProxy) cut(how string) {
	_ = clock.System().Sleep(g.ctx, g.wait) // if the server stops, the connection is cut too
	g.wait = 0
	g.out.Reset()
	if how == topology.CutReset {
		g.conn.Abort()
	}
	g.Close()
}

// stageOf is the stage of each command whose rules the proxy evaluates.
var stageOf = map[string]string{
	"EHLO": topology.StageEHLO, "HELO": topology.StageHELO, "STARTTLS": topology.StageSTARTTLS,
	"AUTH": topology.StageAUTH, "DATA": topology.StageDATA,
}

// refuse sends an error reply to a command, or cuts the connection, if rules or options demand
// that. It reports whether it did.
func (g *smtpProxy) refuse(verb string) (bool, error) {
	switch verb {
	case "BDAT":
		return true, g.replyError(topology.MailReply{
			Code: 502, Enhanced: "5.5.1", Lines: []string{"BDAT is not offered"},
		})
	case "MAIL", "RCPT", "DATA", "AUTH":
		if g.x.behavior.requireTLS && !g.secure {
			return true, g.replyError(topology.MailReply{
				Code: 530, Enhanced: "5.7.0", Lines: []string{"Must issue a STARTTLS command first"},
			})
		}
	}
	stage, ok := stageOf[verb]
	m := mailMoment{stage: stage}
	if g.session != nil { // after EHLO
		m = g.session.moment(stage, g.session.to)
	}
	if !ok || verb == "DATA" && len(m.recipients) == 0 { // the server replies 502
		return false, nil
	}
	v := g.x.evaluate(g, m)
	g.wait += v.delay
	switch {
	case v.cut != "":
		g.cut(v.cut)
		return true, io.EOF
	case v.reply.Code != 0:
		return true, g.replyError(v.reply)
	}
	return false, nil
}

// replyError sends an error reply. After 421 it closes the connection (RFC 5321 3.8).
func (g *smtpProxy) replyError(r topology.MailReply) error {
	g.out.WriteString(r.Wire())
	if r.Code != 421 {
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
		if err := g.greet(); err != nil {
			return 0, err
		}
	case g.instead != nil:
		r := *g.instead
		g.instead = nil
		if err := g.replyError(r); err != nil {
			return 0, net.ErrClosed
		}
	case g.verb == "EHLO" && bytes.HasPrefix(p, []byte("250-Hello ")):
		g.out.WriteString("250-" + g.x.behavior.hostname + "\r\n")
		if g.offersTLS() {
			g.out.WriteString("250-STARTTLS\r\n")
		}
	case g.verb == "EHLO" && string(p) == "250-CHUNKING\r\n": // the proxy handles lines only
	case bytes.HasPrefix(p, []byte("354 ")):
		g.inData, g.messageBytes = true, 0
		g.out.WriteString("354 End data with <CR><LF>.<CR><LF>\r\n")
	case plainReplies[g.verb] != "" && p[0] == '2':
		g.out.WriteString(plainReplies[g.verb] + "\r\n")
	default:
		g.inAuth = bytes.HasPrefix(p, []byte("334 "))
		g.out.Write(p)
	}
	return len(p), nil
}

// greet sends the greeting. It returns an error if the connection is refused.
func (g *smtpProxy) greet() error {
	v := g.x.admit(g)
	g.wait += v.delay
	switch {
	case v.cut != "":
		g.cut(v.cut)
		return net.ErrClosed
	case v.reply.Code != 0:
		g.out.WriteString(v.reply.Wire())
		g.Close()
		return net.ErrClosed
	}
	g.out.WriteString("220 " + g.x.behavior.banner + "\r\n")
	return nil
}

// flush sends the reply, after the delay that rules and options demand.
func (g *smtpProxy) flush() error {
	switch {
	case g.closed:
		return net.ErrClosed
	case g.out.Len() == 0:
		return nil
	}
	delay := g.x.behavior.delay + g.wait
	g.wait = 0
	if err := clock.System().Sleep(g.ctx, delay); err != nil {
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
	_ = g.flush() // fails if the client has closed the connection
	g.closed = true
	g.x.removeProxy(g)
	return g.Conn.Close()
}
