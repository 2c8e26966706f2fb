package netsim

import (
	"net/netip"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim/wan"
)

// A FaultHit is the event that a fault applied to a packet: to the first one of a connection of TCP
// or of a pair of ports of UDP, and to every packet that belongs to none.
type FaultHit struct {
	ID            int
	Name          string
	Rule          string // in words: "drop protocol tcp port 25"
	Protocol      string
	From, To      netip.AddrPort // ports are 0 if the protocol has none
	Packets       int64          // that the fault has applied to, with this one
	Connections   int64
	NewConnection bool
}

// Kind implements events.Fields.
func (FaultHit) Kind() string { return "fault.hit" }

// A ServerStopped is the event that a simulated server was stopped.
type ServerStopped struct{ Server string }

// Kind implements events.Fields.
func (ServerStopped) Kind() string { return "server.stopped" }

// A ServerStarted is the event that a simulated server was started again.
type ServerStarted struct{ Server string }

// Kind implements events.Fields.
func (ServerStarted) Kind() string { return "server.started" }

// PublishTo has the hits of faults published to a stream. It must be called before a world uses the
// faults.
func (f *Faults) PublishTo(s *events.Stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = s
	for _, x := range f.list {
		f.observe(x)
	}
}

// observe is called with mu held.
func (f *Faults) observe(x *fault) {
	if f.events == nil {
		return
	}
	stream, id, name, rule := f.events, x.id, x.Rule.Name, x.Rule
	x.live.OnHit = func(h wan.Hit) {
		if stream.Hears("fault.hit") { // the text of the rule costs
			events.Publish(stream, 0, FaultHit{
				ID: id, Name: name, Rule: rule.String(), Protocol: h.Protocol, From: h.From, To: h.To,
				Packets: h.Packets, Connections: h.Connections, NewConnection: h.NewConnection,
			})
		}
	}
}
