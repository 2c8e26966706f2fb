package transfer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/network"
)

// A fakeChannel is a channel of a client that sends everything at once.
type fakeChannel struct {
	io.Reader
	bytes.Buffer
}

func (c *fakeChannel) Read(p []byte) (int, error)  { return c.Reader.Read(p) }
func (c *fakeChannel) Write(p []byte) (int, error) { return c.Buffer.Write(p) }
func (c *fakeChannel) Close() error                { return nil }

// newFuzzArea returns a store with one file, and its area.
func newFuzzArea(f *testing.F) (*files.Store, *files.Area) {
	s, err := files.Open(f.TempDir(), 1<<20, clock.System())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	if err := s.WriteFile("data/pub/diagnostic/a.cap", []byte("a capture")); err != nil {
		f.Fatal(err)
	}
	return s, s.Area("admin")
}

// FuzzSCPSink sends random data to the sink, which must not crash, write outside of configuration/,
// or exceed the quota.
func FuzzSCPSink(f *testing.F) {
	for _, seed := range []string{
		"C0644 3 a\nabc\x00",
		"T1 0 1 0\nC0644 0 a\n\x00",
		"D0755 0 d\nC0644 1 a\nx\x00E\n",
		"D0755 0 ..\nE\n",
		"C0644 99999999999999999999 a\n",
		"\x01warning\n\x02fatal\n",
		"C0644 2000000 a\n",
	} {
		f.Add([]byte(seed), "configuration")
		f.Add([]byte(seed), "../..")
	}
	s, area := newFuzzArea(f)
	f.Fuzz(func(t *testing.T, data []byte, target string) {
		line := "scp -r -p -t -- '" + strings.ReplaceAll(target, "'", "") + "'"
		ch := &fakeChannel{Reader: bytes.NewReader(data)}
		ServeSCP(context.Background(), line, ch, area, SCPOptions{})
		if used, quota := s.Usage(); used > quota || used < 9 {
			t.Fatalf("%d bytes used", used)
		}
		list, err := area.ReadDir(files.Home)
		if err != nil || len(list) != 2 {
			t.Fatalf("%s contains %v, %v", files.Home, list, err)
		}
	})
}

// FuzzSFTP sends random packets. The session must not crash, leave a handle open, or change
// anything outside of configuration/.
func FuzzSFTP(f *testing.F) {
	open := append([]byte{0, 0, 0, 5, 0, 0, 0, 21}, "/configuration/fuzz.x"...)
	f.Add(append([]byte{3}, append(open, 0, 0, 0, 0x1a, 0, 0, 0, 0)...)) // OPEN for writing
	f.Add([]byte{9, 0, 0, 0, 1, 0, 0, 0, 1, '/'})                        // a truncated SETSTAT
	f.Add([]byte{5, 0, 0, 0, 1, 0, 0, 0, 1, '1', 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9})
	s, area := newFuzzArea(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		in := []byte{0, 0, 0, 5, 1, 0, 0, 0, 3} // INIT
		for len(data) > 0 {                     // the first byte of each packet is its length - 1
			n := min(int(data[0])+1, len(data))
			in = append(binary.BigEndian.AppendUint32(in, uint32(n)), data[:n]...)
			data = data[n:]
		}
		ch := &fakeChannel{Reader: bytes.NewReader(in)}
		err := ServeSFTP(context.Background(), ch, area, SFTPOptions{})
		if errors.Is(err, errTooManyOpen) {
			t.Error(err)
		}
		if used, quota := s.Usage(); used > quota {
			t.Fatalf("%d bytes used", used)
		}
		if list, err := area.ReadDir(files.Home); err != nil || len(list) != 2 {
			t.Fatalf("%s contains %v, %v", files.Home, list, err)
		}
	})
}

// FuzzFTPAddress checks that addresses that PORT and EPRT accept can be connected to.
func FuzzFTPAddress(f *testing.F) {
	for _, seed := range []string{
		"127,0,0,1,4,1", "1,2", "|1|127.0.0.1|80|", "|2|::1|80|", "|1", "||||", "",
		"|2|::ffff:1.2.3.4|80|", "|2|fe80::1%eth0|80|",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		for _, parse := range []func(string) (netip.AddrPort, error){parsePort, parseEPRT} {
			a, err := parse(arg)
			if err == nil && (!a.IsValid() || a.Port() == 0 || a.Addr().Zone() != "") {
				t.Errorf("%q: %v", arg, a)
			}
		}
	})
}

// FuzzTelnet checks that the filter's result does not depend on how the data is split.
func FuzzTelnet(f *testing.F) {
	f.Add([]byte("NOOP\r\n\xff\xf4\xff\xf2ABOR\r\n"), 3)
	f.Fuzz(func(t *testing.T, data []byte, split int) {
		split = max(0, min(split, len(data)))
		var whole, parts telnetFilter
		want := string(whole.filter(bytes.Clone(data)))
		got := string(parts.filter(bytes.Clone(data[:split])))
		got += string(parts.filter(bytes.Clone(data[split:])))
		if got != want {
			t.Errorf("%q whole, %q in parts", want, got)
		}
	})
}

// noNetwork is a network.Transport without a network.
type noNetwork struct{}

func (noNetwork) Listen(context.Context, network.ListenConfig) (network.Listener, error) {
	return nil, errors.ErrUnsupported
}

func (noNetwork) Dial(context.Context, network.DialConfig) (network.Conn, error) {
	return nil, errors.ErrUnsupported
}

func (noNetwork) ListenPacket(context.Context, network.DialConfig) (network.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

// FuzzFTPCommands sends command lines to a session that has logged in. Every line that it answers
// with has the form of a reply, and the session ends when the client asks for it.
func FuzzFTPCommands(f *testing.F) {
	store, _ := newFuzzArea(f)
	server := NewFTPServer(FTPOptions{
		Net: noNetwork{},
		Verify: func(user, _ string, _ netip.Addr) (FTPLogin, error) {
			return FTPLogin{Area: store.Area(user)}, nil
		},
	})
	for _, seed := range []string{
		"CWD configuration\r\nMKD a\r\nRNFR a\r\nRNTO b\r\nMLST b\r\nSTAT -lR /\r\nRMD b",
		"OPTS MLST size;\r\nFEAT\r\nHELP\r\nSITE CHMOD 1 x\r\nALLO -1\r\nREST 99999999999999999",
		"PASV\r\nEPSV 3\r\nPORT 1,2\r\nEPRT |1|127.0.0.1|80|\r\nRETR a\r\nSTOR configuration/x",
		"USER x\r\nPASS\r\nABOR\r\n\x00\r\n \r\n\xff\xf4\nMFMT 20150101000000 x\r\nSTAT *[\r\nCWD ..",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		client, conn := net.Pipe()
		addr := netip.MustParseAddrPort("127.0.0.1:1024")
		session := newFTPConn(server, conn, 1, addr, addr)
		go func() {
			text := "USER admin\r\nPASS x\r\n" + string(lines) + "\r\nQUIT\r\n"
			io.WriteString(client, text) //nolint:errcheck // the session may end before
		}()
		ended := make(chan struct{})
		go func() { defer close(ended); session.serve() }()
		output, _ := io.ReadAll(client)
		client.Close()
		<-ended
		for line := range strings.Lines(string(output)) {
			reply := len(line) > 4 && strings.Trim(line[:3], "0123456789") == "" &&
				(line[3] == ' ' || line[3] == '-')
			if !strings.HasSuffix(line, "\r\n") || !reply && line[0] != ' ' {
				t.Errorf("after %q: %q", lines, line)
			}
		}
		text := strings.TrimSuffix(string(output), "\r\n")
		last := text[strings.LastIndexByte(text, '\n')+1:]
		if !strings.HasPrefix(last, "221 ") && !strings.HasPrefix(last, "421 ") {
			t.Errorf("after %q the last reply is %q", lines, last)
		}
	})
}
