package vnet_test

import (
	"testing"
	"unsafe"

	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// After ReserveStack, the stack of a new goroutine need not grow, that is move, while it sends.
func TestReserveStack(t *testing.T) {
	p := newPair(t, false)
	near, far := p.connect(t, p.a, p.b, addrB)
	received := make(chan bool, 1)
	far.(vnet.Watchable).Watch(func() {
		select {
		case received <- true:
		default:
		}
	})
	for range 20 { // the garbage collector moves stacks, too
		moved := make(chan bool)
		go func() { moved <- movedByWrite(near) }()
		if !<-moved {
			return
		}
		<-received
	}
	t.Error("the stack of a goroutine that sends grows each time")
}

// movedByWrite reports whether the stack has been moved by a call of Write after ReserveStack.
func movedByWrite(c network.Conn) bool {
	var mark byte
	vnet.ReserveStack()
	before := address(&mark)
	c.Write([]byte("data")) //nolint:errcheck // of no interest
	return address(&mark) != before
}

// address returns the present address of a variable on the stack.
//
//go:noinline
func address(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }
