package transfer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
)

// A channel is a client that has said everything at once.
type channel struct {
	io.Reader
	bytes.Buffer
}

func (c *channel) Read(p []byte) (int, error)  { return c.Reader.Read(p) }
func (c *channel) Write(p []byte) (int, error) { return c.Buffer.Write(p) }
func (c *channel) Close() error                { return nil }

func fuzzArea(f *testing.F) (*files.Store, *files.Area) {
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

// Whatever a client sends, the sink neither crashes nor writes outside of
// configuration/, nor more than fits.
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
	s, area := fuzzArea(f)
	f.Fuzz(func(t *testing.T, data []byte, target string) {
		line := "scp -r -p -t -- '" + strings.ReplaceAll(target, "'", "") + "'"
		ServeSCP(context.Background(), line, &channel{Reader: bytes.NewReader(data)}, area, SCPOptions{})
		if used, quota := s.Usage(); used > quota || used < 9 {
			t.Fatalf("%d bytes used", used)
		}
		list, err := area.ReadDir(files.Home)
		if err != nil || len(list) != 2 {
			t.Fatalf("in %s there are %v, %v", files.Home, list, err)
		}
	})
}

// Whatever packets a client sends, the session neither crashes nor leaves a handle
// open, and nothing outside of configuration/ is changed.
func FuzzSFTP(f *testing.F) {
	open := append([]byte{0, 0, 0, 5, 0, 0, 0, 21}, "/configuration/fuzz.x"...)
	f.Add(append([]byte{3}, append(open, 0, 0, 0, 0x1a, 0, 0, 0, 0)...)) // OPEN for writing
	f.Add([]byte{9, 0, 0, 0, 1, 0, 0, 0, 1, '/'})                        // SETSTAT, cut short
	f.Add([]byte{5, 0, 0, 0, 1, 0, 0, 0, 1, '1', 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9})
	s, area := fuzzArea(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		in := []byte{0, 0, 0, 5, 1, 0, 0, 0, 3} // INIT
		for len(data) > 0 {                     // the first byte of each packet says how long it is
			n := min(int(data[0])+1, len(data))
			in = append(binary.BigEndian.AppendUint32(in, uint32(n)), data[:n]...)
			data = data[n:]
		}
		if err := ServeSFTP(context.Background(), &channel{Reader: bytes.NewReader(in)}, area, SFTPOptions{}); errors.Is(err, errTooManyOpen) {
			t.Error(err)
		}
		if used, quota := s.Usage(); used > quota {
			t.Fatalf("%d bytes used", used)
		}
		if list, err := area.ReadDir(files.Home); err != nil || len(list) != 2 {
			t.Fatalf("in %s there are %v, %v", files.Home, list, err)
		}
	})
}

// What PORT and EPRT accept is an address and a port to connect to.
func FuzzFTPAddress(f *testing.F) {
	for _, seed := range []string{"127,0,0,1,4,1", "1,2", "|1|127.0.0.1|80|", "|2|::1|80|", "|1", "||||", "", "|2|::ffff:1.2.3.4|80|", "|2|fe80::1%eth0|80|"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		for _, parse := range []func(string) (netip.AddrPort, error){parsePort, parseEPRT} {
			if a, err := parse(arg); err == nil && (!a.IsValid() || a.Port() == 0 || a.Addr().Zone() != "") {
				t.Errorf("%q: %v", arg, a)
			}
		}
	})
}

// Telnet's codes never reach the command line, however they are cut.
func FuzzTelnet(f *testing.F) {
	f.Add([]byte("NOOP\r\n\xff\xf4\xff\xf2ABOR\r\n"), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		cut = max(0, min(cut, len(data)))
		var whole, parts telnetFilter
		want := string(whole.filter(bytes.Clone(data)))
		got := string(parts.filter(bytes.Clone(data[:cut]))) + string(parts.filter(bytes.Clone(data[cut:])))
		if got != want {
			t.Errorf("%q whole, %q in parts", want, got)
		}
	})
}
