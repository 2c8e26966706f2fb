package uplink_test

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/ether"
	"github.com/esasim/esasim/appliance/tooltest"
)

// nextOffloaded returns the next TCP frame with the header before it.
func (s *rawSocket) nextOffloaded() (header, frame []byte) {
	s.t.Helper()
	for {
		b := s.read()
		if f := b[10:]; f[12] == 0x08 && f[13] == 0x00 {
			return b[:10], f
		}
	}
}

// ethtool switches what an interface does itself.
func ethtool(t *testing.T, name, words string) {
	t.Helper()
	args := append([]string{"-K", name}, strings.Fields(words)...)
	if out, err := exec.Command(tooltest.Path(t, "ethtool"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ethtool -K %s %s: %v: %s", name, words, err, out)
	}
}

// outgoing returns a TCP frame of the machine 1 with much data.
func outgoing(data int) []byte {
	f := tcpFrame(data)
	f[5], f[11] = f[11], f[5]
	return f
}

// What a stack hands over in one piece leaves in one piece if the interface splits data, and in
// frames otherwise. Both have the bytes of the frames that a capture shows.
func TestDataOfManySegmentsLeavesInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	veth(t)
	a := newWorld(t, 1, 1, "packet:ve0")
	a.mustStart()
	a.waitCarrier(true)
	raw := newRawSocket(t, "ve1")
	const size, data = 1000, 2500
	seen := make(chan []byte, 10)
	defer a.machine.Tap(func(_ time.Time, d network.Direction, f []byte) {
		if d == network.Out && f[13] == 0x00 {
			seen <- bytes.Clone(f)
		}
	})()
	want := outgoing(data)

	a.machine.TransmitTrainAfter(0, ether.NewTrain(want, size))
	header, f := raw.nextOffloaded()
	if header[1] != 1 || binary.NativeEndian.Uint16(header[4:]) != size || len(f) != len(want) ||
		!bytes.Equal(f[54:], want[54:]) {
		t.Errorf("%d bytes of data leave as a frame of %d bytes with the header % x", data, len(f), header)
	}
	for range 3 {
		<-seen
	}
	waitFor(t, "three frames are counted", func() bool { return a.up.State().Sent == 3 })

	ethtool(t, "ve0", "tso off gso off tx off")
	ethtool(t, "ve1", "gro off rx off")
	waitFor(t, "the data leaves in frames", func() bool {
		for len(seen) > 0 {
			<-seen
		}
		a.machine.TransmitTrainAfter(0, ether.NewTrain(want, size))
		_, f := raw.nextOffloaded()
		if len(f) == 54+size {
			for i, n := range []int{1000, 1000, 500} {
				if i > 0 {
					_, f = raw.nextOffloaded()
				}
				if own := <-seen; len(f) != 54+n || !bytes.Equal(f, own) {
					t.Errorf("frame %d is\n% x\nand in a capture\n% x", i, f[:54], own[:54])
				}
			}
			return true
		}
		return false
	})
}

// Where a piece is split outside, the frames are those that a capture shows, to the byte.
func TestSplitOutsideAsInACaptureInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	veth(t)
	ip(t, true, "link add name sw0 type bridge")
	ip(t, true, "link add name vx0 type veth peer name vx1")
	ethtool(t, "vx0", "tso off gso off tx off") // so that the bridge splits what leaves there
	for _, name := range []string{"vx0", "vx1", "sw0"} {
		ip(t, false, "link set "+name+" addrgenmode none mtu 9000 up")
	}
	ip(t, false, "link set ve1 master sw0")
	ip(t, false, "link set vx0 master sw0")
	a := newWorld(t, 1, 1, "packet:ve0")
	a.mustStart()
	a.waitCarrier(true)
	raw := newRawSocket(t, "vx1")
	seen := make(chan []byte, 10)
	defer a.machine.Tap(func(_ time.Time, d network.Direction, f []byte) {
		if d == network.Out && f[13] == 0x00 {
			seen <- bytes.Clone(f)
		}
	})()
	for _, id := range []uint16{0, 7, 0xffff} {
		f := outgoing(2500)
		ipv4 := f[14:34]
		binary.BigEndian.PutUint16(ipv4[4:], id)
		binary.BigEndian.PutUint16(ipv4[10:], 0)
		binary.BigEndian.PutUint16(ipv4[10:], checksum(ipv4, 0))
		a.machine.TransmitTrainAfter(0, ether.NewTrain(f, 1000))
		for i := range 3 {
			header, got := raw.nextOffloaded()
			if own := <-seen; header[1] != 0 || !bytes.Equal(got, own) {
				t.Errorf("frame %d from the number %d is\n% x\nand in a capture\n% x", i, id, got[:54], own[:54])
			}
		}
	}
}

// Packets that are longer than the interface takes do not leave.
func TestInterfaceWithASmallMTUInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	veth(t)
	ip(t, false, "link set ve0 mtu 900")
	a := newWorld(t, 1, 1, "packet:ve0")
	a.mustStart()
	a.waitCarrier(true)
	raw := newRawSocket(t, "ve1")
	a.machine.TransmitTrainAfter(0, ether.NewTrain(outgoing(2500), 1000))
	a.machine.TransmitTrainAfter(0, ether.NewTrain(outgoing(1200), 800))
	var sizes []int
	for len(sizes) == 0 || sizes[len(sizes)-1] < 1200 {
		_, f := raw.nextOffloaded()
		sizes = append(sizes, len(f)-54)
	}
	if want := []int{500, 1200}; !slices.Equal(sizes, want) {
		t.Errorf("data of %v bytes leaves, want %v", sizes, want)
	}
}

// A flood from outside does not stop the program, and all of it is counted somewhere.
func TestFloodFromOutsideInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	veth(t)
	a := newWorld(t, 1, 1, "packet:ve0")
	a.mustStart()
	a.waitCarrier(true)
	raw := newRawSocket(t, "ve1")
	blocked := a.machine.Fabric()
	blocked.Hold() // the world does nothing meanwhile
	const flood = 50000
	f := frame(mac(1), mac(9), strings.Repeat("f", 1000))
	for range flood {
		raw.send([10]byte{}, f)
	}
	blocked.Release()
	count := func() (n uint64) {
		s := a.up.State()
		return s.Received + s.Flooded
	}
	waitFor(t, "all frames are counted", func() bool {
		for len(a.frames) > 0 {
			<-a.frames
		}
		return count() >= flood
	})
	if s := a.up.State(); s.Flooded == 0 || s.Received < 1000 {
		t.Errorf("of %d frames: %+v", flood, s)
	}
	// Then it works as before.
	f = frame(mac(9), mac(1), "after the flood")
	a.machine.Transmit(f)
	if got := raw.next(); !bytes.Equal(got, f) {
		t.Errorf("% x leaves as % x", f, got)
	}
}
