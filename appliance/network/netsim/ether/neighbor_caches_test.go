package ether

import (
	"reflect"
	"runtime"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

func newTestStack(t *testing.T) *stack.Stack {
	s := stack.New(stack.Options{NetworkProtocols: []stack.NetworkProtocolFactory{
		ipv4.NewProtocol, arp.NewProtocol, ipv6.NewProtocol,
	}})
	t.Cleanup(s.Destroy)
	return s
}

// gVisor makes the neighbor caches itself for a resolvingLink, which keeps its NIC.
type resolvingLink struct {
	stack.LinkEndpoint
	nic stack.NetworkDispatcher
}

func (l *resolvingLink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}

func (l *resolvingLink) Attach(nic stack.NetworkDispatcher) { l.nic = nic }

// A port's NIC has neighbor caches that differ from those that gVisor makes in their room only.
func TestNeighborCachesAreLikeOnesOfGVisor(t *testing.T) {
	if nicType() == nil {
		t.Fatal("gVisor's types do not have the expected fields")
	}
	s := newTestStack(t)
	f := NewFabric(Options{})
	defer f.Close()
	segment := f.NewSegment("wire")
	p := segment.NewPort("port", MAC{2, 0, 0, 0, 0, 1}, 1500)
	like := &resolvingLink{LinkEndpoint: segment.NewPort("like", MAC{2, 0, 0, 0, 0, 2}, 1500).Endpoint()}
	for i, e := range []stack.LinkEndpoint{p.Endpoint(), like} {
		if err := s.CreateNIC(tcpip.NICID(1+i), e); err != nil {
			t.Fatal(err)
		}
	}
	if p.Endpoint().Capabilities() != stack.CapabilityResolutionRequired {
		t.Error("a link with a NIC does not require resolution")
	}
	got := settable(reflect.ValueOf(*p.link.dispatcher.Load()), "linkAddrResolvers")
	want := settable(reflect.ValueOf(like.nic), "linkAddrResolvers")
	if got.Len() != want.Len() {
		t.Fatalf("%d neighbor caches, want %d", got.Len(), want.Len())
	}
	for of := want.MapRange(); of.Next(); {
		cache := got.MapIndex(of.Key())
		if !cache.IsValid() {
			t.Fatalf("no neighbor cache for protocol %v", of.Key())
		}
		compareKinds(t, of.Value().Type().Elem().Name(), cache, of.Value())
	}
}

// compareKinds compares which fields are set in two values of one type, without following the
// pointers in them, and the dynamic types of interfaces.
func compareKinds(t *testing.T, name string, got, want reflect.Value) {
	t.Helper()
	for want.Kind() == reflect.Pointer {
		got, want = got.Elem(), want.Elem()
	}
	for i := range want.NumField() {
		f := name + "." + want.Type().Field(i).Name
		switch g, w := got.Field(i), want.Field(i); {
		case w.Kind() == reflect.Struct:
			compareKinds(t, f, g, w)
		case g.IsZero() != w.IsZero():
			t.Errorf("%s is %v, want one like %v", f, g, w)
		case w.Kind() == reflect.Interface && g.Elem().Type() != w.Elem().Type():
			t.Errorf("%s is a %v, want a %v", f, g.Elem().Type(), w.Elem().Type())
		}
	}
}

func TestNICTakesLittleMemory(t *testing.T) {
	s := newTestStack(t)
	f := NewFabric(Options{})
	defer f.Close()
	segment := f.NewSegment("wire")
	const nics, most = 50, 30 << 10 // gVisor's caches alone would take 76 KiB
	before := memStats()
	for n := range nics {
		p := segment.NewPort("port", MAC{2, 0, 0, 0, 0, byte(n)}, 1500)
		if err := s.CreateNIC(tcpip.NICID(1+n), p.Endpoint()); err != nil {
			t.Fatal(err)
		}
	}
	after := memStats()
	kept := int64(after.HeapAlloc-before.HeapAlloc) / nics
	made := int64(after.TotalAlloc-before.TotalAlloc) / nics
	t.Log("a NIC takes", kept, "bytes of the", made, "that are allocated for it")
	if kept > most || made > most {
		t.Errorf("a NIC takes %d bytes, of %d that are allocated; want at most %d", kept, made, most)
	}
}

func memStats() runtime.MemStats {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

func TestUnknownFields(t *testing.T) {
	type known struct{ m map[int]string }
	of := reflect.TypeOf(&known{m: map[int]string{}})
	if got := mapped(fieldOf(of, "m")); got != reflect.TypeFor[string]() {
		t.Errorf("values of m are of type %v", got)
	}
	for _, got := range []reflect.Type{
		fieldOf(of, "x"), fieldOf(nil, "m"), fieldOf(fieldOf(of, "m"), "m"), mapped(of), mapped(nil),
	} {
		if got != nil {
			t.Errorf("got type %v, want none", got)
		}
	}
}
