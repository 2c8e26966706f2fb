package ether

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/esasim/esasim/appliance/network"
)

var (
	macTrunk  = MAC{2, 0, 0, 0, 0, 1}
	macPlain  = MAC{2, 0, 0, 0, 0, 2}
	macAccess = MAC{2, 0, 0, 0, 0, 3}
	macOther  = MAC{2, 0, 0, 0, 0, 4}
	macTrunk2 = MAC{2, 0, 0, 0, 0, 5}
)

// A vlanSetup is a segment with two trunks that each have a port in VLAN 12, a machine
// that does not use VLANs, and a machine at an access port in each of VLANs 12 and 13.
type vlanSetup struct {
	t                 *testing.T
	fabric            *Fabric
	trunk, vlan       *Port
	trunk2, vlan2     *Port
	plain             *Port
	access, other     *Port
	seen              map[string][]string // by taps and nodes
	toStack, toStack2 stackRecorder       // of the two in VLAN 12
}

func newVLANSetup(t *testing.T) *vlanSetup {
	x := &vlanSetup{t: t, fabric: NewFabric(Options{}), seen: make(map[string][]string)}
	t.Cleanup(x.fabric.Close)
	lan := x.fabric.NewSegment("lan")
	x.trunk, x.trunk2 = lan.NewPort("trunk", macTrunk, 1500), lan.NewPort("trunk2", macTrunk2, 1500)
	x.vlan, x.vlan2 = x.trunk.NewVLANPort("vlan12", 12), x.trunk2.NewVLANPort("vlan12", 12)
	x.vlan.Endpoint().Attach(&x.toStack)
	x.vlan2.Endpoint().Attach(&x.toStack2)
	x.plain = lan.NewNodePort("plain", macPlain, 1500, func([]byte) {})
	x.access = lan.VLAN(12).NewNodePort("access", macAccess, 1500, func([]byte) {})
	x.other = lan.VLAN(13).NewNodePort("other", macOther, 1500, func([]byte) {})
	for name, p := range map[string]*Port{
		"trunk": x.trunk, "vlan": x.vlan, "vlan2": x.vlan2, "trunk2": x.trunk2,
		"plain": x.plain, "access": x.access, "other": x.other,
	} {
		p.Tap(func(_ time.Time, dir network.Direction, frame []byte) {
			x.seen[name] = append(x.seen[name], []string{"in ", "out "}[dir]+describeVLAN(frame))
		})
	}
	return x
}

// describeVLAN returns a frame's tag and payload.
func describeVLAN(frame []byte) string {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	tag := ""
	if q, ok := p.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q); ok {
		tag = fmt.Sprintf("tagged %d ", q.VLANIdentifier)
		frame = frame[vlanTagLen:]
	}
	return tag + string(frame[headerLen:])
}

func newFrame(dst, src MAC, text string) []byte {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	return append(append(f, 0x88, 0xb5), text...)
}

// takeSeen waits until all frames transmitted so far have arrived, and returns the frames
// that taps have been shown since the last call.
func (x *vlanSetup) takeSeen() map[string][]string {
	done := make(chan bool)
	x.fabric.After(20*time.Millisecond, func() { close(done) })
	<-done
	seen := x.seen
	x.seen = make(map[string][]string)
	return seen
}

func (x *vlanSetup) want(what string, want map[string][]string) {
	x.t.Helper()
	if d := cmp.Diff(want, x.takeSeen()); d != "" {
		x.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestFramesOfVLANAreTaggedOnTrunks(t *testing.T) {
	x := newVLANSetup(t)
	x.vlan.Transmit(newFrame(macAccess, macTrunk, "hello"))
	x.want("to an access port", map[string][]string{
		"vlan": {"out hello"}, "trunk": {"out tagged 12 hello"}, "access": {"in hello"},
	})
	x.access.Transmit(newFrame(macTrunk, macAccess, "answer"))
	x.want("from an access port", map[string][]string{
		"access": {"out answer"}, "trunk": {"in tagged 12 answer"}, "vlan": {"in answer"},
	})
	x.vlan.Transmit(newFrame(macTrunk2, macTrunk, "trunk to trunk"))
	x.want("to a trunk", map[string][]string{
		"vlan": {"out trunk to trunk"}, "trunk": {"out tagged 12 trunk to trunk"},
		"trunk2": {"in tagged 12 trunk to trunk"}, "vlan2": {"in trunk to trunk"},
	})
	if n := len(x.toStack.frames) + len(x.toStack2.frames); n != 2 {
		t.Errorf("stacks got %d frames, want 2", n)
	}
}

func TestBroadcastStaysInItsVLAN(t *testing.T) {
	x := newVLANSetup(t)
	x.access.Transmit(newFrame(Broadcast(), macAccess, "who"))
	x.want("in the VLAN", map[string][]string{
		"access": {"out who"}, "plain": {"in tagged 12 who"}, // a trunk too
		"trunk": {"in tagged 12 who"}, "vlan": {"in who"},
		"trunk2": {"in tagged 12 who"}, "vlan2": {"in who"},
	})
	x.plain.Transmit(newFrame(Broadcast(), macPlain, "who"))
	x.want(
		"without tag",
		map[string][]string{"plain": {"out who"}, "trunk": {"in who"}, "trunk2": {"in who"}},
	)
	x.other.Transmit(newFrame(Broadcast(), macOther, "who"))
	x.want("in another VLAN", map[string][]string{
		"other": {"out who"}, "plain": {"in tagged 13 who"},
		"trunk": {"in tagged 13 who"}, "trunk2": {"in tagged 13 who"},
	})
	x.other.Transmit(newFrame(macAccess, macOther, "across"))
	x.want("to a machine in another VLAN", map[string][]string{"other": {"out across"}})
}

func TestVLANPortAndItsParentCount(t *testing.T) {
	x := newVLANSetup(t)
	x.vlan.Transmit(newFrame(macAccess, macTrunk, "12345"))
	x.access.Transmit(newFrame(macTrunk, macAccess, "123"))
	x.takeSeen()
	want := network.Counters{TxPackets: 1, TxBytes: 19, RxPackets: 1, RxBytes: 17}
	if got := x.vlan.Counters(); got != want {
		t.Errorf("the port in the VLAN counts %+v, want %+v", got, want)
	}
	want = network.Counters{TxPackets: 1, TxBytes: 23, RxPackets: 1, RxBytes: 21}
	if got := x.trunk.Counters(); got != want {
		t.Errorf("its parent counts %+v, want %+v", got, want)
	}
}

func TestMTUExcludesTheTag(t *testing.T) {
	x := newVLANSetup(t)
	full := strings.Repeat("x", 1500)
	x.vlan.Transmit(newFrame(macAccess, macTrunk, full))
	x.access.Transmit(newFrame(macTrunk, macAccess, full))
	x.vlan.Transmit(newFrame(macAccess, macTrunk, full+"y"))
	seen := x.takeSeen()
	if len(seen["access"]) != 2 || len(seen["vlan"]) != 2 || x.vlan.Counters().TxErrors != 1 {
		t.Errorf("full frames: %d at the access port, %d in the VLAN, %+v",
			len(seen["access"]), len(seen["vlan"]), x.vlan.Counters())
	}
}

func TestVLANPortFollowsItsParent(t *testing.T) {
	x := newVLANSetup(t)
	mtus := []int{x.vlan.MTU()}
	x.trunk.SetMTU(1200)
	mtus = append(mtus, x.vlan.MTU())
	x.trunk.SetMTU(9000)
	x.vlan.SetMTU(1400)
	mtus = append(mtus, x.vlan.MTU())
	x.trunk.SetMTU(1300)
	mtus = append(mtus, x.vlan.MTU())
	if d := cmp.Diff([]int{1500, 1200, 1400, 1300}, mtus); d != "" {
		t.Errorf("MTUs (-want +got):\n%s", d)
	}
	x.trunk.SetUp(false)
	x.vlan.Transmit(newFrame(macAccess, macTrunk, "lost"))
	if x.vlan.Up() || x.vlan.Counters().TxErrors != 1 {
		t.Errorf("with the parent down: up %v, %+v", x.vlan.Up(), x.vlan.Counters())
	}
	x.trunk.SetUp(true)
	x.vlan.Close()
	x.access.Transmit(newFrame(macTrunk, macAccess, "late"))
	x.want(
		"without the port",
		map[string][]string{"access": {"out late"}, "trunk": {"in tagged 12 late"}},
	)
}

// The train of a stack in a VLAN becomes separate frames on the trunk, and the receiving
// stack's port joins them again.
func TestTrainsInAVLAN(t *testing.T) {
	x := newVLANSetup(t)
	f := newTCPFrame(t, false, 100, "abcdefghij", nil)
	copy(f, macTrunk2[:])
	pkt := offloadedPacket(t, f, 4)
	defer pkt.DecRef()
	var list stack.PacketBufferList
	list.PushBack(pkt)
	if _, err := x.vlan.Endpoint().WritePackets(list); err != nil {
		t.Fatal(err)
	}
	x.takeSeen()
	var got []string
	for _, f := range x.toStack2.frames {
		got = append(got, describe(f))
	}
	if d := cmp.Diff(wholeTrain, got); d != "" {
		t.Errorf("delivered (-want +got):\n%s", d)
	}
	if n := x.trunk.Counters().TxPackets; n != 3 {
		t.Errorf("the trunk transmitted %d frames, want 3", n)
	}
	if n := x.vlan.queued.Load() + x.trunk.queued.Load(); n != 0 {
		t.Errorf("%d frames remain in the rings", n)
	}
}

func TestMulticastIsForwardedToMembers(t *testing.T) {
	x := newVLANSetup(t)
	group := MAC{3, 0xbf, 10, 0, 202, 9}
	x.plain.Transmit(newFrame(group, macPlain, "all"))
	x.want(
		"to a group without members",
		map[string][]string{"plain": {"out all"}, "trunk": {"in all"}, "trunk2": {"in all"}},
	)
	x.trunk2.JoinGroup(group)
	x.plain.Transmit(newFrame(group, macPlain, "members"))
	x.want("to a group", map[string][]string{"plain": {"out members"}, "trunk2": {"in members"}})
	x.trunk2.Close()
	x.plain.Transmit(newFrame(group, macPlain, "none"))
	x.want(
		"to a group that all have left",
		map[string][]string{"plain": {"out none"}, "trunk": {"in none"}},
	)
}
