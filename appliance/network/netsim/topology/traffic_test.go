package topology_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// withTraffic is the valid topology with the traffic that follows.
func withTraffic(text string) string {
	return strings.Replace(valid, "# rules", "traffic:\n"+text, 1)
}

func TestTrafficIsDecoded(t *testing.T) {
	topo := load(t, "t.yaml", withTraffic(`  seed: 7
  groups:
    staff: [ann@example.com, joe@example.com]
  flows:
    - name: day
      from: [far]
      senders: ["@example.net", "<>"]
      to: [staff, "@example.com"]
      rates: {"07:30": 12/h, "18:00": 30/m}
      recipients: 1-3
      kinds: {text: 3, large: 1}
      size: 64KiB
      bad: 5%
      tls: 0.5
      headers: {X-Test: yes}
    - {from: [far], to: [staff], rate: 50/s}
  outages:
    - {server: far/sink, at: "10:15", for: 1h}
`))
	got := topo.Traffic
	want := topology.Flow{
		Name: "day", From: []string{"far"}, Senders: []string{"@example.net", "<>"}, To: []string{"staff", "@example.com"},
		Rates:      map[topology.TimeOfDay]topology.MailRate{7*60 + 30: 12, 18 * 60: 1800},
		Recipients: topology.Span{Min: 1, Max: 3}, Kinds: map[string]int{"text": 3, "large": 1}, Size: 64 << 10,
		Bad: 0.05, TLS: 0.5, Headers: map[string]string{"X-Test": "yes"},
	}
	if diff := cmp.Diff(want, got.Flows[0]); diff != "" {
		t.Errorf("flow (-want +got):\n%s", diff)
	}
	if f := got.Flows[1]; f.Name != "2" || f.Rate != 180_000 || f.Rate.Every() != 20*time.Millisecond {
		t.Errorf("the second flow is %+v, one message in %v", f, f.Rate.Every())
	}
	if o := got.Outages[0]; got.Seed != 7 || o.At != 10*60+15 || o.For != time.Hour {
		t.Errorf("seed %d, outage %+v", got.Seed, o)
	}
	to := got.WithAddresses(got.Flows[0]).To
	if want := []string{"ann@example.com", "joe@example.com", "@example.com"}; !cmp.Equal(to, want) {
		t.Errorf("recipients %q, want %q", to, want)
	}
	for at, want := range map[topology.TimeOfDay]topology.MailRate{0: 1800, 449: 1800, 450: 12, 1079: 12, 1080: 1800, 1439: 1800} {
		if rate := got.Flows[0].RateAt(at); rate != want {
			t.Errorf("at %v the rate is %v an hour, want %v", at, rate, want)
		}
	}
}

func TestMistakesOfTraffic(t *testing.T) {
	const flow = "  flows: [{from: [far], to: [a@example.com], rate: 1/s, X}]\n"
	for with, want := range map[string]string{
		"  flows: [{from: [far], to: [a@example.com]}]":                      "t.yaml:24:11: expected either rate or rates",
		"  flows: [{from: [far], to: [a@b.example], rate: 5}]":               `t.yaml:24:50: "5" here, expected messages in a time, such as 50/s`,
		"  flows: [{from: [far], to: [a@b.example], rate: 5000/s}]":          "such as 50/s, 30/m or 12/h, at most 1000/s",
		"  flows: [{from: [near], to: [a@b.example], rate: 5/s}]":            `t.yaml:24:19: no host is called "near"`,
		"  flows: [{from: [far], rate: 5/s}]":                                "no recipients, expected at least one address",
		"  flows: [{from: [far], to: [staff], rate: 5/s}]":                   `"staff" is no mail address`,
		"  flows: [{from: [far], to: [\"<>\"], rate: 5/s}]":                  `"<>" is no mail address`,
		"  groups: {staff: []}":                                              `group "staff" has 0 addresses`,
		"  outages: [{server: far/mx, at: \"10:00\", for: 1h}]":              `no server is called "far/mx"`,
		"  outages: [{server: far/sink, at: \"10:00\", for: 24h}]":           "an outage of 24h0m0s, expected more than 0 and less than 24h",
		"  outages: [{server: far/sink, at: 10, for: 1h}]":                   `"10" here, expected a time of day such as 07:30`,
		strings.Replace(flow, "X", "rates: {\"00:00\": 1/s}", 1):             "expected either rate or rates",
		strings.Replace(flow, "X", "rates: {\"24:00\": 1/s}", 1):             `key "24:00", expected a time of day`,
		strings.Replace(flow, "X", "recipients: 3-1", 1):                     `"3-1" here, expected a number or a range of numbers`,
		strings.Replace(flow, "X", "recipients: 1001", 1):                    "1001 recipients, expected at most 1000",
		strings.Replace(flow, "X", "kinds: {picture: 1}", 1):                 "expected one of text, html, attachment, large, newsletter",
		strings.Replace(flow, "X", "kinds: {text: 0}", 1):                    "every weight is 0, expected one above",
		strings.Replace(flow, "X", "bad: 60%, down: 50%, down_to: [a@b]", 1): "bad and down are 1.1 together",
		strings.Replace(flow, "X", "down: 50%", 1):                           "no addresses, expected those whose servers do not answer",
		strings.Replace(flow, "X", "tls: 120%", 1):                           "1.2, expected a share from 0 to 1",
		strings.Replace(flow, "X", "size: 1GiB", 1):                          "expected at most 100MiB",
		strings.Replace(flow, "X", `headers: {"A B": x}`, 1):                 "is no line of a header",
		strings.Replace(flow, "X", `subjects: ["a\nb"]`, 1):                  "a subject has several lines",
		strings.Replace(flow, "X", "colour: red", 1):                         `unknown key "colour"`,
		strings.Replace(flow, "X}]", "name: x}, {name: x, rate: 1/s}]", 1):   `a second flow "x", expected a name of its own`,
	} {
		_, err := topology.Load("t.yaml", []byte(withTraffic(with)), servers())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Load = %v\nwant %s", with, err, want)
		}
	}
}

// A flow has the same form in JSON.
func TestFlowInJSON(t *testing.T) {
	f := topology.Flow{
		From: []string{"far"}, To: []string{"@example.com"}, Rate: 50 * 3600, Recipients: topology.Span{Min: 2, Max: 3},
		Bad: 0.1, Size: 1000, Rates: map[topology.TimeOfDay]topology.MailRate{61: 90},
	}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"from":["far"],"to":["@example.com"],"rate":"50/s","rates":{"01:01":"1.5/m"},` +
		`"recipients":"2-3","size":1000,"bad":0.1}`
	if string(text) != want {
		t.Errorf("in JSON:\n%s, want\n%s", text, want)
	}
	var again topology.Flow
	if err := json.Unmarshal(text, &again); err != nil || !cmp.Equal(f, again) {
		t.Errorf("read again: %+v, %v", again, err)
	}
	if err := json.Unmarshal([]byte(`{"rate": "5"}`), &again); err == nil || !strings.HasPrefix(err.Error(), `rate: "5", expected messages in a time`) {
		t.Errorf("a wrong rate: %v", err)
	}
}
