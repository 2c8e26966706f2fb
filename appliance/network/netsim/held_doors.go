package netsim

import (
	"net"
	"sync"

	"github.com/esasim/esasim/appliance/network/netsim/door"
)

// HeldDoors are the real listeners of front doors on the way from one world to the next.
type HeldDoors struct {
	mu        sync.Mutex
	listeners map[string]*net.TCPListener // by the name of the door; nil: it could not be held
}

// HoldDoors returns the listeners of the doors. They outlast the world and go on listening: clients
// that connect meanwhile wait. The caller gives them to another world in Options.HeldDoors, and then
// closes them. A listener that cannot be held, as on Windows, is left out: the other world opens it
// again.
func (w *World) HoldDoors() *HeldDoors { return w.handOn((*door.Front).Hold) }

// ReserveDoors is HoldDoors, except that clients that connect after the world has stopped are refused
// until the other world starts. Only Linux can hold listeners in this way.
func (w *World) ReserveDoors() *HeldDoors { return w.handOn((*door.Front).Reserve) }

func (w *World) handOn(handle func(*door.Front) (*net.TCPListener, error)) *HeldDoors {
	h := &HeldDoors{listeners: make(map[string]*net.TCPListener)}
	for _, f := range w.doors.fronts {
		l, err := handle(f.Front)
		if err != nil {
			w.stacks.options.Logger.Debug("a front door is not held", "door", f.door.Name, "error", err)
		}
		h.listeners[f.door.Name] = l
	}
	return h
}

// take returns the listener of a door and forgets it; nil if there is none.
func (h *HeldDoors) take(name string) *net.TCPListener {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.listeners[name]
	if l != nil {
		delete(h.listeners, name)
	}
	return l
}

// isLost reports whether an earlier world had the door and could not hold its listener.
func (h *HeldDoors) isLost(name string) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l, had := h.listeners[name]
	return had && l == nil
}

// Close closes the listeners that no world has taken. If h is nil, Close does nothing.
func (h *HeldDoors) Close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.listeners {
		if l != nil {
			l.Close()
		}
	}
	clear(h.listeners)
}
