package capture

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// A Protocol says which packets of a port number a Port selects.
type Protocol string

// Protocols of ports.
const (
	TCP         Protocol = "" // B13: what a plain number means
	UDP         Protocol = "udp"
	AnyProtocol Protocol = "any"
)

// A Port is a port of a predefined filter. As text and in JSON, a TCP port is a number, such as 25,
// and others are 53/udp and 53/any.
type Port struct {
	Number   uint16
	Protocol Protocol
}

// portForms continues "A port must be".
const portForms = "a number from 1 to 65535, with /udp or /any after it for a port that is not TCP"

func (p Port) String() string {
	text := strconv.Itoa(int(p.Number))
	if p.Protocol != TCP {
		text += "/" + string(p.Protocol)
	}
	return text
}

// expr returns the port in the language of tcpdump.
func (p Port) expr() string {
	prefix := "tcp "
	switch p.Protocol {
	case UDP:
		prefix = "udp "
	case AnyProtocol:
		prefix = ""
	}
	return prefix + "port " + strconv.Itoa(int(p.Number))
}

func (p Port) valid() bool {
	return p.Number > 0 && slices.Contains([]Protocol{TCP, UDP, AnyProtocol}, p.Protocol)
}

// ParsePorts parses a list such as "80, 443, 53/udp, 514/any". A number alone, or with /tcp after
// it, is a TCP port. An empty list is no error. The error is a refusal.
func ParsePorts(list string) ([]Port, error) {
	return parseList(list, "a port must be "+portForms, parsePort)
}

func parsePort(s string) (Port, error) {
	number, protocol, given := strings.Cut(s, "/")
	p := Port{Protocol: Protocol(strings.ToLower(protocol))}
	switch {
	case p.Protocol == "tcp":
		p.Protocol = TCP
	case given && p.Protocol == TCP: // "53/"
		return Port{}, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(number, 10, 16)
	p.Number = uint16(n)
	if err == nil && !p.valid() {
		err = strconv.ErrRange
	}
	return p, err
}

// MarshalJSON writes a TCP port as a number and others as strings.
func (p Port) MarshalJSON() ([]byte, error) {
	if p.Protocol == TCP {
		return json.Marshal(p.Number)
	}
	return json.Marshal(p.String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Port) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		*p = Port{}
		return json.Unmarshal(b, &p.Number)
	}
	v, err := parsePort(text)
	if err == nil {
		*p = v
	}
	return err
}
