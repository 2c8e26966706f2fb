package dhcp

import (
	"net/netip"
	"time"
)

// A Bound is the event that an interface has got an address by DHCP.
type Bound struct {
	Interface    string
	Address      netip.Prefix
	Server       netip.Addr
	Routers, DNS []netip.Addr `json:",omitempty"`
	Expires      time.Time    `json:",omitzero"` // zero: never
}

// Kind implements events.Fields.
func (Bound) Kind() string { return "dhcp.bound" }

// A Renewed is the event that a server has given more time for the address of an interface.
type Renewed struct {
	Interface string
	Address   netip.Prefix
	Server    netip.Addr
	Expires   time.Time `json:",omitzero"` // zero: never
}

// Kind implements events.Fields.
func (Renewed) Kind() string { return "dhcp.renewed" }

// A Lost is the event that an interface may no longer use its address. The cause of the event is
// that it was bound.
type Lost struct {
	Interface string
	Address   netip.Prefix
	Reason    string // "expired", "refused" or "in use"
}

// Kind implements events.Fields.
func (Lost) Kind() string { return "dhcp.lost" }

// A Declined is the event that the client does not use an address that it was given.
type Declined struct {
	Interface string
	Address   netip.Prefix
	Reason    string
}

// Kind implements events.Fields.
func (Declined) Kind() string { return "dhcp.declined" }

// An Unanswered is the event that no server has answered.
type Unanswered struct {
	Interface string
	Fallback  netip.Prefix `json:",omitzero"` // that the interface uses now; zero: none
}

// Kind implements events.Fields.
func (Unanswered) Kind() string { return "dhcp.unanswered" }
