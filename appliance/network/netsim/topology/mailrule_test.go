package topology_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// everyMailKey is a rule with all fields, which Check would refuse.
var everyMailKey = topology.MailRule{
	Name: "all of it", Action: "reply", Reply: "550 5.7.1 first\nsecond", Delay: 1500 * time.Millisecond,
	Cut: "close", Greylist: 5 * time.Minute, Certificate: "expired", Connections: 1,
	Stage: "rcpt", Sender: "*@example.com", Recipient: "joe@*",
	Times: 2, AfterMessages: 3, AfterBytes: 412, Share: 0.25,
}

// A rule has one form in JSON, in words and in a topology.
func TestMailRuleForms(t *testing.T) {
	const inJSON = `{"name":"all of it","action":"reply","reply":"550 5.7.1 first\nsecond","delay":"1.5s","cut":"close",` +
		`"greylist":"5m0s","certificate":"expired","connections":1,"stage":"rcpt","sender":"*@example.com","recipient":"joe@*",` +
		`"times":2,"after_messages":3,"after_bytes":412,"share":0.25}`
	const inWords = `reply "550 5.7.1 first\nsecond" delay 1.5s cut close greylist 5m0s certificate expired connections 1 ` +
		`stage rcpt sender *@example.com recipient joe@* times 2 after-messages 3 after-bytes 412 share 25%`
	const inTexts = `{"name": "all of it", "action": "reply", "reply": "550 5.7.1 first\nsecond", "delay": "1500ms", "cut": "close",
		"greylist": "5m", "certificate": "expired", "connections": "1", "stage": "rcpt", "sender": "*@example.com", "recipient": "joe@*",
		"times": "2", "after_messages": "3", "after_bytes": "412", "share": "25%"}`
	v := reflect.ValueOf(everyMailKey)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the rule has no %s", v.Type().Field(i).Name)
		}
	}
	text, err := json.Marshal(everyMailKey)
	if err != nil || string(text) != inJSON {
		t.Errorf("JSON: %v\n%s, want\n%s", err, text, inJSON)
	}
	if got := everyMailKey.String(); got != inWords {
		t.Errorf("words:\n%s, want\n%s", got, inWords)
	}
	for _, text := range []string{inJSON, inTexts} {
		var got topology.MailRule
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(everyMailKey, got); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
	}
	topo := load(t, "t.yaml", replaceIn(valid, map[string]string{"type: dns": `type: mx, rules: [
      {action: reply, reply: "450 4.2.0 later", stage: rcpt, recipient: "*@example.com", times: 2, share: 50%}, {action: cut, after_bytes: 1KiB}]`}))
	want := []topology.MailRule{
		{Action: "reply", Reply: "450 4.2.0 later", Stage: "rcpt", Recipient: "*@example.com", Times: 2, Share: 0.5},
		{Action: "cut", AfterBytes: topology.KiB},
	}
	if diff := cmp.Diff(want, topo.Hosts[0].Services[0].Rules); diff != "" {
		t.Errorf("in a topology (-want +got):\n%s", diff)
	}
}

// mailRuleMistakes are rules and the errors of reading or checking them.
var mailRuleMistakes = map[string]string{
	`{}`:                                   `action: "" is no action, expected reply, delay, cut, greylist, certificate, connections or accept`,
	`{"action": "drop"}`:                   `action: "drop" is no action, expected reply,`,
	`{"action": "reply", "stage": "rcpt"}`: `reply: "" is not an error reply, expected a code from 400 to 599 and a text, such as "450 4.2.0 greylisted"`,
	`{"action": "reply", "reply": "250 fine", "stage": "rcpt"}`:                    `reply: "250 fine" is not an error reply`,
	`{"action": "reply", "reply": "450 a\rb", "stage": "rcpt"}`:                    `reply: "450 a\rb" is not an error reply`,
	`{"action": "reply", "reply": "450 a\n\nb", "stage": "rcpt"}`:                  `reply: "450 a\n\nb" is not an error reply`,
	`{"action": "reply", "reply": "450 no"}`:                                       `stage: no stage, expected connect, ehlo, helo, starttls, auth, mail, rcpt, data or end`,
	`{"action": "reply", "reply": "450 no", "stage": "quit"}`:                      `stage: "quit" is no stage, expected connect, ehlo,`,
	`{"action": "reply", "reply": "450 no", "stage": "ehlo", "sender": "*"}`:       `sender: no address is known at stage ehlo, expected stage mail or a later one`,
	`{"action": "reply", "reply": "450 no", "stage": "mail", "recipient": "joe"}`:  `recipient: no address is known at stage mail, expected stage rcpt or a later one`,
	`{"action": "reply", "reply": "450 no", "stage": "rcpt", "recipient": "a b"}`:  `recipient: "a b" is no pattern of an address, expected one such as *@example.com`,
	`{"action": "reply", "reply": "450 no", "stage": "rcpt", "delay": "1s"}`:       `delay: action reply has no delay, expected action delay`,
	`{"action": "reply", "reply": "450 no", "stage": "rcpt", "share": 2}`:          `share 2, expected more than 0 and at most 1 (100%)`,
	`{"action": "reply", "reply": "450 no", "stage": "rcpt", "times": 0}`:          `times 0, expected more than 0; without this key there is no limit`,
	`{"action": "reply", "reply": "450 no", "stage": "rcpt", "times": -1}`:         `times: -1 times, expected 0 or more`,
	`{"action": "reply", "reply": "450 no", "stage": "rcpt", "after_messages": 0}`: `after_messages 0, expected more than 0`,
	`{"action": "reply", "reply": "450 no", "stage": "rcpt", "port": 25}`:          `unknown key "port", expected one of name, action, reply, delay,`,
	`{"action": "delay"}`:                                               `delay: a delay of 0s, expected one such as 2s, at most 1h0m0s`,
	`{"action": "delay", "delay": "2"}`:                                 `delay: "2", expected a time such as`,
	`{"action": "delay", "delay": "2s", "after_bytes": 3}`:              `after_bytes: action delay has no after_bytes, expected action cut`,
	`{"action": "cut"}`:                                                 `stage: no stage, expected connect, ehlo, helo, starttls, auth, mail, rcpt, data or end; or after_bytes`,
	`{"action": "cut", "cut": "softly", "stage": "data"}`:               `cut: "softly", expected reset or close`,
	`{"action": "cut", "stage": "mail", "after_bytes": 10}`:             `after_bytes: bytes are counted of a connection or a message, expected no stage or stage end`,
	`{"action": "cut", "sender": "*", "after_bytes": 10}`:               `sender: no address is known when this rule applies, expected none`,
	`{"action": "greylist"}`:                                            `greylist: a time of 0s, expected one such as 5m`,
	`{"action": "greylist", "greylist": "1m", "stage": "a"}`:            `stage: "a" is no stage`,
	`{"action": "greylist", "greylist": "1m", "stage": "rcpt"}`:         `stage: action greylist has its own stage, expected none`,
	`{"action": "certificate"}`:                                         `certificate: "" is no certificate, expected expired, future, self-signed, unknown-ca, wrong-name or broken`,
	`{"action": "certificate", "certificate": "broken", "sender": "*"}`: `sender: no address is known when this rule applies, expected none`,
	`{"action": "connections"}`:                                         `connections: 0 connections, expected 1 or more`,
	`{"action": "accept", "reply": "450 no"}`:                           `reply: action accept has no reply, expected action reply or greylist or connections`,
}

func TestMailRuleReportsMistakes(t *testing.T) {
	for text, want := range mailRuleMistakes {
		var r topology.MailRule
		err := json.Unmarshal([]byte(text), &r)
		if err == nil {
			err = r.Check()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for service, want := range map[string]string{
		`type: mx, rules: [{action: drop}]`:                               `t.yaml:18:44: "drop" is no action, expected reply,`,
		`type: mx, rules: [{action: accept}, {action: cut, stage: quit}]`: `t.yaml:18:74: "quit" is no stage, expected connect,`,
		`type: mx, rules: [{aktion: cut}]`:                                `t.yaml:18:36: unknown key "aktion", expected one of name, action,`,
		`type: mx, rules: none`:                                           `t.yaml:18:34: "none" here, expected a list`,
		`type: dns, rules: [{action: accept}]`:                            `t.yaml:18:35: a server of type dns has no rules, expected none`,
	} {
		_, err := topology.Load("t.yaml", []byte(replaceIn(valid, map[string]string{"type: dns": service})), servers())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", service, err, want)
		}
	}
}

func TestMailReplies(t *testing.T) {
	for text, want := range map[string]string{
		"450":                             "450\r\n",
		"554 no":                          "554 no\r\n",
		"451 4.7.1":                       "451 4.7.1\r\n",
		"450 4.2.0 greylisted":            "450 4.2.0 greylisted\r\n",
		"550 5.7.1 first\nand second":     "550-5.7.1 first\r\n550 5.7.1 and second\r\n",
		"421 one\ntwo\nthree":             "421-one\r\n421-two\r\n421 three\r\n",
		"450 " + strings.Repeat("x", 506): "450 " + strings.Repeat("x", 506) + "\r\n",
	} {
		r, err := topology.ParseMailReply(text)
		if err != nil || r.Wire() != want {
			t.Errorf("%q: %q, %v, want %q", text, r.Wire(), err, want)
		}
	}
	if _, err := topology.ParseMailReply("450 " + strings.Repeat("x", 507)); err == nil || !strings.HasPrefix(err.Error(), "a line of the reply has 511 bytes") {
		t.Errorf("a long line: %v", err)
	}
}

func FuzzMailRule(f *testing.F) {
	for text := range mailRuleMistakes {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"action": "reply", "reply": "450 4.2.0 later", "stage": "rcpt", "times": 2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r topology.MailRule
		if json.Unmarshal(data, &r) != nil || r.Check() != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again topology.MailRule
		if err := json.Unmarshal(text, &again); err != nil || again.Check() != nil || again != r {
			t.Errorf("%s is read as %+v, %v", text, again, err)
		}
	})
}
