package ether

import (
	"runtime"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// gVisor's fields have the names that emptyNeighborCaches expects, and a NIC takes little memory.
func TestNewNICHasSmallNeighborCaches(t *testing.T) {
	s := stack.New(stack.Options{NetworkProtocols: []stack.NetworkProtocolFactory{
		ipv4.NewProtocol, arp.NewProtocol, ipv6.NewProtocol,
	}})
	defer s.Destroy()
	f := NewFabric(Options{})
	defer f.Close()
	segment := f.NewSegment("wire")
	const nics, most = 50, 30 << 10 // gVisor's maps alone would take 68 KiB
	heap := heapInUse()
	for n := range nics {
		p := segment.NewPort("port", MAC{2, 0, 0, 0, 0, byte(n)}, 1500)
		if err := s.CreateNIC(tcpip.NICID(1+n), p.Endpoint()); err != nil {
			t.Fatal(err)
		}
		if n == 0 && !emptyNeighborCaches(*p.link.dispatcher.Load()) {
			t.Error("the neighbor caches of a NIC are not found")
		}
	}
	each := (heapInUse() - heap) / nics
	t.Log(each, "bytes a NIC")
	if each > most {
		t.Errorf("a NIC takes %d bytes, want at most %d", each, most)
	}
}

// heapInUse returns the bytes of reachable objects.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestOtherTypesHaveNoNeighborCaches(t *testing.T) {
	type other struct{ linkAddrResolvers map[int]*struct{ neigh int } }
	for _, nic := range []any{nil, 1, "x", &struct{}{}, other{}, &other{
		map[int]*struct{ neigh int }{1: {2}},
	}} {
		if emptyNeighborCaches(nic) {
			t.Errorf("%T has neighbor caches", nic)
		}
	}
}
