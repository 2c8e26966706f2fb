package topology

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (c *checker) rules() error {
	for i := range c.Rules {
		err := c.Rules[i].check(c.Topology, func(key, format string, args ...any) error {
			return c.errorf(index("rules", i, key), format, args...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A RuleError says what is wrong with a rule that is no part of a topology.
type RuleError struct {
	Key     string // of the value that is wrong; "" if the rule as a whole is
	Message string
}

// Error returns one line that begins with the key.
func (e *RuleError) Error() string {
	if e.Key == "" || strings.HasPrefix(e.Message, e.Key+" ") {
		return e.Message
	}
	return e.Key + ": " + e.Message
}

// Check reports what is wrong with a rule in a world of topology t. Its errors are of type
// *RuleError.
func (r *Rule) Check(t *Topology) error {
	errorf := func(key, format string, args ...any) error {
		return &RuleError{strings.TrimPrefix(key, "."), fmt.Sprintf(format, args...)}
	}
	if err := r.check(t, errorf); err != nil {
		return err
	}
	return r.checkSimulated(t, errorf)
}

// checkSimulated refuses a place on the other side of an uplink, where the rule would do nothing.
func (r *Rule) checkSimulated(t *Topology, errorf errorFunc) error {
	if h := t.findHost(r.Cable); h != nil && t.findInterface(r.Cable) == nil && !t.Simulates(h) {
		if network := t.networkOf(h.Wire); network != "" {
			return errorf(".cable", "host %s is in the network %s: set the fault there", h.Name, network)
		}
		return errorf(".cable", "host %s is at the other end of %v, where nothing is simulated",
			h.Name, t.UplinkOf(h.Wire).To)
	}
	if r.Path == "" {
		return nil
	}
	network := ""
	for _, s := range t.Segments() {
		switch {
		case len(s.Routers) == 0:
		case !t.IsReal(s.Interface.Name):
			return nil
		default:
			network = cmp.Or(network, t.networkOf(s.Interface.Name))
		}
	}
	switch {
	case network != "":
		return errorf(".path", "paths begin at the gateways of the network %s: set the fault there", network)
	case t.hasRealSegment():
		return errorf(".path", "paths begin at the gateways, of which none is simulated")
	}
	return nil
}

// check is Check with another form of errors.
func (r *Rule) check(t *Topology, errorf errorFunc) error {
	if actions := Actions(); !slices.Contains(actions, r.Action) {
		last := len(actions) - 1
		return errorf(".action", "%q is no action, expected %s or %s",
			r.Action, strings.Join(actions[:last], ", "), actions[last])
	}
	for _, check := range []func(errorFunc) error{
		r.checkAmounts, r.checkAddresses, r.checkPorts, r.checkCounts,
	} {
		if err := check(errorf); err != nil {
			return err
		}
	}
	return r.checkPlace(t, errorf)
}

// Bounds of times. A longer time is a mistake, and sums of times must not overflow.
const (
	longestDelay = time.Hour
	longestTime  = 10 * 365 * 24 * time.Hour
)

// checkAmounts checks the parameters of the action.
func (r *Rule) checkAmounts(errorf errorFunc) error {
	delays, loses, limits := r.Action == "delay", r.Action == "loss", r.Action == "rate"
	switch {
	case r.Delay < 0 || r.Jitter < 0 || delays && r.Delay == 0 && r.Jitter == 0:
		return errorf(".delay", "no delay, expected one such as 200ms")
	case r.Delay > longestDelay:
		return errorf(".delay", "a delay of %v, expected at most %v", r.Delay, longestDelay)
	case r.Jitter > longestDelay:
		return errorf(".jitter", "a jitter of %v, expected at most %v", r.Jitter, longestDelay)
	case !delays && r.Delay != 0:
		return errorf(".delay", "action %s has no delay, expected action delay", r.Action)
	case !delays && r.Jitter != 0:
		return errorf(".jitter", "action %s has no jitter, expected action delay", r.Action)
	case r.Loss < 0 || r.Loss > 1 || loses && r.Loss == 0:
		return errorf(".loss", "loss %v, expected more than 0 and at most 1 (100%%)", r.Loss)
	case !loses && r.Loss != 0:
		return errorf(".loss", "action %s has no loss, expected action loss", r.Action)
	case r.Rate < 0 || limits && r.Rate == 0:
		return errorf(".rate", "no rate, expected bits per second such as 64k or 10M")
	case !limits && r.Rate != 0:
		return errorf(".rate", "action %s has no rate, expected action rate", r.Action)
	case r.Queue < 0 || r.Queue > GiB:
		return errorf(".queue", "a queue of %d bytes, expected at most 1 GiB", r.Queue)
	case !limits && r.Queue != 0:
		return errorf(".queue", "action %s has no queue, expected action rate", r.Action)
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
			return errorf(x.key,
				"packets for %v never leave a machine, expected an address of the network",
				p.Addr())
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
			return errorf(x.key,
				"port %d without a protocol that has ports, expected protocol: tcp or udp", x.port)
		}
	}
	if r.EitherPort != 0 && (r.Port != 0 || r.FromPort != 0) {
		return errorf(".either_port", "a port of either end and of one end, expected one of them")
	}
	return nil
}

// checkCounts checks conditions that count connections, data or time.
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
		return errorf(".protocol",
			"connections are counted in tcp and udp only, expected one of them")
	case r.AfterBytes > 0 && r.AfterRecords > 0:
		return errorf(".after_records", "both bytes and records are counted, expected one of them")
	case r.Action == "refuse" && (r.AfterBytes > 0 || r.AfterRecords > 0):
		return errorf(".action",
			"a connection that has carried data can no longer be refused, expected reset")
	}
	return nil
}

// checkPlace checks that the topology has the path or the cable of the rule.
func (r *Rule) checkPlace(t *Topology, errorf errorFunc) error {
	unconditional := Rule{Name: r.Name, Action: r.Action, Cable: r.Cable, After: r.After, For: r.For}
	switch {
	case r.Path != "" && r.Cable != "":
		return errorf(".cable", "a path and a cable, expected one of them")
	case r.Path != "" && !t.hasPath(r.Path):
		return errorf(".path", "there is no path %q, expected %s", r.Path, t.pathNames())
	case r.Cable != "" && !t.hasCable(r.Cable):
		if h := t.findHost(r.Cable); h != nil {
			return errorf(".cable",
				"host %s is behind the gateways, where there are no cables, expected its address "+
					"in from, to or host",
				r.Cable)
		}
		return errorf(".cable",
			"nothing called %q has a cable, expected %s", r.Cable, t.cableNames())
	case r.Action == Unplug && r.Cable == "":
		return errorf(".cable", "no cable to unplug, expected %s", t.cableNames())
	case r.Action == Unplug && *r != unconditional:
		return errorf(".action",
			"a cable is unplugged for all packets, expected no conditions except after and for")
	}
	return nil
}

func (t *Topology) hasPath(name string) bool {
	return slices.ContainsFunc(t.Paths, func(p Path) bool { return p.Name == name })
}

// pathNames lists the paths, for messages.
func (t *Topology) pathNames() string {
	var names []string
	for i := range t.Paths {
		names = append(names, t.Paths[i].Name)
	}
	return oneOf(names)
}

// hasCable reports whether name is that of an interface or of a host on a wire.
func (t *Topology) hasCable(name string) bool {
	h := t.findHost(name)
	return t.findInterface(name) != nil || h != nil && h.Wire != ""
}

// cableNames lists the machines with a cable, for messages.
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

// oneOf lists what is expected, for messages.
func oneOf(names []string) string {
	if len(names) == 0 {
		return "none, since the topology has none"
	}
	return "one of " + strings.Join(names, ", ")
}
