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

// maxGateLine is the longest line that a gate looks at as a whole. Commands are
// shorter (RFC 5321 4.5.3.1.4), or go-smtp's server refuses them.
const maxGateLine = 4096

// A gate stands between the wire and go-smtp's server, which is always polite. It
// greets, refuses steps, answers late, hangs up, and speaks TLS, as the manners of
// its MailExchanger want it; what it refuses, the server never hears of. It passes
// one command at a time, so what it does depends on commands and not on how they were
// packed; and it sends an answer in one piece, when the server wants to hear more.
//
// It is used by the server's goroutine only, but for wire's Abort.
type gate struct {
	net.Conn // what is spoken on: wire, or TLS over it
	x        *MailExchanger
	wire     network.Conn
	life     context.Context

	in       *bufio.Reader
	line     []byte // read, and not yet passed on
	out      bytes.Buffer
	greeted  bool
	secure   bool
	verb     string // of the command whose answer is being written
	message  bool   // lines are a message's
	whole    bool   // the line before ended as lines do: the next begins a line
	commands int
	closed   bool
}

func newGate(x *MailExchanger, c network.Conn) *gate {
	g := &gate{x: x, wire: c, life: x.life, whole: true}
	g.speak(c)
	if x.manners.implicit {
		g.secure = true
		g.speak(tls.Server(c, x.tlsConfig()))
	}
	return g
}

// speak makes c what is spoken on.
func (g *gate) speak(c net.Conn) {
	g.Conn = c
	g.in = bufio.NewReaderSize(c, maxGateLine)
}

// Read passes on what is for the server.
func (g *gate) Read(p []byte) (int, error) {
	for len(g.line) == 0 {
		if err := g.flush(); err != nil {
			return 0, err
		}
		line, err := g.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return 0, err
		}
		if g.line, err = g.judge(line); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.line)
	g.line = g.line[n:]
	return n, nil
}

// judge returns what of a line is for the server.
func (g *gate) judge(line []byte) ([]byte, error) {
	begins := g.whole
	g.whole = bytes.HasSuffix(line, []byte("\r\n"))
	if g.message {
		g.message = !(begins && string(line) == ".\r\n")
		return line, nil
	}
	verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(string(line))), " ")
	if g.x.manners.closeAfter > 0 && g.commands == g.x.manners.closeAfter {
		g.Close()
		return nil, io.EOF
	}
	g.commands++
	g.verb = verb
	if a, refused := g.refusal(verb); refused {
		return nil, g.refuse(a)
	}
	if verb == "STARTTLS" && g.offersTLS() {
		return nil, g.startTLS()
	}
	return line, nil
}

// refusal is what there is against a command.
func (g *gate) refusal(verb string) (answer, bool) {
	switch verb {
	case "STARTTLS", "NOOP", "RSET", "QUIT":
		return answer{}, false
	case "EHLO", "HELO":
		return g.x.refusal(strings.ToLower(verb))
	case "BDAT":
		return answer{502, "5.5.1", "BDAT is not offered"}, true
	}
	if g.x.manners.requireTLS && !g.secure {
		return answer{530, "5.7.0", "Must issue a STARTTLS command first"}, true
	}
	return g.x.refusal(strings.ToLower(verb)) // only MAIL, RCPT and DATA can have one
}

// refuse says no; 421 announces that the connection is closed (RFC 5321 3.8).
func (g *gate) refuse(a answer) error {
	g.out.WriteString(a.String() + "\r\n")
	if a.code != 421 {
		return nil
	}
	g.Close()
	return io.EOF
}

func (g *gate) offersTLS() bool { return g.x.manners.starttls && !g.secure }

// startTLS agrees and goes on in TLS. What was read of plain text is forgotten, as
// RFC 3207 wants it; that a client says EHLO again resets the server.
func (g *gate) startTLS() error {
	g.out.WriteString("220 2.0.0 Ready to start TLS\r\n")
	if err := g.flush(); err != nil {
		return err
	}
	g.secure = true
	secure := tls.Server(g.wire, g.x.tlsConfig())
	g.speak(secure)
	return secure.HandshakeContext(g.life)
}

// plain is what a mail server usually says where go-smtp's is chatty.
var plain = map[string]string{
	"HELO": "250 Ok",
	"MAIL": "250 2.1.0 Ok",
	"RCPT": "250 2.1.5 Ok",
	"NOOP": "250 2.0.0 Ok",
	"RSET": "250 2.0.0 Ok",
	"QUIT": "221 2.0.0 Bye",
}

// Write takes a line of the server's, and changes it where the gate knows better.
func (g *gate) Write(p []byte) (int, error) {
	switch {
	case !g.greeted:
		g.greeted = true
		if a, refused := g.x.refusal("connect"); refused {
			g.out.WriteString(a.String() + "\r\n")
			g.Close()
			return 0, net.ErrClosed
		}
		g.out.WriteString("220 " + g.x.manners.banner + "\r\n")
	case g.verb == "EHLO" && bytes.HasPrefix(p, []byte("250-Hello ")):
		g.out.WriteString("250-" + g.x.manners.hostname + "\r\n")
		if g.offersTLS() {
			g.out.WriteString("250-STARTTLS\r\n")
		}
	case g.verb == "EHLO" && string(p) == "250-CHUNKING\r\n": // a gate knows lines only
	case bytes.HasPrefix(p, []byte("354 ")):
		g.message = true
		g.out.WriteString("354 End data with <CR><LF>.<CR><LF>\r\n")
	case plain[g.verb] != "" && p[0] == '2':
		g.out.WriteString(plain[g.verb] + "\r\n")
	default:
		g.out.Write(p)
	}
	return len(p), nil
}

// flush sends the answer, late if the manners want that.
func (g *gate) flush() error {
	if g.out.Len() == 0 {
		return nil
	}
	if err := clock.System().Sleep(g.life, g.x.manners.delay); err != nil {
		return err
	}
	_, err := g.Conn.Write(g.out.Bytes())
	g.out.Reset()
	return err
}

// Close sends what was said last, and closes.
func (g *gate) Close() error {
	if g.closed {
		return nil
	}
	g.closed = true
	_ = g.flush() // the client may be gone
	g.x.forget(g)
	return g.Conn.Close()
}
