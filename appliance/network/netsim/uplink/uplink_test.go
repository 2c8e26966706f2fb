package uplink_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/uplink"
)

// timeout bounds every wait of these tests.
const timeout = 2 * time.Minute

// A world is a segment with one machine, as far as an uplink sees one.
type world struct {
	t       testing.TB
	up      *uplink.Uplink
	segment *ether.Segment
	machine *ether.Port
	frames  chan []byte        // that the machine has received
	keep    func(frame []byte) // if it is set, it gets the frames in place of frames
}

// newWorld returns a world whose machine has a MAC that ends in n, and the address 192.0.2.addr.
func newWorld(t testing.TB, n, addr byte, to string, change ...func(*uplink.Config)) *world {
	t.Helper()
	target, err := topology.ParseUplinkTarget(to)
	if err != nil {
		t.Fatal(err)
	}
	c := uplink.Config{
		Uplink: topology.Uplink{
			Interface: "Data 1", To: target, StormLimit: 100, ProbeTime: time.Millisecond,
		},
	}
	for _, f := range change {
		f(&c)
	}
	w := &world{t: t, frames: make(chan []byte, 1000)}
	if w.up, err = uplink.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.up.Close)
	fabric := ether.NewFabric(ether.Options{Rand: entropy.Seeded(1).Stream("ether")})
	t.Cleanup(fabric.Close)
	w.segment = fabric.NewSegment("lan")
	w.machine = w.segment.NewNodePort("machine", mac(n), 9000, func(f []byte) {
		switch {
		case w.keep != nil:
			w.keep(bytes.Clone(f))
		case f[0] == 0x33: // a kernel asks for groups of IPv6
		case !isARP(f):
			w.frames <- bytes.Clone(f)
		case f[21] == 1 && bytes.Equal(f[38:42], []byte{192, 0, 2, addr}): // a request for its address
			reply := frame(ether.MAC(f[6:12]), mac(n), "")
			reply = append(reply, f[14:20]...)
			reply[12], reply[13] = 0x08, 0x06
			reply = append(append(reply, 0, 2, 2, 0, 0, 0, 0, n, 192, 0, 2, addr), f[22:32]...)
			w.machine.Transmit(reply)
		}
	})
	w.up.Attach(uplink.Attachment{
		Segment: w.segment, Appliance: w.machine,
		Addrs: func() []netip.Addr { return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, addr})} },
	})
	return w
}

func (w *world) start() error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return w.up.Start(ctx)
}

// mustStart starts the uplink and waits for its carrier.
func (w *world) mustStart() {
	w.t.Helper()
	if err := w.start(); err != nil {
		w.t.Fatal(err)
	}
}

// waitFor waits until f is true.
func waitFor(t testing.TB, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	for !f() {
		if clock.System().Sleep(ctx, time.Millisecond) != nil {
			t.Fatalf("after %v this is not true: %s", timeout, what)
		}
	}
}

func (w *world) waitCarrier(on bool) {
	w.t.Helper()
	waitFor(w.t, "carrier", func() bool { return w.up.State().Connected == on && w.machine.Plugged() == on })
}

func (w *world) next() []byte {
	w.t.Helper()
	select {
	case f := <-w.frames:
		return f
	case <-time.After(timeout):
		w.t.Fatalf("nothing arrives; %+v", w.up.State())
		return nil
	}
}

func mac(n byte) ether.MAC { return ether.MAC{2, 0, 0, 0, 0, n} }

func isARP(f []byte) bool { return f[12] == 0x08 && f[13] == 0x06 }

func frame(dst, src ether.MAC, payload string) []byte {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	return append(append(f, 0x88, 0xb5), payload...)
}

// transfer sends frames both ways and compares them.
func transfer(t *testing.T, a, b *world) {
	t.Helper()
	for _, size := range []int{0, 1, 46, 1500, 4000, 9000} {
		text := strings.Repeat("x", size)
		for _, way := range [][2]*world{{a, b}, {b, a}} {
			f := frame(way[1].machine.MAC(), way[0].machine.MAC(), text)
			way[0].machine.Transmit(f)
			if got := way[1].next(); !bytes.Equal(got, f) {
				t.Fatalf("a frame of %d bytes arrives as %d bytes", len(f), len(got))
			}
		}
	}
}

func TestStreamJoinsTwoWorlds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	a, b := newWorld(t, 1, 1, "unix:"+path), newWorld(t, 2, 2, "unix:"+path)
	a.mustStart()
	if a.up.State().Connected || a.machine.Plugged() {
		t.Error("there is a carrier without another end")
	}
	b.mustStart()
	a.waitCarrier(true)
	b.waitCarrier(true)
	transfer(t, a, b)

	// The end that listens goes; the other one takes its place.
	a.up.Close()
	b.waitCarrier(false)
	c := newWorld(t, 3, 3, "unix:"+path)
	c.mustStart()
	b.waitCarrier(true)
	c.waitCarrier(true)
	transfer(t, b, c)
}

func TestStreamHasTwoEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	a, b := newWorld(t, 1, 1, "unix:"+path+",server=on"), newWorld(t, 2, 2, "unix:"+path+",server=off")
	c := newWorld(t, 3, 3, "unix:"+path+",server=off")
	a.mustStart()
	b.mustStart()
	a.waitCarrier(true)
	b.waitCarrier(true)
	c.mustStart()
	waitFor(t, "a third end is turned away", func() bool { return c.up.State().Reason != "not started" })
	transfer(t, a, b)
	b.up.Close()
	c.waitCarrier(true)
	a.waitCarrier(true)
	transfer(t, a, c)
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	a, b := newWorld(t, 1, 1, "unix:"+path), newWorld(t, 2, 2, "unix:"+path)
	a.mustStart()
	b.mustStart()
	a.waitCarrier(true)
	b.waitCarrier(true)
	transfer(t, a, b)
}

func TestFileThatIsNoSocketStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newWorld(t, 1, 1, "unix:"+path+",server=on")
	if err := a.start(); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("start over a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "text" {
		t.Errorf("the file is lost: %q, %v", text, err)
	}
	b := newWorld(t, 1, 1, "unix:"+filepath.Join(t.TempDir(), "no/such/directory"))
	if err := b.start(); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("start without a directory: %v", err)
	}
}

// The framing is that of QEMU: four bytes of length, then the frame.
func TestStreamFraming(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	a := newWorld(t, 1, 1, "unix:"+path)
	a.mustStart()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read := func() []byte {
		var length [4]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			t.Fatal(err)
		}
		f := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(conn, f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for range 3 {
		if f := read(); !isARP(f) || len(f) != 42 {
			t.Fatalf("the first frames are % x, want probes", f)
		}
	}
	a.waitCarrier(true)
	f := frame(mac(9), mac(1), "out")
	a.machine.Transmit(f)
	if got := read(); !bytes.Equal(got, f) {
		t.Errorf("% x leaves as % x", f, got)
	}
	// Two frames at once, the second in two parts.
	var both []byte
	for _, text := range []string{"one", "two"} {
		f := frame(mac(1), mac(9), text)
		both = append(binary.BigEndian.AppendUint32(both, uint32(len(f))), f...)
	}
	conn.Write(both[:len(both)-5])
	if got := string(a.next()[14:]); got != "one" {
		t.Errorf("got %q", got)
	}
	conn.Write(both[len(both)-5:])
	if got := string(a.next()[14:]); got != "two" {
		t.Errorf("got %q", got)
	}
	conn.Write([]byte("no framing at all"))
	a.waitCarrier(false)
}

func TestDatagramsJoinTwoWorlds(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	a, b := newWorld(t, 1, 1, "unix:"+one+",dgram="+two), newWorld(t, 2, 2, "unix:"+two+",dgram="+one)
	a.mustStart()
	if a.machine.Plugged() {
		t.Error("there is a carrier without another end")
	}
	b.mustStart()
	a.waitCarrier(true)
	b.waitCarrier(true)
	transfer(t, a, b)
	b.up.Close()
	a.waitCarrier(false)
}

// An end keeps its socket while the other one is absent, which waits for it in the same way.
func TestDatagramsWaitForEachOther(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	a := newWorld(t, 1, 1, "unix:"+one+",dgram="+two)
	a.mustStart()
	for range 3 { // without its socket, the end would have one only now and then
		c, err := net.Dial("unixgram", one)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		_ = clock.System().Sleep(t.Context(), 20*time.Millisecond)
	}
	b := newWorld(t, 2, 2, "unix:"+two+",dgram="+one)
	b.mustStart()
	a.waitCarrier(true)
	b.waitCarrier(true)
	transfer(t, a, b)
}

// freePort returns a UDP port of 127.0.0.1 that is free.
func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	return port
}

func TestTunnelJoinsTwoWorlds(t *testing.T) {
	one, two := freePort(t), freePort(t)
	a := newWorld(t, 1, 1, "vxlan:127.0.0.1:"+two+"/42,local=127.0.0.1:"+one)
	b := newWorld(t, 2, 2, "vxlan:127.0.0.1:"+one+"/42,local=127.0.0.1:"+two)
	a.mustStart()
	b.mustStart()
	transfer(t, a, b)
}

// The header is that of RFC 7348, and nothing else is let in.
func TestTunnelHeader(t *testing.T) {
	peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	_, port, _ := net.SplitHostPort(peer.LocalAddr().String())
	own := freePort(t)
	a := newWorld(t, 1, 1, "vxlan:127.0.0.1:"+port+"/66051,local=127.0.0.1:"+own)
	a.mustStart()
	buf := make([]byte, 2000)
	peer.SetReadDeadline(time.Now().Add(timeout))
	n, from, err := peer.ReadFromUDP(buf)
	if err != nil || !bytes.Equal(buf[:8], []byte{8, 0, 0, 0, 1, 2, 3, 0}) || n != 8+42 {
		t.Fatalf("the first datagram is % x, %v", buf[:n], err)
	}
	header := []byte{8, 0, 0, 0, 1, 2, 3, 0}
	send := func(header []byte, text string) {
		if _, err := peer.WriteToUDP(append(bytes.Clone(header), frame(mac(1), mac(9), text)...), from); err != nil {
			t.Fatal(err)
		}
	}
	send([]byte{8, 0, 0, 0, 1, 2, 4, 0}, "another network")
	send([]byte{0, 0, 0, 0, 1, 2, 3, 0}, "no number")
	peer.WriteToUDP(header[:5], from)
	send(header, "right")
	if got := string(a.next()[14:]); got != "right" {
		t.Errorf("%q is let in", got)
	}
}

func TestOneMACTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	slow := func(c *uplink.Config) { c.Uplink.ProbeTime = timeout }
	a, b := newWorld(t, 1, 1, "unix:"+path), newWorld(t, 1, 2, "unix:"+path, slow)
	a.mustStart()
	if err := b.start(); err == nil || !strings.Contains(err.Error(), "has the MAC address 02:00:00:00:00:01") {
		t.Errorf("the second machine with one MAC starts: %v", err)
	}
}

func TestOneAddressTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	slow := func(c *uplink.Config) { c.Uplink.ProbeTime = timeout }
	a, b := newWorld(t, 1, 7, "unix:"+path), newWorld(t, 2, 7, "unix:"+path, slow)
	a.mustStart()
	if err := b.start(); err == nil || !strings.Contains(err.Error(), "has the address 192.0.2.7") {
		t.Errorf("the second machine with one address starts: %v", err)
	}
}

// connect returns the outside end of a's cable, after the probes.
func connect(t testing.TB, a *world, path string) net.Conn {
	t.Helper()
	a.mustStart()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go io.Copy(io.Discard, conn)
	a.waitCarrier(true)
	return conn
}

func sendFrame(conn net.Conn, f []byte) {
	conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...))
}

func TestFramesAreValidated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	a := newWorld(t, 1, 1, "unix:"+path)
	conn := connect(t, a, path)
	ip := func(version, header byte, total uint16) []byte {
		f := frame(mac(1), mac(9), strings.Repeat("\x00", 60))
		f[12], f[13], f[14] = 0x08, 0x00, version<<4|header
		binary.BigEndian.PutUint16(f[16:], total)
		return f
	}
	ipv6 := frame(mac(1), mac(9), "\x60\x00\x00\x00\xff\xff"+strings.Repeat("\x00", 40))
	ipv6[12], ipv6[13] = 0x86, 0xdd
	tag := frame(mac(1), mac(9), "\x00")
	tag[12], tag[13] = 0x81, 0x00
	shortARP := frame(mac(1), mac(9), "too short")
	shortARP[12], shortARP[13] = 0x08, 0x06
	invalid := [][]byte{
		[]byte("short"),
		frame(mac(1), mac(9), strings.Repeat("x", 9005)),
		frame(mac(1), ether.Broadcast(), "from a group"),
		frame(mac(1), ether.MAC{}, "from nobody"),
		frame(mac(1), mac(1), "from the machine itself"),
		ip(4, 4, 60), ip(4, 5, 19), ip(4, 5, 61), ip(6, 5, 60), ipv6, tag, shortARP,
	}
	for _, f := range invalid {
		sendFrame(conn, f)
	}
	sendFrame(conn, frame(mac(7), mac(9), "for another machine"))
	sendFrame(conn, frame(mac(1), mac(9), "right"))
	if got := string(a.next()[14:]); got != "right" {
		t.Errorf("%q is let in", got)
	}
	if s := a.up.State(); s.Invalid != uint64(len(invalid)) || s.Foreign != 1 || s.Received != 1 {
		t.Errorf("%d frames are invalid, counted: %+v", len(invalid), s)
	}
}

func TestStormsStayInside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	a := newWorld(t, 1, 1, "unix:"+path, func(c *uplink.Config) { c.Uplink.StormLimit = 10 })
	connect(t, a, path)
	for range 500 {
		a.machine.Transmit(frame(ether.Broadcast(), mac(1), "storm"))
	}
	a.machine.Transmit(frame(mac(9), mac(1), "to one machine"))
	waitFor(t, "all frames have been counted", func() bool {
		s := a.up.State()
		return s.Sent > 0 && s.Storms > 0 && s.Sent+s.Storms == 501
	})
	if s := a.up.State(); s.Storms < 250 {
		t.Errorf("only %d of 500 frames are held back", s.Storms)
	}
}

// A world that follows another one on the same cable is connected at once, and the outside sees
// nothing of it.
func TestWorldsFollowOneAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cable")
	a, b := newWorld(t, 1, 1, "unix:"+path), newWorld(t, 2, 2, "unix:"+path)
	a.mustStart()
	b.mustStart()
	a.waitCarrier(true)
	b.waitCarrier(true)
	old := a.machine
	a.up.Detach()
	b.machine.Transmit(frame(mac(1), mac(2), "while there is no world"))
	a.segment = old.Fabric().NewSegment("lan of the next world")
	a.machine = a.segment.NewNodePort("machine", mac(1), 9000, func(f []byte) { a.frames <- bytes.Clone(f) })
	a.up.Attach(uplink.Attachment{
		Segment: a.segment, Appliance: a.machine, Addrs: func() []netip.Addr { return nil },
	})
	if !a.machine.Plugged() || !b.machine.Plugged() {
		t.Error("the carrier is lost")
	}
	a.machine.Transmit(frame(mac(2), mac(1), "next"))
	if got := string(b.next()[14:]); got != "next" {
		t.Errorf("got %q", got)
	}
}

func TestUnsupportedSystems(t *testing.T) {
	for _, to := range []string{"tap:esa0", "packet:eth0"} {
		target, _ := topology.ParseUplinkTarget(to)
		u, err := uplink.New(uplink.Config{Uplink: topology.Uplink{Interface: "Data 1", To: target, StormLimit: 1}})
		if err == nil {
			u.Close()
		} else if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", to, err)
		}
	}
}
