package netsim

import (
	"net"
	"sync"
)

// HeldDoors are the real listeners of front doors on the way from one world to the next: clients
// that connect meanwhile wait.
type HeldDoors struct {
	mu        sync.Mutex
	listeners map[string]*net.TCPListener // by the name of the door
}

// HoldDoors returns the listeners of the doors that are open. They outlast the world. The caller
// gives them to another one in Options.HeldDoors, and then closes them. A listener that cannot be
// held, as on Windows, is left out: the other world opens it again.
func (w *World) HoldDoors() *HeldDoors {
	h := &HeldDoors{listeners: make(map[string]*net.TCPListener)}
	for _, f := range w.doors.fronts {
		if l, err := f.Hold(); err == nil && l != nil {
			h.listeners[f.door.Name] = l
		}
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
	delete(h.listeners, name)
	return l
}

// Close closes the listeners that no world has taken.
func (h *HeldDoors) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.listeners {
		l.Close()
	}
	clear(h.listeners)
}
