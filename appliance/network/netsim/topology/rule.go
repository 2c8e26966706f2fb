package topology

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Rule is a fault of the network: what happens, to which packets, where and when.
// Zero values match everything; where they are written down, they are refused. It is written the same way in a topology, in JSON
// (where numbers may be texts, too) and on the command line.
//
// Without Path or Cable it is a firewall's: at the appliance's gateways, for what
// passes them, and on the appliance's own wires, for what neighbours say to each
// other there. It is asked about IP packets only, and not about ARP and neighbor
// discovery.
type Rule struct {
	Name string `yaml:"name"` // for people

	// Action is what happens: "drop"; "reset": both ends of a TCP connection get a
	// reset, others a port unreachable; "refuse": the same for who opens a TCP
	// connection, and for UDP, only; "prohibit", "net-unreachable" and
	// "host-unreachable": answered so, by ICMP; "delay"; "loss"; "rate"; "unplug": the
	// cable is pulled; or "pass": no later rule is asked.
	Action string        `yaml:"action"`
	Delay  time.Duration `yaml:"delay"`                     // of delay
	Jitter time.Duration `yaml:"jitter"`                    // of delay: up to this much more, by chance
	Loss   float64       `yaml:"loss"`                      // of loss: the share that is lost, 0 to 1
	Rate   BitRate       `yaml:"rate"`                      // of rate: bits a second, in each direction
	Queue  Bytes         `yaml:"queue" given:"more than 0"` // of rate: how much may wait; 256 KiB unless given

	From       netip.Prefix `yaml:"from"`
	To         netip.Prefix `yaml:"to"`
	Host       netip.Prefix `yaml:"host"`                                                                // either end
	Protocol   string       `yaml:"protocol"`                                                            // "tcp", "udp", "icmp"
	Port       uint16       `yaml:"port" given:"a number from 1 to 65535: without it any port is meant"` // destination's
	FromPort   uint16       `yaml:"from_port" given:"a number from 1 to 65535: without it any port is meant"`
	EitherPort uint16       `yaml:"either_port" given:"a number from 1 to 65535: without it any port is meant"`
	Direction  string       `yaml:"direction"` // as the appliance sees it: "in", "out", "both"

	// Path is the name of a path at whose far end this happens, and Cable that of an
	// interface, or of a host on a wire, on whose cable it does, to every frame.
	Path  string `yaml:"path"`
	Cable string `yaml:"cable"`

	// Connections are how many it happens to: those that begin next, once
	// SkipConnections others have begun. See wan.Rule.
	Connections     int `yaml:"connections" given:"more than 0: without it there is no limit"`
	SkipConnections int `yaml:"skip_connections"`
	// AfterBytes and AfterRecords let that much of a connection's data pass first, in
	// each direction for itself. See wan.Rule.
	AfterBytes   Bytes `yaml:"after_bytes" given:"more than 0"`
	AfterRecords int   `yaml:"after_records" given:"more than 0"`
	// After is how long it is until it begins, and For how long it then lasts (0: until
	// it is removed), in true time from when it is set, whatever the appliance's clock
	// shows.
	After time.Duration `yaml:"after"`
	For   time.Duration `yaml:"for" given:"more than 0: without it there is no limit"`
}

// A BitRate is a number of bits a second, written as "64k", "1.5M" or as a plain
// number.
type BitRate int64

// Unplug is the action that pulls a cable.
const Unplug = "unplug"

// Actions are what rules can do, in the order in which messages name them.
func Actions() []string {
	return []string{
		"drop", "reset", "refuse", "prohibit", "net-unreachable", "host-unreachable",
		"delay", "loss", "rate", Unplug, "pass",
	}
}

// actionNames lists the actions for messages.
func actionNames() string {
	names := Actions()
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Check reports what is wrong with the rule in a world of topology t. Its errors begin
// with the key that they are about.
func (r *Rule) Check(t *Topology) error {
	return r.check(t, func(key, format string, args ...any) error {
		return fmt.Errorf("%s: %s", strings.TrimPrefix(key, "."), fmt.Sprintf(format, args...))
	})
}

// check says what is wrong with the rule in a world of topology t.
func (r *Rule) check(t *Topology, errorf errorFunc) error {
	if !slices.Contains(Actions(), r.Action) {
		return errorf(".action", "%q is no action, expected %s", r.Action, actionNames())
	}
	for _, check := range []func(errorFunc) error{r.checkAmounts, r.checkAddresses, r.checkPorts, r.checkCounts} {
		if err := check(errorf); err != nil {
			return err
		}
	}
	return r.checkPlace(t, errorf)
}

// Bounds of times: what is longer is a mistake, and sums of them must not overflow.
const (
	longestDelay = time.Hour
	longestTime  = 10 * 365 * 24 * time.Hour
)

// checkAmounts checks how much of what is done.
func (r *Rule) checkAmounts(errorf errorFunc) error {
	delays, loses, limits := r.Action == "delay", r.Action == "loss", r.Action == "rate"
	switch {
	case r.Delay < 0 || r.Jitter < 0 || delays && r.Delay == 0 && r.Jitter == 0:
		return errorf(".delay", "no delay, expected one such as 200ms")
	case r.Delay > longestDelay:
		return errorf(".delay", "a delay of %v, expected %v at most", r.Delay, longestDelay)
	case r.Jitter > longestDelay:
		return errorf(".jitter", "jitter of %v, expected %v at most", r.Jitter, longestDelay)
	case !delays && r.Delay != 0:
		return errorf(".delay", "a delay of action %s, expected action delay", r.Action)
	case !delays && r.Jitter != 0:
		return errorf(".jitter", "jitter of action %s, expected action delay", r.Action)
	case r.Loss < 0 || r.Loss > 1 || loses && r.Loss == 0:
		return errorf(".loss", "loss %v, expected more than 0, and 1 (100%%) at most", r.Loss)
	case !loses && r.Loss != 0:
		return errorf(".loss", "a loss of action %s, expected action loss", r.Action)
	case r.Rate < 0 || limits && r.Rate == 0:
		return errorf(".rate", "no rate, expected bits a second such as 64k or 10M")
	case !limits && r.Rate != 0:
		return errorf(".rate", "a rate of action %s, expected action rate", r.Action)
	case r.Queue < 0 || r.Queue > GiB:
		return errorf(".queue", "a queue of %d bytes, expected 1 GiB at most", r.Queue)
	case !limits && r.Queue != 0:
		return errorf(".queue", "a queue of action %s, expected action rate", r.Action)
	}
	return nil
}

func (r *Rule) checkAddresses(errorf errorFunc) error {
	var first netip.Prefix
	for _, x := range []struct {
		key string
		netip.Prefix
	}{{".from", r.From}, {".to", r.To}, {".host", r.Host}} {
		switch p := x.Prefix; {
		case !p.IsValid():
		case p != p.Masked():
			return errorf(x.key, "%v is an address in a network, expected %v", p, p.Masked())
		case p.Addr().IsLoopback():
			return errorf(x.key, "%v never leaves a machine, expected an address of the network's", p.Addr())
		case first.IsValid() && first.Addr().Is4() != p.Addr().Is4():
			return errorf(x.key, "%v is of another family than %v, expected the same", p, first)
		default:
			first = p
		}
	}
	return nil
}

// hasPorts reports whether the rule is for a protocol with ports.
func (r *Rule) hasPorts() bool { return r.Protocol == "tcp" || r.Protocol == "udp" }

func (r *Rule) checkPorts(errorf errorFunc) error {
	if !slices.Contains([]string{"", "tcp", "udp", "icmp"}, r.Protocol) {
		return errorf(".protocol", "%q is no protocol, expected tcp, udp or icmp", r.Protocol)
	}
	if !slices.Contains([]string{"", "in", "out", "both"}, r.Direction) {
		return errorf(".direction", "%q is no direction, expected in, out or both", r.Direction)
	}
	for _, x := range []struct {
		key  string
		port uint16
	}{{".port", r.Port}, {".from_port", r.FromPort}, {".either_port", r.EitherPort}} {
		if x.port != 0 && !r.hasPorts() {
			return errorf(x.key, "port %d of no protocol, expected protocol: tcp or udp", x.port)
		}
	}
	if r.EitherPort != 0 && (r.Port != 0 || r.FromPort != 0) {
		return errorf(".either_port", "either end's port and one end's, expected one of them")
	}
	return nil
}

// checkCounts checks what is counted before or while the rule acts.
func (r *Rule) checkCounts(errorf errorFunc) error {
	switch {
	case r.AfterBytes < 0:
		return errorf(".after_bytes", "%d bytes, expected 0 or more", r.AfterBytes)
	case r.AfterRecords < 0:
		return errorf(".after_records", "%d records, expected 0 or more", r.AfterRecords)
	case r.Connections < 0:
		return errorf(".connections", "%d connections, expected 0 or more", r.Connections)
	case r.SkipConnections < 0:
		return errorf(".skip_connections", "%d connections, expected 0 or more", r.SkipConnections)
	case r.After < 0 || r.After > longestTime:
		return errorf(".after", "%v, expected a time such as 5s", r.After)
	case r.For < 0 || r.For > longestTime:
		return errorf(".for", "%v, expected a time such as 30s", r.For)
	case (r.AfterBytes > 0 || r.AfterRecords > 0) && !r.hasPorts():
		return errorf(".protocol", "data is counted in tcp and udp only, expected one of them")
	case (r.Connections > 0 || r.SkipConnections > 0) && !r.hasPorts():
		return errorf(".protocol", "connections are counted in tcp and udp only, expected one of them")
	case r.AfterBytes > 0 && r.AfterRecords > 0:
		return errorf(".after_records", "both bytes and records are counted, expected one of them")
	case r.Action == "refuse" && (r.AfterBytes > 0 || r.AfterRecords > 0):
		return errorf(".action", "a connection that has carried data is not refused any more, expected reset")
	}
	return nil
}

// checkPlace checks that the world has the place where the rule is.
func (r *Rule) checkPlace(t *Topology, errorf errorFunc) error {
	bare := Rule{Name: r.Name, Action: r.Action, Cable: r.Cable, After: r.After, For: r.For}
	switch {
	case r.Path != "" && r.Cable != "":
		return errorf(".cable", "a path and a cable, expected one of them")
	case r.Path != "" && !t.hasPath(r.Path):
		return errorf(".path", "there is no path %q, expected %s", r.Path, t.pathNames())
	case r.Cable != "" && !t.hasCable(r.Cable):
		if h := t.findHost(r.Cable); h != nil {
			return errorf(".cable", "host %s is behind the gateways, where there are no cables: say what is meant by its address", r.Cable)
		}
		return errorf(".cable", "nothing called %q has a cable, expected %s", r.Cable, t.cableNames())
	case r.Action == Unplug && r.Cable == "":
		return errorf(".cable", "no cable to pull, expected %s", t.cableNames())
	case r.Action == Unplug && *r != bare:
		return errorf(".action", "a cable is pulled for everybody: expected no conditions but after and for")
	}
	return nil
}

func (t *Topology) hasPath(name string) bool {
	for i := range t.Paths {
		if t.Paths[i].Name == name {
			return true
		}
	}
	return false
}

func (t *Topology) pathNames() string {
	var names []string
	for i := range t.Paths {
		names = append(names, t.Paths[i].Name)
	}
	return oneOf(names)
}

// hasCable reports whether name is an interface's or that of a host on a wire.
func (t *Topology) hasCable(name string) bool {
	h := t.findHost(name)
	return t.findInterface(name) != nil || h != nil && h.Wire != ""
}

func (t *Topology) cableNames() string {
	var names []string
	for i := range t.Appliance.Interfaces {
		names = append(names, t.Appliance.Interfaces[i].Name)
	}
	for i := range t.Hosts {
		if t.Hosts[i].Wire != "" {
			names = append(names, t.Hosts[i].Name)
		}
	}
	return oneOf(names)
}

func oneOf(names []string) string {
	if len(names) == 0 {
		return "none: there are none"
	}
	return "one of " + strings.Join(names, ", ")
}

// A field is one that a rule gives, as text.
type field struct {
	key, text string
	number    bool
}

// fields are what the rule says, in the order of its type.
func (r *Rule) fields() []field {
	var list []field
	v := reflect.ValueOf(r).Elem()
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

// String writes the rule in a line: "drop to 10.0.202.7 protocol tcp port 25". Its name
// is left out.
func (r Rule) String() string {
	words := []string{r.Action}
	for _, f := range r.fields() {
		switch f.key {
		case "name", "action":
		case r.Action: // "delay 20ms", not "delay delay 20ms"
			words = append(words, f.text)
		default:
			words = append(words, strings.ReplaceAll(f.key, "_", "-"), quoted(f.text))
		}
	}
	return strings.Join(words, " ")
}

// quoted is a word, or a text as one.
func quoted(s string) string {
	if strings.ContainsAny(s, " \t\"") {
		return strconv.Quote(s)
	}
	return s
}

// MarshalJSON writes what the rule says, with the keys of a topology.
func (r Rule) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range r.fields() {
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

// UnmarshalJSON reads what MarshalJSON writes, and a topology's way of writing: numbers
// may be texts, too. Its errors are for people.
func (r *Rule) UnmarshalJSON(data []byte) error {
	// JSON is YAML but for some escapes and white space.
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
	*r = Rule{}
	d := &decoder{at: make(positions)}
	var wrong *Error
	if err := d.document(data, r); errors.As(err, &wrong) {
		return errors.New(wrong.Message)
	}
	return nil
}
