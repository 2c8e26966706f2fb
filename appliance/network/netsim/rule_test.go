package netsim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/network/netsim"
)

// everything is a rule that says all that can be said, though not at once.
var everything = netsim.Rule{
	Name: "all of it", Action: "delay", Delay: 1500 * time.Millisecond, Jitter: 20 * time.Millisecond,
	Loss: 0.25, Rate: 64000, Queue: 32 * netsim.KiB,
	From: netip.MustParsePrefix("10.0.202.0/24"), To: netip.MustParsePrefix("10.0.201.5/32"), Host: netip.MustParsePrefix("2001:db8::/32"),
	Protocol: "tcp", Port: 25, FromPort: 1024, EitherPort: 514, Direction: "out",
	Path: "google", Cable: "Data 1",
	Connections: 2, SkipConnections: 3, AfterBytes: 412, AfterRecords: 4,
	After: 5 * time.Second, For: 30 * time.Second,
}

// TestOneGrammar writes one rule in each of the ways.
func TestOneGrammar(t *testing.T) {
	const inJSON = `{"name":"all of it","action":"delay","delay":"1.5s","jitter":"20ms","loss":0.25,"rate":64000,"queue":32768,` +
		`"from":"10.0.202.0/24","to":"10.0.201.5","host":"2001:db8::/32","protocol":"tcp","port":25,"from_port":1024,"either_port":514,` +
		`"direction":"out","path":"google","cable":"Data 1","connections":2,"skip_connections":3,"after_bytes":412,"after_records":4,` +
		`"after":"5s","for":"30s"}`
	const inWords = `delay 1.5s jitter 20ms loss 0.25 rate 64000 queue 32768 from 10.0.202.0/24 to 10.0.201.5 host 2001:db8::/32 ` +
		`protocol tcp port 25 from-port 1024 either-port 514 direction out path google cable "Data 1" ` +
		`connections 2 skip-connections 3 after-bytes 412 after-records 4 after 5s for 30s`
	const inTexts = `{"name": "all of it", "action": "delay", "delay": "1500ms", "jitter": "20ms", "loss": "25%", "rate": "64k", "queue": "32KiB",
		"from": "10.0.202.0\/24", "to": "10.0.201.5/32", "host": "2001:db8::/32", "protocol": "tcp", "port": "25", "from_port": "1024", "either_port": "514",
		"direction": "out", "path": "google", "cable": "Data\u00201", "connections": "2", "skip_connections": "3", "after_bytes": "412", "after_records": "4",
		"after": "5s", "for": "30s"}`
	v := reflect.ValueOf(everything)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the rule does not say %s", v.Type().Field(i).Name)
		}
	}
	text, err := json.Marshal(everything)
	if err != nil || string(text) != inJSON {
		t.Errorf("JSON: %v\n%s, want\n%s", err, text, inJSON)
	}
	if got := everything.String(); got != inWords {
		t.Errorf("words:\n%s, want\n%s", got, inWords)
	}
	for _, text := range []string{inJSON, inTexts} {
		if diff := cmp.Diff(everything, rule(t, text), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
	}
	topology := load(t, "rules.yaml", replaceIn(valid, map[string]string{"# rules": `
rules:
  - {name: it, action: rate, rate: 1.5M, queue: 1MiB, from: 10.0.0.0/8, protocol: udp, either_port: 53, direction: both, connections: 1, after_bytes: 1KiB, for: 1m}`}))
	want := netsim.Rule{
		Name: "it", Action: "rate", Rate: 1_500_000, Queue: netsim.MiB, From: netip.MustParsePrefix("10.0.0.0/8"),
		Protocol: "udp", EitherPort: 53, Direction: "both", Connections: 1, AfterBytes: netsim.KiB, For: time.Minute,
	}
	if diff := cmp.Diff([]netsim.Rule{want}, topology.Rules, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("in a topology (-want +got):\n%s", diff)
	}
}

func TestRulesThatAreNotUnderstood(t *testing.T) {
	for text, want := range map[string]string{
		`{"action": "drop", "prot": "tcp"}`:         `unknown key "prot", expected one of name, action,`,
		`{"action": "drop", "to": "everywhere"}`:    `"everywhere" here, expected an IP address or a network`,
		`{"action": "rate", "rate": "fast"}`:        `"fast" here, expected bits a second such as 64k`,
		`{"action": "loss", "loss": "much"}`:        `"much" here, expected a number such as 0.05, or 5%`,
		`{"action": "drop", "for": 30}`:             `"30" here, expected a time such as`,
		`{"action": "drop", "port": 70000}`:         `"70000" here, expected a whole number from 0 to 65535`,
		`{"action": "drop", "to": null}`:            `nothing here, expected an IP address`,
		`["drop"]`:                                  `a list here, expected keys out of name, action,`,
		`{"action": "drop"`:                         `unexpected`,
		`{"action": "delay", "delay": "-1s"}`:       `"-1s" here, expected a time`,
		`{"action": "rate", "rate": -1}`:            `"-1" here, expected bits a second`,
		`{"action": "drop", "to": {"net": "10/8"}}`: `keys with values here, expected an IP address`,
	} {
		var r netsim.Rule
		if err := json.Unmarshal([]byte(text), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestMistakenFaults: what is refused, and why. Nothing is changed by it.
// A limit that is written down as nothing is no limit: a script has counted down to it.
func TestNothingIsNoLimit(t *testing.T) {
	for _, key := range []string{"port", "from_port", "either_port", "connections", "after_bytes", "after_records", "for", "queue"} {
		for _, zero := range []string{`0`, `"0"`} {
			if key == "for" {
				zero = `"0s"`
			}
			var r netsim.Rule
			err := json.Unmarshal(fmt.Appendf(nil, `{"action": "drop", %q: %s}`, key, zero), &r)
			if want := key + " 0, expected "; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s %s: %v, want %q", key, zero, err, want)
			}
		}
	}
	var r netsim.Rule
	if err := json.Unmarshal([]byte(`{"action": "drop", "skip_connections": 0, "after": "0s"}`), &r); err != nil {
		t.Errorf("what is skipped may be nothing: %v", err)
	}
}

func TestMistakenFaults(t *testing.T) {
	w := start(t, fixture(t, "lab"))
	for text, want := range map[string]string{
		`{}`:                                                                                    `action: "" is no action, expected drop, reset,`,
		`{"action": "burn"}`:                                                                    `action: "burn" is no action`,
		`{"action": "delay", "delay": "2h"}`:                                                    `delay: a delay of 2h0m0s, expected 1h0m0s at most`,
		`{"action": "delay", "jitter": "2h"}`:                                                   `jitter: jitter of 2h0m0s, expected 1h0m0s at most`,
		`{"action": "drop", "after": "2562047h"}`:                                               `after: 2562047h0m0s, expected a time such as`,
		`{"action": "drop", "for": "2562047h"}`:                                                 `for: 2562047h0m0s, expected a time such as`,
		`{"action": "delay"}`:                                                                   `delay: no delay, expected one`,
		`{"action": "drop", "delay": "1s"}`:                                                     `delay: a delay of action drop`,
		`{"action": "drop", "jitter": "1s"}`:                                                    `jitter: jitter of action drop`,
		`{"action": "loss"}`:                                                                    `loss: loss 0, expected more than 0`,
		`{"action": "loss", "loss": "200%"}`:                                                    `loss: loss 2, expected`,
		`{"action": "drop", "loss": 1}`:                                                         `loss: a loss of action drop`,
		`{"action": "rate"}`:                                                                    `rate: no rate`,
		`{"action": "drop", "rate": 1}`:                                                         `rate: a rate of action drop`,
		`{"action": "rate", "rate": 1, "queue": "2GiB"}`:                                        `queue: a queue of`,
		`{"action": "drop", "queue": 1}`:                                                        `queue: a queue of action drop`,
		`{"action": "drop", "to": "10.0.201.5/24"}`:                                             `to: 10.0.201.5/24 is an address in a network, expected 10.0.201.0/24`,
		`{"action": "drop", "host": "127.0.0.1"}`:                                               `host: 127.0.0.1 never leaves a machine`,
		`{"action": "drop", "from": "10.0.0.1", "to": "::2"}`:                                   `to: ::2/128 is of another family`,
		`{"action": "drop", "protocol": "sctp"}`:                                                `protocol: "sctp" is no protocol`,
		`{"action": "drop", "direction": "up"}`:                                                 `direction: "up" is no direction`,
		`{"action": "drop", "port": 25}`:                                                        `port: port 25 of no protocol`,
		`{"action": "drop", "protocol": "icmp", "from_port": 25}`:                               `from_port: port 25 of no protocol`,
		`{"action": "drop", "protocol": "tcp", "port": 25, "either_port": 25}`:                  `either_port: either end's port and one end's`,
		`{"action": "drop", "protocol": "tcp", "after_records": -1}`:                            `after_records: -1 records`,
		`{"action": "drop", "protocol": "tcp", "connections": -1}`:                              `connections: -1 connections`,
		`{"action": "drop", "protocol": "tcp", "skip_connections": -1}`:                         `skip_connections: -1 connections`,
		`{"action": "drop", "connections": 1}`:                                                  `protocol: connections are counted in tcp and udp only`,
		`{"action": "drop", "protocol": "icmp", "skip_connections": 1}`:                         `protocol: connections are counted`,
		`{"action": "drop", "after_bytes": 1}`:                                                  `protocol: data is counted in tcp and udp only`,
		`{"action": "drop", "protocol": "tcp", "after_bytes": 1, "after_records": 1}`:           `after_records: both bytes and records`,
		`{"action": "refuse", "protocol": "tcp", "after_bytes": 1}`:                             `action: a connection that has carried data`,
		`{"action": "drop", "path": "google", "cable": "Data 1"}`:                               `cable: a path and a cable`,
		`{"action": "drop", "path": "nowhere"}`:                                                 `path: there is no path "nowhere", expected one of 10.0.201.0/24, google,`,
		`{"action": "drop", "cable": "nobody"}`:                                                 `cable: nothing called "nobody" has a cable, expected one of Data 1, Data 2, Management, resolver`,
		`{"action": "drop", "cable": "google"}`:                                                 `cable: host google is behind the gateways, where there are no cables: say what is meant by its address`,
		`{"action": "unplug"}`:                                                                  `cable: no cable to pull, expected one of Data 1`,
		`{"action": "unplug", "cable": "Data 1", "protocol": "tcp", "port": 25, "name": "why"}`: `action: a cable is pulled for everybody`,
	} {
		_, err := w.Faults().Add(rule(t, text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := w.Faults().Add(netsim.Rule{Action: "drop", For: -1}); err == nil {
		t.Error("a fault lasts less than no time")
	}
	var unknown *netsim.UnknownError
	if err := w.Faults().Remove(7); !errors.As(err, &unknown) {
		t.Errorf("a fault that is not there: %v", err)
	}
	if got := w.Faults().List(); len(got) != 0 {
		t.Errorf("faults: %v", got)
	}
	if err := w.SetServicePort("telnet", 23); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want an error of one line", err)
	}
}
