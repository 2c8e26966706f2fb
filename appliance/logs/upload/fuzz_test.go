package upload

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/esasim/esasim/appliance/network"
)

// A talkingNetwork has servers that send a text and accept everything.
type talkingNetwork struct {
	network.Transport
	control, data []byte // of the first connection, and of further ones
	dialed        int
}

func (n *talkingNetwork) Dial(context.Context, network.DialConfig) (network.Conn, error) {
	text := n.control
	if n.dialed++; n.dialed > 1 {
		text = n.data
	}
	if n.dialed > 20 {
		return nil, errors.New("too many connections")
	}
	return &talkingConn{text: bytes.NewReader(text)}, nil
}

type talkingConn struct {
	network.Conn
	text *bytes.Reader
}

func (c *talkingConn) Read(b []byte) (int, error)       { return c.text.Read(b) }
func (*talkingConn) Write(b []byte) (int, error)        { return len(b), nil }
func (*talkingConn) Close() error                       { return nil }
func (*talkingConn) Abort()                             {}
func (*talkingConn) SetDeadline(time.Time) error        { return nil }
func (*talkingConn) SetReadDeadline(time.Time) error    { return nil }
func (*talkingConn) SetWriteDeadline(t time.Time) error { return nil }
func (*talkingConn) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (*talkingConn) LocalAddr() net.Addr                { return &net.TCPAddr{} }

// Whatever an FTP or SCP server answers, an upload ends, and an error becomes one short line.
func FuzzServerAnswers(f *testing.F) {
	f.Add([]byte("220 hello\r\n331 password\r\n230 ok\r\n211-x\r\n UTF8\r\n211 end\r\n200 ok\r\n"+
		"250 ok\r\n229 (|||1000|)\r\n150 go\r\n226 done\r\n221 bye\r\n"), []byte(""))
	f.Add([]byte("220 hello\r\n230 ok\r\n500 no\r\n200 ok\r\n250 ok\r\n227 (1,2,3,4,5,6)\r\n553 no\r\n"),
		[]byte("\x00\x01scp: no\n"))
	f.Add([]byte("530-go\r\n530 away\x00\xff.\r\n"), []byte("\x02"+strings.Repeat("x", 5000)))
	f.Add([]byte("\x15\x03\x01"), []byte("\x00\x00\x00"))
	f.Add([]byte("229 (|||)\r\n227 (1,2,3)\r\n"), []byte("\x03"))
	f.Fuzz(func(t *testing.T, control, data []byte) {
		u := &Uploader{
			settings: Settings{
				Method: FTP, Host: "192.0.2.1", Port: 21, User: "esa", Password: "x", Dir: "/logs",
			},
			o: Options{
				Net: &talkingNetwork{control: control, data: data}, Logger: slog.New(slog.DiscardHandler),
				ConnectTimeout: time.Minute, IdleTimeout: time.Second,
			},
			ctx: t.Context(),
		}
		check := func(err error) {
			t.Helper()
			if err == nil {
				return
			}
			text := reasonText(err)
			if text == "" || len(text) > 2*maxReply+100 ||
				strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%q", text)
			}
		}
		s, err := u.connectFTP(netip.MustParseAddrPort("192.0.2.1:21"))
		check(err)
		if err == nil {
			check(s.put("mail_logs.@20150625T085003.s", strings.NewReader("one\n"), 4))
			s.close()
		}
		for in := bufio.NewReader(bytes.NewReader(data)); ; {
			err := readAnswer(in)
			check(err)
			if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		key, _, err := ParseKey(string(data))
		if again, _, err2 := ParseKey(key); err == nil && (err2 != nil || again != key) {
			t.Fatalf("%q becomes %q, %v", key, again, err2)
		}
	})
}
