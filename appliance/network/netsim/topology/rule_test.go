package topology_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// everything is a rule with all fields, which Check would refuse.
var everything = topology.Rule{
	Name: "all of it", Action: "delay", Delay: 1500 * time.Millisecond, Jitter: 20 * time.Millisecond,
	Loss: 0.25, Rate: 64000, Queue: 32 * topology.KiB,
	From: netip.MustParsePrefix("10.0.202.0/24"), To: netip.MustParsePrefix("10.0.201.5/32"), Host: netip.MustParsePrefix("2001:db8::/32"),
	Protocol: "tcp", Port: 25, FromPort: 1024, EitherPort: 514, Direction: "out",
	Path: "google", Cable: "Data 1",
	Connections: 2, SkipConnections: 3, AfterBytes: 412, AfterRecords: 4,
	After: 5 * time.Second, For: 30 * time.Second,
}

// rule reads a rule in JSON.
func rule(t testing.TB, text string) topology.Rule {
	t.Helper()
	var r topology.Rule
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// A rule has one form in JSON, in words and in a topology.
func TestRuleForms(t *testing.T) {
	const inJSON = `{"name":"all of it","action":"delay","delay":"1.5s","jitter":"20ms","loss":0.25,"rate":64000,"queue":32768,` +
		`"from":"10.0.202.0/24","to":"10.0.201.5","host":"2001:db8::/32","protocol":"tcp","port":25,"from_port":1024,"either_port":514,` +
		`"direction":"out","path":"google","cable":"Data 1","connections":2,"skip_connections":3,"after_bytes":412,"after_records":4,` +
		`"after":"5s","for":"30s"}`
	const inWords = `delay 1.5s jitter 20ms loss 25% rate 64000 queue 32768 from 10.0.202.0/24 to 10.0.201.5 host 2001:db8::/32 ` +
		`protocol tcp port 25 from-port 1024 either-port 514 direction out path google cable "Data 1" ` +
		`connections 2 skip-connections 3 after-bytes 412 after-records 4 after 5s for 30s`
	const inTexts = `{"name": "all of it", "action": "delay", "delay": "1500ms", "jitter": "20ms", "loss": "25%", "rate": "64k", "queue": "32KiB",
		"from": "10.0.202.0\/24", "to": "10.0.201.5/32", "host": "2001:db8::/32", "protocol": "tcp", "port": "25", "from_port": "1024", "either_port": "514",
		"direction": "out", "path": "google", "cable": "Data\u00201", "connections": "2", "skip_connections": "3", "after_bytes": "412", "after_records": "4",
		"after": "5s", "for": "30s"}`
	v := reflect.ValueOf(everything)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the rule has no %s", v.Type().Field(i).Name)
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
	topo := load(t, "rules.yaml", replaceIn(valid, map[string]string{"# rules": `
rules:
  - {name: it, action: rate, rate: 1.5M, queue: 1MiB, from: 10.0.0.0/8, protocol: udp, either_port: 53, direction: both, connections: 1, after_bytes: 1KiB, for: 1m}`}))
	want := topology.Rule{
		Name: "it", Action: "rate", Rate: 1_500_000, Queue: topology.MiB, From: netip.MustParsePrefix("10.0.0.0/8"),
		Protocol: "udp", EitherPort: 53, Direction: "both", Connections: 1, AfterBytes: topology.KiB, For: time.Minute,
	}
	if diff := cmp.Diff([]topology.Rule{want}, topo.Rules, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("in a topology (-want +got):\n%s", diff)
	}
}

func TestUnmarshalRuleReportsMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`{"action": "drop", "prot": "tcp"}`:         `unknown key "prot", expected one of name, action,`,
		`{"action": "drop", "to": "everywhere"}`:    `to: "everywhere", expected an IP address or a network`,
		`{"action": "rate", "rate": "fast"}`:        `rate: "fast", expected bits per second such as 64k`,
		`{"action": "loss", "loss": "much"}`:        `loss: "much", expected a number such as 0.05, or 5%`,
		`{"action": "drop", "for": 30}`:             `for: "30", expected a time such as`,
		`{"action": "drop", "port": 70000}`:         `port: "70000", expected a whole number from 0 to 65535`,
		`{"action": "drop", "to": null}`:            `to: nothing, expected an IP address`,
		`["drop"]`:                                  `a list, expected a mapping with any of the keys name, action,`,
		`{"action": "drop"`:                         `unexpected`,
		`{"action": "delay", "delay": "-1s"}`:       `delay: "-1s", expected a time`,
		`{"action": "rate", "rate": -1}`:            `rate: "-1", expected bits per second`,
		`{"action": "drop", "to": {"net": "10/8"}}`: `to: a mapping, expected an IP address`,
	} {
		var r topology.Rule
		if err := json.Unmarshal([]byte(text), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A script that counts a limit down to 0 does not mean "no limit".
func TestZeroConditionIsRefused(t *testing.T) {
	for _, key := range []string{"port", "from_port", "either_port", "connections", "after_bytes", "after_records", "for", "queue"} {
		for _, zero := range []string{`0`, `"0"`} {
			if key == "for" {
				zero = `"0s"`
			}
			var r topology.Rule
			err := json.Unmarshal(fmt.Appendf(nil, `{"action": "drop", %q: %s}`, key, zero), &r)
			if want := key + " 0, expected "; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s %s: %v, want %q", key, zero, err, want)
			}
		}
	}
	var r topology.Rule
	if err := json.Unmarshal([]byte(`{"action": "drop", "skip_connections": 0, "after": "0s"}`), &r); err != nil {
		t.Errorf("a key that may be 0: %v", err)
	}
}
