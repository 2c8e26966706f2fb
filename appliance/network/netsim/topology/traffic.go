package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Traffic is the mail that hosts send to the appliance by themselves, by the appliance's clock.
type Traffic struct {
	// Seed decides what is sent and when: the same seed gives the same messages at the same times of
	// day.
	Seed int `yaml:"seed"`
	// Groups are lists of addresses, for Senders, To, BadTo and DownTo of flows.
	Groups map[string][]string `yaml:"groups"`
	Flows  []Flow              `yaml:"flows"`
	// Outages are the times of day at which servers are stopped.
	Outages []Outage `yaml:"outages"`
}

// A Flow is mail of one kind of sender. In JSON it has the same keys. The zero value of each field
// but From, To, and Rate or Rates has a meaning.
type Flow struct {
	Name string `yaml:"name" json:"name,omitempty"` // for people; its place in the list by default
	// From are the hosts that send, by turns that the seed decides.
	From []string `yaml:"from" json:"from"`
	// Senders are the senders' addresses. "@example.com" stands for made-up addresses of a domain,
	// "<>" for the empty sender of bounces. By default they are those of the host's name.
	Senders []string `yaml:"senders" json:"senders,omitempty"`
	To      []string `yaml:"to" json:"to"` // written in the same way
	// Rate is the number of messages in a time, Rates the same by time of day: each holds until the
	// next. Exactly one of them must be set.
	Rate  MailRate               `yaml:"rate" json:"rate,omitzero"`
	Rates map[TimeOfDay]MailRate `yaml:"rates" json:"rates,omitempty"`
	// Recipients is the number of recipients of a message; 1 by default.
	Recipients Span `yaml:"recipients" json:"recipients,omitzero"`
	// Kinds are the kinds of messages with their weights: see MessageKinds; text by default.
	Kinds map[string]int `yaml:"kinds" json:"kinds,omitempty"`
	// Size is the size of messages of the kind large; 1 MiB by default.
	Size Bytes `yaml:"size" json:"size,omitempty"`
	// Bad is the share of recipients that are replaced by one of BadTo, addresses that do not exist;
	// by default addresses of a domain that the DNS does not know.
	Bad   float64  `yaml:"bad" json:"bad,omitempty"`
	BadTo []string `yaml:"bad_to" json:"bad_to,omitempty"`
	// Down is the share of recipients that are replaced by one of DownTo, addresses whose servers do
	// not answer.
	Down   float64  `yaml:"down" json:"down,omitempty"`
	DownTo []string `yaml:"down_to" json:"down_to,omitempty"`
	// TLS is the share of connections that use TLS if the listener offers it.
	TLS float64 `yaml:"tls" json:"tls,omitempty"`
	// PerConnection is the number of messages on a connection; 1 by default.
	PerConnection int `yaml:"per_connection" json:"per_connection,omitempty"`
	// Subjects are subjects to choose from; made up by default.
	Subjects []string `yaml:"subjects" json:"subjects,omitempty"`
	// Headers are more lines of the header, by name.
	Headers map[string]string `yaml:"headers" json:"headers,omitempty"`
}

// UnmarshalJSON reads an object with the keys of a topology, whose values may be written as in a
// topology. Errors are in the terms of a topology.
func (f *Flow) UnmarshalJSON(data []byte) error {
	*f = Flow{}
	return decodeJSON(data, f)
}

// An Outage is a time of day at which a server is stopped.
type Outage struct {
	Server string        `yaml:"server"` // the name of a service
	At     TimeOfDay     `yaml:"at"`
	For    time.Duration `yaml:"for"`
}

// MessageKinds returns the kinds of messages that flows can have.
func MessageKinds() []string {
	return []string{"text", "html", "attachment", "large", "newsletter"}
}

// Bounds of flows.
const (
	MaxMailRate      = 1000 * 3600 // messages an hour
	MaxRecipients    = 1000        // of a message
	MaxMessageSize   = 100 * MiB
	MaxPerConnection = 10_000
)

// A MailRate is a number of messages an hour, written with a unit of time: "50/s", "30/m" or
// "12/h".
type MailRate float64

// Every returns the mean time between two messages.
func (r MailRate) Every() time.Duration { return time.Duration(float64(time.Hour) / float64(r)) }

// MarshalText returns the rate in the greatest unit of time in which it is at least one.
func (r MailRate) MarshalText() ([]byte, error) {
	x, unit := float64(r), "h"
	switch {
	case x >= 3600:
		x, unit = x/3600, "s"
	case x >= 60:
		x, unit = x/60, "m"
	}
	return []byte(strconv.FormatFloat(x, 'g', -1, 64) + "/" + unit), nil
}

// UnmarshalText reads a rate.
func (r *MailRate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseMailRate(string(text))
	return err
}

// ParseMailRate reads a rate.
func ParseMailRate(s string) (MailRate, error) {
	number, unit, _ := strings.Cut(s, "/")
	perHour, ok := map[string]float64{"s": 3600, "m": 60, "h": 1, "d": 1.0 / 24}[unit]
	x, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(x >= 0 && x*perHour <= MaxMailRate) {
		return 0, fmt.Errorf("expected %s, but got %q", expectedRate, s)
	}
	return MailRate(x * perHour), nil
}

const expectedRate = "messages in a time, such as 50/s, 30/m or 12/h, at most 1000/s"

// A TimeOfDay is a number of minutes since midnight, written like "07:30".
type TimeOfDay int

// MarshalText returns the form in which a time of day is written.
func (t TimeOfDay) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%02d:%02d", int(t)/60, int(t)%60), nil
}

// String returns the form in which a time of day is written.
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

func parseTimeOfDay(s string) (TimeOfDay, error) {
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, errors.New("not a time of day")
	}
	return TimeOfDay(t.Hour()*60 + t.Minute()), nil
}

// A Span is a range of numbers, written like "1-3" or "2". The zero Span is not set.
type Span struct{ Min, Max int }

// MarshalText returns the form in which a span is written.
func (s Span) MarshalText() ([]byte, error) {
	if s.Min == s.Max {
		return strconv.AppendInt(nil, int64(s.Min), 10), nil
	}
	return fmt.Appendf(nil, "%d-%d", s.Min, s.Max), nil
}

// UnmarshalText reads a span.
func (s *Span) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSpan(string(text))
	return err
}

// ParseSpan reads a span of numbers from 1.
func ParseSpan(text string) (Span, error) {
	low, high, ranged := strings.Cut(text, "-")
	if !ranged {
		high = low
	}
	s, err := Span{}, error(nil)
	if s.Min, err = strconv.Atoi(low); err == nil {
		s.Max, err = strconv.Atoi(high)
	}
	if err != nil || s.Min < 1 || s.Max < s.Min || s.Max > 1_000_000 {
		return Span{}, fmt.Errorf("expected %s, but got %q", expectedSpan, text)
	}
	return s, nil
}

const expectedSpan = "a number or a range of numbers, such as 2 or 1-3"

// RateAt returns the rate of the flow at a time of day.
func (f *Flow) RateAt(t TimeOfDay) MailRate {
	if len(f.Rates) == 0 {
		return f.Rate
	}
	var at, last TimeOfDay = -1, 0
	for from := range f.Rates {
		if from <= t {
			at = max(at, from)
		}
		last = max(last, from)
	}
	if at < 0 {
		at = last // of the day before
	}
	return f.Rates[at]
}

// flowKinds is MessageKinds for messages.
func flowKinds() string { return strings.Join(MessageKinds(), ", ") }

// addresses returns list with the addresses of groups in place of their names.
func (t *Traffic) addresses(list []string) []string {
	var all []string
	for _, a := range list {
		if group, ok := t.Groups[a]; ok {
			all = append(all, group...)
		} else {
			all = append(all, a)
		}
	}
	return all
}

// WithAddresses returns the flow with the addresses of groups in place of their names.
func (t *Traffic) WithAddresses(f Flow) Flow {
	f.Senders, f.To = t.addresses(f.Senders), t.addresses(f.To)
	f.BadTo, f.DownTo = t.addresses(f.BadTo), t.addresses(f.DownTo)
	return f
}

// FindHost returns the host with that name or address, or nil.
func (t *Topology) FindHost(nameOrAddr string) *Host {
	if h := t.findHost(nameOrAddr); h != nil {
		return h
	}
	if a, err := parseAddr(nameOrAddr); err == nil {
		return t.hostOf(a)
	}
	return nil
}

// hasServer reports whether a service has that name.
func (t *Topology) hasServer(name string) bool {
	return slices.ContainsFunc(t.Hosts, func(h Host) bool {
		return slices.ContainsFunc(h.Services, func(s Service) bool { return s.Name == name })
	})
}
