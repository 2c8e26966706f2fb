package topology

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A Rule is a fault of the network, written down: an action, and conditions for the packets
// that it applies to. A condition that is left out matches everything; a zero that is written
// down is refused. A rule is written the same way in a topology, in JSON (where numbers may
// be texts too) and on the command line.
//
// Without Path and Cable, a rule applies as that of a firewall does: at the appliance's
// gateways, to the packets that pass them, and on the appliance's segments, to packets
// between neighbors. It applies to IP packets, but not to ARP and neighbor discovery. With
// Cable, it applies to every frame.
type Rule struct {
	Name string `yaml:"name"` // for people

	// Action is what happens to the packets:
	//
	//	drop              They are dropped without an answer.
	//	reset             Both ends of a TCP connection are reset; other packets are
	//	                  answered with "port unreachable".
	//	refuse            New TCP connections are reset, and UDP packets are answered with
	//	                  "port unreachable". Established connections are untouched.
	//	prohibit          They are answered with an ICMP error: "administratively prohibited",
	//	net-unreachable   "network unreachable",
	//	host-unreachable  "host unreachable".
	//	delay             They are delayed by Delay and Jitter.
	//	loss              The share Loss of them is dropped.
	//	rate              They pass at no more than Rate.
	//	unplug            The cable is unplugged.
	//	pass              They pass, and later rules are skipped.
	Action string        `yaml:"action"`
	Delay  time.Duration `yaml:"delay"`                       // of action delay
	Jitter time.Duration `yaml:"jitter"`                      // of action delay: maximum of a random additional delay
	Loss   float64       `yaml:"loss"`                        // of action loss: the share that is dropped, 0 to 1
	Rate   BitRate       `yaml:"rate"`                        // of action rate: bits per second, in each direction
	Queue  Bytes         `yaml:"queue" nonzero:"more than 0"` // of action rate: bytes that may wait; 256 KiB by default

	From       netip.Prefix `yaml:"from"`
	To         netip.Prefix `yaml:"to"`
	Host       netip.Prefix `yaml:"host"`                                                                            // source or destination
	Protocol   string       `yaml:"protocol"`                                                                        // "tcp", "udp", "icmp"
	Port       uint16       `yaml:"port" nonzero:"a number from 1 to 65535; without this key any port matches"`      // of the destination
	FromPort   uint16       `yaml:"from_port" nonzero:"a number from 1 to 65535; without this key any port matches"` // of the source
	EitherPort uint16       `yaml:"either_port" nonzero:"a number from 1 to 65535; without this key any port matches"`
	Direction  string       `yaml:"direction"` // from the appliance's point of view: "in", "out", "both"

	// Path is the name of a path at whose far end the rule applies. Cable is the name of an
	// interface, or of a host on a wire, on whose cable it applies.
	Path  string `yaml:"path"`
	Cable string `yaml:"cable"`

	// Connections is the number of connections that the rule applies to: the next that are
	// opened, after SkipConnections others. See wan.Rule.
	Connections     int `yaml:"connections" nonzero:"more than 0; without this key there is no limit"`
	SkipConnections int `yaml:"skip_connections"`
	// AfterBytes and AfterRecords are the data of a connection, counted in each direction,
	// that pass before the rule applies. See wan.Rule.
	AfterBytes   Bytes `yaml:"after_bytes" nonzero:"more than 0"`
	AfterRecords int   `yaml:"after_records" nonzero:"more than 0"`
	// After is the time until the fault begins, For how long it then lasts (0: until it is
	// removed). Both are measured from when the rule is added, in real time, whatever the
	// appliance's clock shows.
	After time.Duration `yaml:"after"`
	For   time.Duration `yaml:"for" nonzero:"more than 0; without this key there is no limit"`
}

// Unplug is the action that unplugs a cable.
const Unplug = "unplug"

// Actions returns the actions of rules, in the order in which messages name them.
func Actions() []string {
	return []string{
		"drop", "reset", "refuse", "prohibit", "net-unreachable", "host-unreachable",
		"delay", "loss", "rate", Unplug, "pass",
	}
}

// A field is a field of a rule that is set, as text.
type field struct {
	key, text string
	number    bool
	words     string // for people, if that is another text
}

// fieldsOf returns the fields of a struct that are set, in the order of the type.
func fieldsOf(v reflect.Value) []field {
	var list []field
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			continue
		}
		f := field{key: v.Type().Field(i).Tag.Get("yaml")}
		switch x := v.Field(i).Interface().(type) {
		case netip.Prefix:
			f.text = x.String()
			if x.IsSingleIP() {
				f.text = x.Addr().String()
			}
		case float64:
			f.text, f.number = strconv.FormatFloat(x, 'g', -1, 64), true
			f.words = percent(x)
		case time.Duration:
			f.text = x.String()
		case BitRate, Bytes:
			f.text, f.number = fmt.Sprintf("%d", x), true
		default:
			f.text = fmt.Sprint(x)
			f.number = v.Field(i).CanInt() || v.Field(i).CanUint()
		}
		list = append(list, f)
	}
	return list
}

// String returns the rule as one line, without its name: "drop to 10.0.202.7 protocol tcp
// port 25".
func (r Rule) String() string { return inWords(r.Action, fieldsOf(reflect.ValueOf(r))) }

// inWords returns an action and the conditions of a rule as one line.
func inWords(action string, fields []field) string {
	words := []string{action}
	for _, f := range fields {
		text := cmp.Or(f.words, quoted(f.text))
		switch f.key {
		case "name", "action":
		case action: // "delay 20ms", not "delay delay 20ms"
			words = append(words, text)
		default:
			words = append(words, strings.ReplaceAll(f.key, "_", "-"), text)
		}
	}
	return strings.Join(words, " ")
}

// quoted returns s in quotes if it is more than one word.
func quoted(s string) string {
	if strings.ContainsAny(s, " \t\n\"") {
		return strconv.Quote(s)
	}
	return s
}

// MarshalJSON returns an object with the keys of a topology and the fields that are set.
func (r Rule) MarshalJSON() ([]byte, error) { return inJSON(fieldsOf(reflect.ValueOf(r))) }

// inJSON returns an object with the given fields.
func inJSON(fields []field) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		text := []byte(f.text)
		if !f.number {
			var err error
			if text, err = json.Marshal(f.text); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(&b, "%q:%s", f.key, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object with the keys of a topology. Values may be written as in a
// topology too, numbers as texts. Errors are in the terms of a topology, not of Go: of type
// *RuleError.
func (r *Rule) UnmarshalJSON(data []byte) error {
	*r = Rule{}
	return decodeJSON(data, r)
}

// decodeJSON decodes an object with the keys of a topology into the struct at r, which is empty.
func decodeJSON(data []byte, r any) error {
	// JSON is YAML, except for some escapes and white space.
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var x any
	if err := dec.Decode(&x); err != nil {
		return err
	}
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	d := &decoder{at: make(positions), alone: true}
	var mistake *Error
	if err := d.document(data, r); errors.As(err, &mistake) {
		return &RuleError{mistake.Path, mistake.Message} // a rule has no lines, but keys
	}
	return nil
}

// percent returns a share of 1 in percent, in as many digits as it takes.
func percent(share float64) string {
	for digits := 0; ; digits++ {
		text := strconv.FormatFloat(share*100, 'f', digits, 64)
		if x, err := strconv.ParseFloat(text, 64); digits == 12 || err == nil && x/100 == share {
			return text + "%"
		}
	}
}
