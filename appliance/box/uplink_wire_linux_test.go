package box_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/tooltest"
)

// allFrames is ETH_P_ALL in network order.
const allFrames = 0x0300

// A wireSocket sends and receives the frames of a network interface.
type wireSocket struct {
	t  *testing.T
	fd int
}

func newWireSocket(t *testing.T, name string) *wireSocket {
	t.Helper()
	n, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, option := range []int{unix.PACKET_AUXDATA, unix.PACKET_IGNORE_OUTGOING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, 1); err != nil {
			t.Fatal(err)
		}
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 120})
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: allFrames, Ifindex: n.Index}); err != nil {
		t.Fatal(err)
	}
	return &wireSocket{t, fd}
}

func (s *wireSocket) send(frame []byte) {
	s.t.Helper()
	if _, err := unix.Write(s.fd, frame); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next frame, with the tag of a VLAN where it was on the cable: the kernel hands it
// over beside the frame.
func (s *wireSocket) next() []byte {
	s.t.Helper()
	b, control := make([]byte, 70000), make([]byte, 100)
	n, m, _, _, err := unix.Recvmsg(s.fd, b, control, 0)
	for errors.Is(err, unix.EINTR) {
		n, m, _, _, err = unix.Recvmsg(s.fd, b, control, 0)
	}
	if err != nil {
		s.t.Fatal("nothing arrives: ", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:m])
	if err != nil {
		s.t.Fatal(err)
	}
	for _, x := range messages {
		status, tag := binary.NativeEndian.Uint32(x.Data), binary.NativeEndian.Uint16(x.Data[16:])
		if x.Header.Type == unix.PACKET_AUXDATA && status&unix.TP_STATUS_VLAN_VALID != 0 {
			return slices.Concat(b[:12], []byte{0x81, 0, byte(tag >> 8), byte(tag)}, b[12:n])
		}
	}
	return b[:n]
}

// await returns the next frame that ok accepts.
func (s *wireSocket) await(ok func(frame []byte) bool) []byte {
	s.t.Helper()
	for {
		if f := s.next(); ok(f) {
			return f
		}
	}
}

// plainPair makes two interfaces that are connected and do nothing by themselves.
func plainPair(t *testing.T) {
	t.Helper()
	tooltest.Need(t, "ethtool")
	here := tooltest.Here(t)
	here.IP("link set lo up")
	here.Link("name ve0 type veth peer name ve1")
	for _, name := range []string{"ve0", "ve1"} {
		here.IP("link set " + name + " addrgenmode none mtu 9000 up")
		here.Run("ethtool", append([]string{"-K", name}, strings.Fields("tx off rx off sg off tso off gso off gro off")...)...)
	}
	here.AwaitCarrier("ve0")
	here.AwaitCarrier("ve1")
}

// tapFrames collects the frames of an interface of an appliance.
func tapFrames(t *testing.T, x *box.Box, ifname string, dir network.Direction) (frames func() [][]byte) {
	t.Helper()
	var mu sync.Mutex
	var list [][]byte
	tap, err := x.Appliance().Net.Tap(network.TapConfig{Interface: ifname, Sink: func(f network.Frame) {
		if f.Dir == dir {
			mu.Lock()
			defer mu.Unlock()
			list = append(list, bytes.Clone(f.Data))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return func() [][]byte {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

var (
	testerMAC = []byte{2, 0, 0, 0, 0, 0x99}
	everybody = bytes.Repeat([]byte{0xff}, 6)
)

// taggedFrame returns a frame of the tester in a VLAN, or without a tag for 0.
func taggedFrame(to []byte, vlan int, kind uint16, payload []byte) []byte {
	f := slices.Concat(to, testerMAC)
	if vlan != 0 {
		f = append(f, 0x81, 0, byte(vlan>>8), byte(vlan))
	}
	return append(binary.BigEndian.AppendUint16(f, kind), payload...)
}

func arpMessage(op byte, mac []byte, from, to netip.Addr) []byte {
	m := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, mac...)
	m = append(m, from.AsSlice()...)
	return append(append(m, 0, 0, 0, 0, 0, 0), to.AsSlice()...)
}

// echoRequest returns a packet of ICMP with its checksums.
func echoRequest(from, to netip.Addr, text string) []byte {
	sum := func(b []byte) uint16 {
		var s uint32
		for i := 0; i+1 < len(b); i += 2 {
			s += uint32(b[i])<<8 | uint32(b[i+1])
		}
		for s>>16 != 0 {
			s = s&0xffff + s>>16
		}
		return ^uint16(s)
	}
	p := append([]byte{0x45, 0, 0, byte(28 + len(text)), 0, 1, 0, 0, 64, 1, 0, 0}, from.AsSlice()...)
	p = append(p, to.AsSlice()...)
	binary.BigEndian.PutUint16(p[10:], sum(p))
	m := append([]byte{8, 0, 0, 0, 0, 7, 0, 1}, text...)
	binary.BigEndian.PutUint16(m[2:], sum(m))
	return append(p, m...)
}

// The appliance's interface in a VLAN speaks in tagged frames through an uplink, and a capture of the
// trunk shows the frames that are outside, tags included.
func TestTrunkOfAnUplinkInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	plainPair(t)
	x := newUplinked(t, "a", "192.0.2.25", "packet:ve0")
	if err := x.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitConnected(t, x)
	const vlan = 12
	c := x.Appliance().Net.(network.Configurer)
	if err := c.SetVLANs([]network.VLAN{{ID: vlan, Parent: "Data 1"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetAddrs("VLAN 12", []netip.Prefix{netip.MustParsePrefix("10.0.12.25/24")}); err != nil {
		t.Fatal(err)
	}
	received := tapFrames(t, x, "Data 1", network.In)
	transmitted := tapFrames(t, x, "Data 1", network.Out)
	inVLAN := tapFrames(t, x, "VLAN 12", network.In)
	raw := newWireSocket(t, "ve1")
	tester, own := netip.MustParseAddr("10.0.12.1"), netip.MustParseAddr("10.0.12.25")
	tag := []byte{0x81, 0, 0, vlan}
	var sent, heard [][]byte
	exchange := func(f []byte, answer func(f []byte) bool) []byte {
		raw.send(f)
		sent = append(sent, f)
		got := raw.await(answer)
		heard = append(heard, got)
		return got
	}

	question := taggedFrame(everybody, vlan, 0x0806, arpMessage(1, testerMAC, tester, own))
	raw.send(taggedFrame(everybody, 13, 0x0806, arpMessage(1, testerMAC, tester, own))) // another VLAN
	raw.send(taggedFrame(everybody, 0, 0x0806, arpMessage(1, testerMAC, tester, own)))  // without a tag
	isReply := func(f []byte) bool { return bytes.Equal(f[:6], testerMAC) }
	reply := exchange(question, isReply)
	if !bytes.Equal(reply[12:16], tag) || binary.BigEndian.Uint16(reply[16:]) != 0x0806 {
		t.Fatalf("a tagged question is answered with % x", reply)
	}
	mac := reply[6:12]
	ping := taggedFrame(mac, vlan, 0x0800, echoRequest(tester, own, "in the VLAN."))
	reply = exchange(ping, func(f []byte) bool { return isReply(f) && f[16] == 8 })
	if !bytes.Equal(reply[12:16], tag) || !bytes.HasSuffix(reply, []byte("in the VLAN.")) {
		t.Errorf("a tagged ping is answered with % x", reply)
	}
	for _, f := range sent {
		if !slices.ContainsFunc(received(), func(g []byte) bool { return bytes.Equal(f, g) }) {
			t.Errorf("a capture of the trunk has not received\n% x", f)
		}
		if bare := slices.Concat(f[:12], f[16:]); !slices.ContainsFunc(inVLAN(), func(g []byte) bool { return bytes.Equal(bare, g) }) {
			t.Errorf("a capture of the VLAN has not received\n% x", bare)
		}
	}
	for _, f := range heard {
		if !slices.ContainsFunc(transmitted(), func(g []byte) bool { return bytes.Equal(f, g) }) {
			t.Errorf("a capture of the trunk has not sent\n% x", f)
		}
	}
	if n := len(inVLAN()); n != len(sent) {
		t.Errorf("%d frames are in the VLAN, want %d", n, len(sent))
	}
}

// By default only the appliance's own frames are outside, whatever happens in its world.
func TestNothingElseLeavesInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	plainPair(t)
	raw := newWireSocket(t, "ve1")
	x := newUplinked(t, "a", "192.0.2.25", "packet:ve0")
	if err := x.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitConnected(t, x)
	// A simulated neighbor uses the appliance, which also has another interface with a simulated world.
	client, err := net.Dial("tcp", x.DoorAddrs()["ssh"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	own := x.Appliance().Net.Interfaces()[0].MAC
	tester := taggedFrame(everybody, 0, 0x0806,
		arpMessage(1, testerMAC, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.25")))
	raw.send(tester) // is answered after all that was sent before
	for {
		f := raw.next()
		if !bytes.Equal(f[6:12], own) {
			t.Errorf("a frame of another machine leaves: % x", f)
		}
		if bytes.Equal(f[:6], testerMAC) {
			break
		}
		if f[12] == 0x08 && f[13] == 0x00 {
			t.Errorf("a packet leaves that nobody outside has asked for: % x", f)
		}
	}
}

// withMTU changes the MTU of Data 1.
func withMTU(mtu int) func(*topology.Topology) *topology.Topology {
	return func(topo *topology.Topology) *topology.Topology {
		topo.Appliance.Interfaces[0].MTU = mtu
		return topo
	}
}

// sackRoom is the room that gVisor's TCP leaves in each segment for selective acknowledgements.
const sackRoom = 28

// segmentSizes returns the sizes of the longest IP packets of TCP among frames, and whether all of
// them have the flag DF.
func segmentSizes(frames [][]byte) (longest int, unfragmented bool) {
	unfragmented = true
	for _, f := range frames {
		if len(f) > 34 && f[12] == 0x08 && f[13] == 0x00 && f[23] == 6 {
			longest = max(longest, len(f)-14)
			unfragmented = unfragmented && f[20] == 0x40 && f[21] == 0
		}
	}
	return longest, unfragmented
}

// TCP segments have the size that the MTU allows, in both directions, and packets that are too long
// are not received.
func TestMTUOfAnUplinkInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	tooltest.Need(t, "ping", "scp", "sftp", "sshpass")
	for _, mtu := range []int{1500, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			here, lan := tooltest.Here(t), tooltest.NewNamespace(t)
			here.Cable("ve0", lan, "ve1")
			here.IP("link set ve0 mtu 9000")
			lan.IP("link set ve1 mtu 9000")
			lan.IP("address add 192.0.2.1/24 dev ve1")
			x := newUplinked(t, "a", uplinkedAddr, "packet:ve0", withMTU(mtu))
			if err := x.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			waitConnected(t, x)
			in, out := tapFrames(t, x, "Data 1", network.In), tapFrames(t, x, "Data 1", network.Out)
			s := &bulkSite{t: t, x: x, lan: lan, uplinked: uplinkedAddr}
			own := filepath.Join(t.TempDir(), "own")
			writeRandom(t, own, 3e5)
			remote := "admin@" + uplinkedAddr + ":/data/pub/configuration/some.xml"
			s.run(s.copyFile([]string{"scp", "-O"}, own, remote))
			s.run(s.copyFile([]string{"scp", "-O"}, remote, os.DevNull))
			for what, frames := range map[string][][]byte{"received": in(), "transmitted": out()} {
				if n, df := segmentSizes(frames); n > mtu || n < mtu-sackRoom || !df {
					t.Errorf("the longest packet of TCP that is %s has %d bytes, want %d; DF of all: %v", what, n, mtu, df)
				}
			}
			full := fmt.Sprint(mtu - 28)
			lan.Run("ping", "-c", "1", "-w", "120", "-M", "do", "-s", full, uplinkedAddr)
			if mtu < 9000 {
				c := lan.Command("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "8000", uplinkedAddr)
				if err := c.Run(); err == nil {
					t.Error("a packet that is longer than the MTU is answered")
				}
			}
		})
	}
}

// Behind a router with a narrow link, the appliance sends smaller segments when the router has said
// so.
func TestPathMTUInNamespaces(t *testing.T) {
	if !tooltest.InNamespace(t) {
		return
	}
	tooltest.Need(t, "sftp", "sshpass", "sysctl")
	here, near, far, client := tooltest.Here(t), tooltest.NewNamespace(t), tooltest.NewNamespace(t), tooltest.NewNamespace(t)
	here.Cable("ve0", near, "ve1")
	near.Cable("mid0", far, "mid1")
	far.Cable("end0", client, "end1")
	near.IP("link set mid0 mtu 1300")
	far.IP("link set mid1 mtu 1300")
	near.IP("address add 192.0.2.1/24 dev ve1")
	near.IP("address add 10.9.1.1/24 dev mid0")
	far.IP("address add 10.9.1.2/24 dev mid1")
	far.IP("address add 10.9.2.1/24 dev end0")
	client.IP("address add 10.9.2.2/24 dev end1")
	near.IP("route add 10.9.2.0/24 via 10.9.1.2")
	far.IP("route add default via 10.9.1.1")
	client.IP("route add default via 10.9.2.1")
	for _, router := range []*tooltest.Namespace{near, far} {
		router.Run("sysctl", "-w", "net.ipv4.ip_forward=1")
	}
	x := newUplinked(t, "a", uplinkedAddr, "packet:ve0")
	if err := x.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitConnected(t, x)
	f, err := x.Appliance().Files.Create("data/pub/configuration/some.xml")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, strings.Repeat("some text\n", 1e5))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out := tapFrames(t, x, "Data 1", network.Out)
	s := &bulkSite{t: t, x: x, lan: client, uplinked: uplinkedAddr}
	s.run(s.copyFile([]string{"sftp"}, "admin@"+uplinkedAddr+":/data/pub/configuration/some.xml", os.DevNull))
	frames := out()
	if n, _ := segmentSizes(frames); n > 1500 || n < 1500-sackRoom {
		t.Errorf("the longest packet has %d bytes: the path was not asked", n)
	}
	last := frames[max(0, len(frames)-50):]
	if n, df := segmentSizes(last); n > 1300 || n < 1300-sackRoom || !df {
		t.Errorf("the latest packets have up to %d bytes, want 1300; DF of all: %v", n, df)
	}
}
