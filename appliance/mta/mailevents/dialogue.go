package mailevents

import "net/netip"

// An InjectionData tells what a client and a listener have said. It is published only for
// connections that an injection debug log records.
type InjectionData struct {
	ICID   uint64     `json:"icid"`
	Remote netip.Addr `json:"remote"`
	Sent   bool       `json:"sent"` // by the appliance
	Data   []byte     `json:"data"` // with line ends
}

// Kind implements events.Fields.
func (InjectionData) Kind() string { return "mail.in.data" }

// A DeliveryLine tells what the appliance and a mail server have said: a command, or a line of a
// reply. It is published only for connections that a domain debug log records.
type DeliveryLine struct {
	DCID uint64 `json:"dcid"`
	Sent bool   `json:"sent"` // by the appliance
	Line string `json:"line"` // without its end
}

// Kind implements events.Fields.
func (DeliveryLine) Kind() string { return "mail.out.line" }
