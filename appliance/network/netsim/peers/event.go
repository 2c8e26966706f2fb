package peers

import "net/netip"

// A MailReceived is the event that a simulated mail server has accepted a message.
type MailReceived struct {
	Server  string // the name of the service
	ID      int    // of the message, in the server's list
	Client  netip.AddrPort
	From    string
	To      []string
	Subject string
	Size    int64 // bytes
}

// Kind implements events.Fields.
func (MailReceived) Kind() string { return "server.mail" }

// A SyslogReceived is the event that a simulated syslog server has received a record.
type SyslogReceived struct {
	Server string // the name of the service
	Number int    // of the record since the start, counted from 1
	Record string
}

// Kind implements events.Fields.
func (SyslogReceived) Kind() string { return "server.syslog" }

// Summary returns the record.
func (s SyslogReceived) Summary() string { return s.Record }

// An AddressLeased is the event that a simulated DHCP server has given an address to a client.
type AddressLeased struct {
	Server   string // the name of the service
	Address  netip.Addr
	MAC      string // of the client
	HostName string
}

// Kind implements events.Fields.
func (AddressLeased) Kind() string { return "server.dhcp" }
