package networktest

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/network"
)

// A tapRecording holds the frames that a tap was shown.
type tapRecording struct {
	network.Tap
	mu     sync.Mutex
	frames []network.Frame
}

func record(t *testing.T, n network.Network, c network.TapConfig) *tapRecording {
	t.Helper()
	r := new(tapRecording)
	c.Sink = func(f network.Frame) {
		f.Data = bytes.Clone(f.Data)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.frames = append(r.frames, f)
	}
	tap, err := n.Tap(c)
	supported(t, err)
	r.Tap = tap
	t.Cleanup(func() { tap.Close() })
	return r
}

func (r *tapRecording) all() []network.Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

func decode(f network.Frame) gopacket.Packet {
	return gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.Default)
}

// flow describes the recorded TCP segments: "out SYN", "in PSH ACK 5".
func (r *tapRecording) flow() []string {
	var segments []string
	for _, f := range r.all() {
		p := decode(f)
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			continue
		}
		s := map[network.Direction]string{network.In: "in", network.Out: "out"}[f.Dir]
		for _, flag := range []struct {
			set  bool
			name string
		}{{tcp.SYN, "SYN"}, {tcp.FIN, "FIN"}, {tcp.RST, "RST"}, {tcp.PSH, "PSH"}, {tcp.ACK, "ACK"}} {
			if flag.set {
				s += " " + flag.name
			}
		}
		if n := len(tcp.Payload); n > 0 {
			s += fmt.Sprint(" ", n)
		}
		segments = append(segments, s)
	}
	return segments
}

func tapOrderAndContent(t *testing.T, f Fixture) {
	r := record(t, f.Net, network.TapConfig{Interface: f.Interface})
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	sendText(t, near, far, "hello")
	eventually(t, "the data are acknowledged", func() bool { return len(r.flow()) == 5 })
	far.Abort()
	eventually(t, "the reset was seen", func() bool { return len(r.flow()) == 6 })
	want := []string{"out SYN", "in SYN ACK", "out ACK", "out PSH ACK 5", "in ACK", "in RST ACK"}
	if d := cmp.Diff(want, r.flow()); d != "" {
		t.Errorf("segments (-want +got):\n%s", d)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	frames := r.all()
	first := decode(frames[0])
	arp, ok := first.Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || arp.Operation != layers.ARPRequest || frames[0].Dir != network.Out ||
		!bytes.Equal(arp.DstProtAddress, f.PeerAddr.AsSlice()) {
		t.Errorf("the first frame is no ARP request for %v: %v", f.PeerAddr, first)
	}
	x, _ := interfaceNamed(f.Net.Interfaces(), f.Interface)
	for i, frame := range frames {
		eth := decode(frame).LinkLayer().(*layers.Ethernet)
		own := eth.DstMAC
		if frame.Dir == network.Out {
			own = eth.SrcMAC
		}
		if !bytes.Equal(own, x.MAC) {
			t.Errorf("frame %d, direction %d, goes from %v to %v", i, frame.Dir, eth.SrcMAC, eth.DstMAC)
		}
		if frame.WireLen != len(frame.Data) || frame.Time.IsZero() ||
			i > 0 && frame.Time.Before(frames[i-1].Time) {
			t.Errorf("frame %d: %d of %d bytes at %v", i, len(frame.Data), frame.WireLen, frame.Time)
		}
	}
	if seen, kept := r.Stats(); seen != uint64(len(frames)) || kept != seen {
		t.Errorf("Stats returned %d seen and %d kept, want %d", seen, kept, len(frames))
	}
	_, _ = f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.PeerAddr})
	if n := len(r.all()); n != len(frames) {
		t.Errorf("%d frames after Close", n-len(frames))
	}
}

// tapChecksums sends data over TCP, UDP and ICMP. Every checksum must be right and no frame
// longer than the MTU, even if the implementation offloads checksums and segmentation.
func tapChecksums(t *testing.T, f Fixture) {
	r := record(t, f.Net, network.TapConfig{Interface: f.Interface})
	addrs := []netip.Addr{f.PeerAddr}
	if f.PeerAddr6.IsValid() {
		addrs = append(addrs, f.PeerAddr6)
	}
	for _, a := range addrs {
		near, far := connect(t, f.Net, f.Peer, a)
		go func() {
			_, _ = near.Write(make([]byte, 200_000))
			_ = near.CloseWrite()
		}()
		go func() {
			_, _ = far.Write(bytes.Repeat([]byte("odd"), 50_001))
			_ = far.CloseWrite()
		}()
		done := make(chan bool)
		go func() { drain(t, far, 200_000); done <- true }()
		drain(t, near, 150_003)
		<-done
		_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: a, DataSize: 57})
		supported(t, err)
		_, err = f.Net.Probe(withTimeout(t), network.ProbeRequest{
			Dst: a, TTL: 9, Port: 33434, PacketSize: 61,
		})
		supported(t, err)
	}
	r.Close()
	x, _ := interfaceNamed(f.Net.Interfaces(), f.Interface)
	for i, frame := range r.all() {
		p := decode(frame)
		if e := p.ErrorLayer(); e != nil {
			t.Fatalf("frame %d: %v", i, e.Error())
		}
		for _, l := range p.Layers() { // checksums that cover a pseudo header
			if l, ok := l.(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); ok && p.NetworkLayer() != nil {
				_ = l.SetNetworkLayerForChecksum(p.NetworkLayer())
			}
		}
		bad, mismatches := p.VerifyChecksums()
		if bad != nil || len(mismatches) > 0 {
			t.Fatalf("frame %d: %v, %+v\n%v", i, bad, mismatches, p)
		}
		if len(frame.Data) > x.MTU+14 {
			t.Fatalf("frame %d has %d bytes, MTU is %d", i, len(frame.Data), x.MTU)
		}
	}
}

func drain(t *testing.T, c network.Conn, want int) {
	n := 0
	b := make([]byte, 65536)
	for {
		k, err := c.Read(b)
		if n += k; err != nil {
			break
		}
	}
	if n != want {
		t.Errorf("%d of %d bytes arrived", n, want)
	}
}

func tapSnapAndMatch(t *testing.T, f Fixture) {
	r := record(t, f.Net, network.TapConfig{
		Interface: f.Interface, SnapLen: 60,
		Match: func(frame []byte, wireLen int) bool { return wireLen > 1000 && len(frame) == wireLen },
	})
	for _, size := range []int{56, 1200} {
		_, err := f.Net.Ping(withTimeout(t), network.PingRequest{Dst: f.PeerAddr, DataSize: size})
		supported(t, err)
	}
	r.Close()
	frames := r.all()
	if len(frames) != 2 {
		t.Fatalf("kept %d frames, want request and reply", len(frames))
	}
	for _, frame := range frames {
		if len(frame.Data) != 60 || frame.WireLen != 1200+8+20+14 {
			t.Errorf("kept %d of %d bytes", len(frame.Data), frame.WireLen)
		}
	}
	if seen, kept := r.Stats(); seen < 4 || kept != 2 {
		t.Errorf("Stats returned %d seen and %d kept, want at least 4 and 2", seen, kept)
	}
}

func tapErrors(t *testing.T, f Fixture) {
	c := network.TapConfig{Interface: "no such", Sink: func(network.Frame) {}}
	if tap, err := f.Net.Tap(c); err == nil {
		tap.Close()
		t.Error("an interface that does not exist can be tapped")
	}
}

// counters checks that an interface's counters agree with a tap.
func counters(t *testing.T, f Fixture) {
	r := record(t, f.Net, network.TapConfig{Interface: f.Interface})
	before, err := f.Net.Counters(f.Interface)
	supported(t, err)
	near, far := connect(t, f.Net, f.Peer, f.PeerAddr)
	sendText(t, near, far, string(make([]byte, 5000)))
	far.Abort()
	_, _ = near.Read(make([]byte, 1))
	var want, got network.Counters
	eventually(t, "counters agree with the tap", func() bool {
		after, err := f.Net.Counters(f.Interface)
		supported(t, err)
		got = network.Counters{
			RxPackets: after.RxPackets - before.RxPackets, RxBytes: after.RxBytes - before.RxBytes,
			TxPackets: after.TxPackets - before.TxPackets, TxBytes: after.TxBytes - before.TxBytes,
		}
		want = network.Counters{}
		for _, frame := range r.all() {
			if frame.Dir == network.In {
				want.RxPackets++
				want.RxBytes += uint64(frame.WireLen)
			} else {
				want.TxPackets++
				want.TxBytes += uint64(frame.WireLen)
			}
		}
		return got == want && want.TxPackets > 4
	})
	if _, err := f.Net.Counters("no such"); err == nil {
		t.Error("an interface that does not exist has counters")
	}
}
