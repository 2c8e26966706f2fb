package vnet_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network"
)

// The SYN has the window, the segment size and the window scale that are attested of the
// appliance (A8: Win=16384, MSS=1460, WS=0, SACK permitted).
func TestSYNIsThatOfTheAppliance(t *testing.T) {
	p := newPair(t, false)
	seen := recordSegments(p.a.Port("Data 1"))
	p.connect(t, p.a, p.b, addrB)
	syn := seen.list()[0]
	got := []string{fmt.Sprint("window ", syn.Window)}
	for _, o := range syn.Options {
		switch o.OptionType {
		case layers.TCPOptionKindMSS, layers.TCPOptionKindWindowScale:
			got = append(got, fmt.Sprintf("%v %x", o.OptionType, o.OptionData))
		case layers.TCPOptionKindSACKPermitted:
			got = append(got, o.OptionType.String())
		}
	}
	want := []string{"window 16384", "MSS 05b4", "SACKPermitted", "WindowScale 00"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("SYN (-want +got):\n%s", d)
	}
}

// An established connection offers the largest window that there is without a scale while up to
// 64 KiB wait for its program, and holds 128 KiB.
func TestWindowOfTheAppliance(t *testing.T) {
	p := newPair(t, false)
	seen := recordSegments(p.a.Port("Data 1"))
	near, far := p.connect(t, p.a, p.b, addrB)
	held := writeUntilFull(far)
	if held < 64<<10 || held > 128<<10 {
		t.Errorf("%d bytes are acknowledged that no program has read", held)
	}
	port := uint16(near.LocalAddr().(*net.TCPAddr).Port)
	var first uint32
	for _, s := range seen.list() {
		switch {
		case s.SrcPort != layers.TCPPort(port):
		case s.SYN:
		case first == 0:
			first = s.Ack
		case s.Ack-first < 64<<10 && s.Window != 65535:
			t.Errorf("the window is %d after %d bytes", s.Window, s.Ack-first)
		}
	}
}

// writeUntilFull writes until no more data is accepted or acknowledged, and returns how much was
// acknowledged.
func writeUntilFull(c network.Conn) int64 {
	for before := int64(-1); before != c.Acknowledged(); {
		before = c.Acknowledged()
		c.SetWriteDeadline(clock.System().Now().Add(300 * time.Millisecond))
		for err, chunk := error(nil), make([]byte, 4096); err == nil; {
			_, err = c.Write(chunk)
		}
	}
	return c.Acknowledged()
}

// A listener can limit the data that its connections buffer.
func TestReceiveBufferOfAListener(t *testing.T) {
	p := newPair(t, false)
	held := func(buffer int) int64 {
		at := netip.AddrPortFrom(addrB, 514)
		l, err := p.b.Listen(t.Context(), network.ListenConfig{Addr: at, ReceiveBuffer: buffer})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := p.a.Dial(t.Context(), network.DialConfig{Remote: at})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		if _, err := l.AcceptConn(); err != nil {
			t.Fatal(err)
		}
		return writeUntilFull(c)
	}
	if little, much := held(4096), held(0); little >= much || little == 0 {
		t.Errorf("a connection buffers %d bytes with a limit of 4096, and %d without", little, much)
	}
}
