package uplink_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/tooltest"
)

// ip runs the command ip. With skip, the test is skipped if it fails.
func ip(t *testing.T, skip bool, words string) {
	t.Helper()
	out, err := exec.Command(tooltest.Path(t, "ip"), strings.Fields(words)...).CombinedOutput()
	switch {
	case err != nil && skip:
		t.Skipf("this kernel has no such interfaces: ip %s: %v: %s", words, err, out)
	case err != nil:
		t.Fatalf("ip %s: %v: %s", words, err, out)
	}
}

// veth makes the interfaces ve0 and ve1, which are connected and up, without IPv6 of the kernel.
func veth(t *testing.T) {
	t.Helper()
	ip(t, true, "link add name ve0 type veth peer name ve1")
	for _, name := range []string{"ve0", "ve1"} {
		ip(t, false, "link set "+name+" addrgenmode none mtu 9000 up")
	}
}

// A rawSocket sends and receives frames of an interface as the kernel does.
type rawSocket struct {
	t  *testing.T
	fd int
}

// newRawSocket opens a socket whose frames have a header of offloads before them.
func newRawSocket(t *testing.T, name string) *rawSocket {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0300) // ETH_P_ALL
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	n, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, n); err != nil {
		t.Fatal(err)
	}
	for _, option := range []int{unix.PACKET_VNET_HDR, unix.PACKET_IGNORE_OUTGOING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1); err != nil {
			t.Fatal(err)
		}
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 120})
	all := &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: int(n.Uint32())}
	if err := unix.Bind(fd, all); err != nil {
		t.Fatal(err)
	}
	return &rawSocket{t, fd}
}

func (s *rawSocket) send(header [10]byte, frame []byte) {
	s.t.Helper()
	if _, err := unix.Write(s.fd, append(header[:], frame...)); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next frame of another type than ARP.
func (s *rawSocket) next() []byte {
	s.t.Helper()
	for {
		if b := s.read(); !isARP(b[10:]) {
			return b[10:]
		}
	}
}

// read returns the next frame with the header before it.
func (s *rawSocket) read() []byte {
	s.t.Helper()
	b := make([]byte, 70000)
	for {
		switch n, err := unix.Read(s.fd, b); {
		case err == nil:
			return b[:n]
		case !errors.Is(err, unix.EINTR):
			s.t.Fatal("read a frame: ", err)
		}
	}
}

func offload(flags, kind byte, size, start, distance uint16) (h [10]byte) {
	h[0], h[1] = flags, kind
	binary.NativeEndian.PutUint16(h[4:], size)
	binary.NativeEndian.PutUint16(h[6:], start)
	binary.NativeEndian.PutUint16(h[8:], distance)
	return h
}

func TestPacketSocketInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	veth(t)
	a := newWorld(t, 1, 1, "packet:ve0")
	a.mustStart()
	a.waitCarrier(true)
	raw := newRawSocket(t, "ve1")

	for _, size := range []int{46, 1500, 9000} {
		f := frame(mac(9), mac(1), strings.Repeat("x", size))
		a.machine.Transmit(f)
		if got := raw.next(); !bytes.Equal(got, f) {
			t.Errorf("a frame of %d bytes leaves with %d bytes", len(f), len(got))
		}
		f = frame(mac(1), mac(9), strings.Repeat("y", size))
		raw.send([10]byte{}, f)
		if got := a.next(); !bytes.Equal(got, f) {
			t.Errorf("a frame of %d bytes arrives with %d bytes", len(f), len(got))
		}
	}
	// Tags of VLANs, which the kernel takes out of frames and does not put back.
	f := tagged(mac(1), mac(9), 5, strings.Repeat("z", 50))
	raw.send([10]byte{}, f)
	if got := a.next(); !bytes.Equal(got, f) {
		t.Errorf("a tagged frame arrives as % x", got)
	}
	f = tagged(mac(9), mac(1), 5, strings.Repeat("z", 9000))
	a.machine.Transmit(f)
	// The socket of the test sees it without its tag, as the kernel hands it over.
	if got := raw.next(); !bytes.Equal(got, slices.Concat(f[:12], f[16:])) {
		t.Errorf("a tagged frame leaves with %d bytes", len(got))
	}
	// Frames to other machines are not even counted: the kernel drops them.
	raw.send([10]byte{}, frame(mac(7), mac(9), "for another machine"))
	raw.send([10]byte{}, frame(mac(1), mac(9), "last"))
	if got := string(a.next()[14:18]); got != "last" {
		t.Errorf("got %q", got)
	}
	if s := a.up.State(); s.Foreign != 0 || s.Invalid != 0 {
		t.Errorf("its own frames, or those of others, are heard: %+v", s)
	}
}

func tagged(dst, src [6]byte, id byte, payload string) []byte {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	return append(append(f, 0x81, 0x00, 0x00, id, 0x88, 0xb5), payload...)
}

// A frame for which the kernel has left the checksum to the card, and one with the data of several
// segments, arrive as a card would have sent them.
func TestOffloadsAreFinished(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	veth(t)
	a := newWorld(t, 1, 1, "packet:ve0")
	a.mustStart()
	a.waitCarrier(true)
	raw := newRawSocket(t, "ve1")
	const size, data = 1000, 2500
	f := tcpFrame(data)
	raw.send(offload(1, 1, size, 34, 16), f)
	raw.send(offload(1, 0, 0, 34, 16), tcpFrame(100))
	var all []byte
	for i, want := range []int{1000, 1000, 500, 100} {
		got := a.next()
		if len(got) != 54+want {
			t.Fatalf("segment %d has %d bytes, want %d", i, len(got)-54, want)
		}
		if s := checksum(got[14:34], 0); s != 0 {
			t.Errorf("segment %d: the checksum of IP is wrong by %#x", i, s)
		}
		if s := checksum(got[34:], pseudo(got)); s != 0 {
			t.Errorf("segment %d: the checksum of TCP is wrong by %#x", i, s)
		}
		if seq := binary.BigEndian.Uint32(got[38:]); i < 3 && seq != 7+uint32(i*size) {
			t.Errorf("segment %d has the sequence number %d", i, seq)
		}
		if push := got[47]&8 != 0; push != (i >= 2) {
			t.Errorf("segment %d has PSH: %v", i, push)
		}
		if i < 3 {
			all = append(all, got[54:]...)
		}
	}
	if !bytes.Equal(all, f[54:]) {
		t.Error("the data of the segments is not what was sent")
	}
}

// tcpFrame returns a segment with the checksum of the pseudo header only.
func tcpFrame(data int) []byte {
	f := frame(mac(1), mac(9), "\x45\x00\x00\x00\x00\x05\x40\x00\x40\x06\x00\x00\xc0\x00\x02\x09\xc0\x00\x02\x01"+
		"\x04\x00\x00\x16\x00\x00\x00\x07\x00\x00\x00\x00\x50\x18\x10\x00\x00\x00\x00\x00")
	f[12], f[13] = 0x08, 0x00
	for i := range data {
		f = append(f, byte(i*7))
	}
	binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
	binary.BigEndian.PutUint16(f[24:], checksum(f[14:34], 0))
	binary.BigEndian.PutUint16(f[50:], ^checksum(nil, pseudo(f)))
	return f
}

// pseudo returns the sum of the pseudo header.
func pseudo(f []byte) uint32 {
	sum := uint32(6 + len(f) - 34)
	for i := 26; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(f[i:]))
	}
	return sum
}

func checksum(b []byte, sum uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// The carrier follows that of the interface, which need not exist yet.
func TestCarrierFollowsTheInterfaceInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	a := newWorld(t, 1, 1, "packet:ve0")
	a.mustStart()
	if s := a.up.State(); s.Connected || !strings.Contains(s.Reason, "no network interface ve0") {
		t.Errorf("without an interface: %+v", s)
	}
	veth(t)
	a.waitCarrier(true)
	ip(t, false, "link set ve1 down")
	a.waitCarrier(false)
	ip(t, false, "link set ve1 up")
	a.waitCarrier(true)
	ip(t, false, "link set ve0 down")
	a.waitCarrier(false)
	ip(t, false, "link del ve0")
	veth(t)
	a.waitCarrier(true)
	raw := newRawSocket(t, "ve1")
	f := frame(mac(9), mac(1), strings.Repeat("x", 50))
	a.machine.Transmit(f)
	if got := raw.next(); !bytes.Equal(got, f) {
		t.Errorf("% x leaves as % x", f, got)
	}
}

func TestLoopbackIsNoEthernet(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	ip(t, false, "link set lo up")
	a := newWorld(t, 1, 1, "packet:lo")
	if err := a.start(); err == nil || !strings.Contains(err.Error(), "no Ethernet") {
		t.Errorf("an uplink to lo: %v", err)
	}
}

func TestTAPDeviceInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	a := newWorld(t, 1, 1, "tap:esa0")
	if err := a.start(); err != nil {
		t.Skip("no TAP device can be made: ", err)
	}
	if s := a.up.State(); s.Connected || !strings.Contains(s.Reason, "is down") {
		t.Errorf("a new device: %+v", s)
	}
	ip(t, false, "link set esa0 addrgenmode none mtu 9000 up")
	a.waitCarrier(true)
	raw := newRawSocket(t, "esa0")
	for _, size := range []int{46, 1500, 9000} {
		f := frame(mac(9), mac(1), strings.Repeat("x", size))
		a.machine.Transmit(f)
		if got := raw.next(); !bytes.Equal(got, f) {
			t.Errorf("a frame of %d bytes leaves with %d bytes", len(f), len(got))
		}
		f = frame(mac(1), mac(9), strings.Repeat("y", size))
		raw.send([10]byte{}, f)
		if got := a.next(); !bytes.Equal(got, f) {
			t.Errorf("a frame of %d bytes arrives with %d bytes", len(f), len(got))
		}
	}
	ip(t, false, "link set esa0 down")
	a.waitCarrier(false)
	ip(t, false, "link set esa0 up")
	a.waitCarrier(true)
	// A second uplink cannot have it.
	b := newWorld(t, 2, 2, "tap:esa0")
	if err := b.start(); err == nil || !strings.Contains(err.Error(), "another program uses the device") {
		t.Errorf("a second uplink to the device: %v", err)
	}
	ip(t, false, "link del esa0")
	waitFor(t, "the device is made again", func() bool {
		return exec.Command("ip", "link", "set", "esa0", "addrgenmode", "none", "up").Run() == nil
	})
	a.waitCarrier(true)
}
