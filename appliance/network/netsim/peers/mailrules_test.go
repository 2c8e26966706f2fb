package peers_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

// startRules starts a mail server with rules, on another host than those of other servers.
func startRules(t *testing.T, options map[string]string, rules ...topology.MailRule) (*peers.MailExchanger, *vnet.Host) {
	t.Helper()
	return startRulesAt(t, clock.System(), options, rules...)
}

func startRulesAt(t *testing.T, c clock.Clock, options map[string]string, rules ...topology.MailRule) (*peers.MailExchanger, *vnet.Host) {
	t.Helper()
	for _, r := range rules {
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
	}
	h := newHost(t)
	config := peerConfig(h, "mx", options)
	config.Clock = c
	config.MailRules = peers.NewMailRules(rules, options)
	config.MailRules.SetRandom(entropy.Seeded(1), "mx")
	config.Authority = peers.NewAuthority("Test CA", entropy.Seeded(1).Stream("ca"), c.Now)
	kind, _ := peers.Lookup("mx")
	x := kind.New(config).(*peers.MailExchanger)
	if err := x.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Stop)
	return x, h
}

// A talk is a conversation in lock step.
type talk struct {
	t    *testing.T
	conn network.Conn
	in   *bufio.Reader
}

func startTalk(t *testing.T, h *vnet.Host) *talk {
	t.Helper()
	c := mustDial(t, h)
	return &talk{t, c, bufio.NewReader(c)}
}

// reply returns a reply with its lines separated by "|", or how the connection ended.
func (k *talk) reply() string {
	var lines []string
	for {
		line, err := k.in.ReadString('\n')
		switch {
		case err == io.EOF:
			return strings.Join(append(lines, "closed"), "|")
		case errors.Is(err, syscall.ECONNRESET):
			return strings.Join(append(lines, "reset"), "|")
		case err != nil:
			k.t.Fatal(err)
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "|")
		}
	}
}

// say sends a line and returns the reply.
func (k *talk) say(line string) string {
	if _, err := io.WriteString(k.conn, line+"\r\n"); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		k.t.Fatal(err)
	}
	return k.reply()
}

// deliver sends a message from ann@example.net to joe@example.com in a connection of its own and
// returns the first reply that is not positive, or "ok".
func deliver(t *testing.T, h *vnet.Host, text string) string {
	t.Helper()
	return deliverTo(t, h, "ann@example.net", "joe@example.com", text)
}

func deliverTo(t *testing.T, h *vnet.Host, from, to, text string) string {
	t.Helper()
	c, err := dial(t, h)
	if errors.Is(err, syscall.ECONNRESET) { // before the client knew that it was connected
		return "reset"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := &talk{t, c, bufio.NewReader(c)}
	if r := k.reply(); r[0] != '2' {
		return r
	}
	for _, line := range []string{"EHLO client", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA", text + "\r\n.", "QUIT"} {
		if r := k.say(line); r[0] != '2' && r[0] != '3' {
			return r
		}
	}
	return "ok"
}

// rule reads a rule from JSON.
func rule(t *testing.T, text string) topology.MailRule {
	t.Helper()
	var r topology.MailRule
	if err := r.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

// Every stage can be refused, and only the reply of that stage is.
func TestRuleRepliesAtEveryStage(t *testing.T) {
	lines := map[string]string{ // the command of each stage
		"ehlo": "EHLO client", "helo": "HELO client", "starttls": "STARTTLS", "auth": "AUTH LOGIN", "mail": "MAIL FROM:<ann@example.net>",
		"rcpt": "RCPT TO:<joe@example.com>", "data": "DATA", "end": "hello\r\n.",
	}
	before := map[string][]string{"helo": nil, "ehlo": nil, "starttls": {"ehlo"}, "auth": {"ehlo"}, "mail": {"ehlo"}, "rcpt": {"ehlo", "mail"}, "data": {"ehlo", "mail", "rcpt"}, "end": {"ehlo", "mail", "rcpt", "data"}}
	const wire = "450-4.2.9 first|450 4.2.9 second"
	for _, stage := range topology.MailStages() {
		t.Run(stage, func(t *testing.T) {
			x, h := startRules(t, map[string]string{"user": "u"},
				topology.MailRule{Action: "reply", Stage: stage, Reply: "450 4.2.9 first\nsecond", Times: 1})
			k := startTalk(t, h)
			if stage == "connect" {
				if got := k.reply() + "|" + k.reply(); got != wire+"|closed" {
					t.Errorf("greeted with %q", got)
				}
				k = startTalk(t, h)
			}
			if got := k.reply(); !strings.HasPrefix(got, "220 ") {
				t.Fatalf("greeted with %q", got)
			}
			if stage != "connect" {
				for _, earlier := range before[stage] {
					if got := k.say(lines[earlier]); got[0] > '3' {
						t.Fatalf("%s: %q", earlier, got)
					}
				}
				if got := k.say(lines[stage]); got != wire {
					t.Errorf("refused with %q", got)
				}
			}
			if got := deliver(t, h, "hello"); got != "ok" {
				t.Errorf("the second time: %q", got)
			}
			rules, report := x.Rules().List(), x.Report().(peers.MessageReport)
			if len(rules) != 1 || rules[0].State != peers.RuleExhausted || rules[0].Hits != 1 || report.Refused[stage] != 1 || report.Taken != 1 {
				t.Errorf("rules %+v, report %+v", rules, report)
			}
		})
	}
}

// After 421 the server closes the connection, at any stage.
func Test421ClosesTheConnection(t *testing.T) {
	for _, stage := range []string{"ehlo", "mail", "rcpt", "data", "end"} {
		_, h := startRules(t, nil, topology.MailRule{Action: "reply", Stage: stage, Reply: "421 4.3.2 bye"})
		k := startTalk(t, h)
		got := k.reply()
		for _, line := range []string{"EHLO client", "MAIL FROM:<ann@example.net>", "RCPT TO:<joe@example.com>", "DATA", "hello\r\n."} {
			if got = k.say(line); strings.HasPrefix(got, "421 4.3.2 bye") {
				break
			}
		}
		if next := k.reply(); got != "421 4.3.2 bye" || next != "closed" {
			t.Errorf("%s: %q, then %q", stage, got, next)
		}
	}
}

// Of several rules the first that matches decides; delays add up, and the newest rule is first.
func TestOrderOfRules(t *testing.T) {
	x, h := startRules(t, map[string]string{"mail": "452 option"},
		topology.MailRule{Action: "accept", Stage: "mail", Sender: "*@EXAMPLE.net"},
		topology.MailRule{Action: "reply", Stage: "mail", Reply: "450 first", Sender: "bob@*.org"},
		topology.MailRule{Action: "reply", Stage: "mail", Reply: "451 second", Sender: "*.org"})
	for from, want := range map[string]string{
		"ann@example.net": "ok", "bob@x.org": "450 first", "joe@x.org": "451 second", "bob@x.com": "452 option",
	} {
		if got := deliverTo(t, h, from, "joe@example.com", "hello"); got != want {
			t.Errorf("from %s: %q, want %q", from, got, want)
		}
	}
	if _, err := x.Rules().Add(topology.MailRule{Action: "reply", Stage: "mail", Reply: "550 newest"}); err != nil {
		t.Fatal(err)
	}
	if got := deliver(t, h, "hello"); got != "550 newest" {
		t.Errorf("with a newer rule: %q", got)
	}
	var order []string
	for _, r := range x.Rules().List() {
		order = append(order, fmt.Sprint(r.ID, " ", r.Hits, " ", r.State, " ", r.Rule.Reply))
	}
	if got := strings.Join(order, ", "); got != "5 1 acting 550 newest, 1 1 acting , 2 1 acting 450 first, 3 1 acting 451 second, 4 1 acting 452 option" {
		t.Errorf("rules: %s", got)
	}
	if x.Rules().Remove(9) || !x.Rules().Remove(5) || deliver(t, h, "hello") != "ok" {
		t.Error("the newest rule is not removed")
	}
	x.Rules().Clear()
	if got := deliverTo(t, h, "bob@x.org", "joe@example.com", "hello"); got != "ok" || len(x.Rules().List()) != 0 {
		t.Errorf("without rules: %q", got)
	}
	x.Rules().Restore()
	if got := deliverTo(t, h, "bob@x.org", "joe@example.com", "hello"); got != "450 first" || x.Rules().List()[1].Hits != 1 {
		t.Errorf("with the first rules again: %q", got)
	}
}

// A recipient's rule applies to its RCPT, and later to messages that go to the recipient.
func TestRulesOfAddresses(t *testing.T) {
	_, h := startRules(t, nil,
		topology.MailRule{Action: "reply", Stage: "rcpt", Recipient: "nobody@*", Reply: "550 5.1.1 unknown"},
		topology.MailRule{Action: "reply", Stage: "end", Recipient: "joe@*", Reply: "554 spam"},
		topology.MailRule{Action: "reply", Stage: "mail", Sender: "<>", Reply: "550 no bounces"})
	k := startTalk(t, h)
	k.reply()
	k.say("EHLO client")
	for _, x := range []struct{ line, want string }{
		{"MAIL FROM:<>", "550 no bounces"},
		{"RCPT TO:<a@example.com>", "502 5.5.1 Missing MAIL FROM command."},
		{"MAIL FROM:<ann@example.net>", "250 2.1.0 Ok"},
		{"DATA", "502 5.5.1 Missing RCPT TO command."},
		{"RCPT TO:<nobody@example.com>", "550 5.1.1 unknown"},
		{"RCPT TO:<ann@example.com>", "250 2.1.5 Ok"},
		{"RCPT TO:<Joe@Example.com>", "250 2.1.5 Ok"},
		{"DATA", "354 End data with <CR><LF>.<CR><LF>"},
		{"text\r\n.", "554 spam"},
		{"MAIL FROM:<ann@example.net>", "250 2.1.0 Ok"},
		{"RCPT TO:<ann@example.com>", "250 2.1.5 Ok"},
		{"DATA", "354 End data with <CR><LF>.<CR><LF>"},
		{"text\r\n.", "250 2.0.0 OK: queued"},
	} {
		if got := k.say(x.line); got != x.want {
			t.Errorf("%s: %q, want %q", x.line, got, x.want)
		}
	}
}

func TestRuleAfterMessages(t *testing.T) {
	x, h := startRules(t, nil, topology.MailRule{Action: "reply", Stage: "rcpt", Reply: "452 full", AfterMessages: 2})
	for i, want := range []string{"ok", "ok", "452 full"} {
		if state := x.Rules().List()[0].State; (state == peers.RuleWaiting) != (i < 2) {
			t.Errorf("before message %d the rule is %s", i+1, state)
		}
		if got := deliver(t, h, "hello"); got != want {
			t.Errorf("message %d: %q, want %q", i+1, got, want)
		}
	}
}

// A share is drawn from the seed: equal worlds refuse the same messages.
func TestShareIsRepeatable(t *testing.T) {
	var runs [2]string
	for i := range runs {
		x, h := startRules(t, nil, topology.MailRule{Action: "reply", Stage: "rcpt", Reply: "450 no", Share: 0.5})
		for range 40 {
			if deliver(t, h, "hello") == "ok" {
				runs[i] += "."
			} else {
				runs[i] += "x"
			}
		}
		if n := x.Rules().List()[0].Hits; n < 8 || n > 32 || n != strings.Count(runs[i], "x") {
			t.Errorf("%d of 40 refused: %s", n, runs[i])
		}
	}
	if runs[0] != runs[1] {
		t.Errorf("two runs differ:\n%s\n%s", runs[0], runs[1])
	}
}

// A greylist asks a client to come back, for each sender and recipient, until the time is over on
// the clock on which the appliance waits.
func TestGreylist(t *testing.T) {
	fake := clock.NewFake(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	x, h := startRulesAt(t, fake, nil, topology.MailRule{Action: "greylist", Greylist: 5 * time.Minute})
	const refused = "451 4.7.1 Greylisted, please try again later"
	for _, step := range []struct {
		advance  time.Duration
		to, want string
	}{
		{0, "joe@example.com", refused},
		{4 * time.Minute, "JOE@example.com", refused},
		{30 * time.Second, "ann@example.com", refused},
		{30 * time.Second, "joe@example.com", "ok"},
		{0, "joe@example.com", "ok"},
		{0, "ann@example.com", refused},
		{5 * time.Minute, "ann@example.com", "ok"},
	} {
		fake.Advance(step.advance)
		if got := deliverTo(t, h, "bob@example.net", step.to, "hello"); got != step.want {
			t.Errorf("to %s: %q, want %q", step.to, got, step.want)
		}
	}
	if got := deliverTo(t, h, "", "joe@example.com", "hello"); got != refused {
		t.Errorf("another sender: %q", got)
	}
	if n := x.Rules().List()[0].Hits; n != 5 {
		t.Errorf("%d hits, want 5", n)
	}
}

func TestRuleDelays(t *testing.T) {
	const delay = 30 * time.Millisecond
	_, h := startRules(t, nil, topology.MailRule{Action: "delay", Delay: delay, Stage: "rcpt"},
		topology.MailRule{Action: "delay", Delay: delay, Stage: "rcpt"}, topology.MailRule{Action: "reply", Stage: "rcpt", Reply: "450 slow"},
		topology.MailRule{Action: "delay", Delay: time.Hour, Stage: "rcpt"})
	began := clock.System().Mark()
	if got := deliver(t, h, "hello"); got != "450 slow" {
		t.Errorf("said %q", got)
	}
	if took := clock.System().Since(began); took < 2*delay {
		t.Errorf("the replies took %v", took)
	}
}

func TestRuleCutsAtAStage(t *testing.T) {
	for _, stage := range topology.MailStages() {
		if stage == "helo" || stage == "starttls" || stage == "auth" {
			continue // deliver does not reach it
		}
		for how, want := range map[string]string{"": "reset", "reset": "reset", "close": "closed"} {
			x, h := startRules(t, nil, topology.MailRule{Action: "cut", Cut: how, Stage: stage, Times: 1})
			if got := deliver(t, h, "hello"); got != want {
				t.Errorf("%s %s: %q", stage, how, got)
			}
			if got := deliver(t, h, "hello"); got != "ok" || len(x.Messages()) != 1 {
				t.Errorf("%s %s, the second time: %q, %d messages", stage, how, got, len(x.Messages()))
			}
		}
	}
}

func TestRuleCutsAfterBytes(t *testing.T) {
	long := strings.Repeat("0123456789\r\n", 500)
	for _, r := range []string{
		`{"action": "cut", "after_bytes": 4000, "times": 1}`,
		`{"action": "cut", "after_bytes": 4000, "times": 1, "stage": "end", "sender": "ann@*"}`,
	} {
		x, h := startRules(t, nil, rule(t, r))
		if got := deliver(t, h, "hello"); got != "ok" {
			t.Errorf("%s: a short message: %q", r, got)
		}
		if got := deliver(t, h, long); got != "reset" {
			t.Errorf("%s: a long message: %q", r, got)
		}
		if got := deliver(t, h, long); got != "ok" || len(x.Messages()) != 2 {
			t.Errorf("%s: the second time: %q, %d messages", r, got, len(x.Messages()))
		}
	}
	_, h := startRules(t, nil, topology.MailRule{Action: "accept", Stage: "end", Sender: "ann@*"}, topology.MailRule{Action: "cut", AfterBytes: 4000, Stage: "end"})
	if got := deliver(t, h, long); got != "ok" {
		t.Errorf("a message that another rule accepts: %q", got)
	}
}

// Further connections are refused while one is open; those that were refused do not count.
func TestOneConnectionAtATime(t *testing.T) {
	_, h := startRules(t, nil, topology.MailRule{Action: "connections", Connections: 1})
	first := startTalk(t, h)
	if got := first.reply(); got[0] != '2' {
		t.Fatalf("the first: %q", got)
	}
	for range 3 {
		if got := deliver(t, h, "hello"); got != "421 4.3.2 Too many concurrent SMTP connections" {
			t.Errorf("another: %q", got)
		}
	}
	if got := first.say("QUIT"); got[0] != '2' || first.reply() != "closed" {
		t.Errorf("the first: %q", got)
	}
	if got := deliver(t, h, "hello"); got != "ok" {
		t.Errorf("after the first: %q", got)
	}
}

// A client that verifies certificates rejects each bad one for its own reason.
func TestRuleCertificates(t *testing.T) {
	for kind, want := range map[string]string{
		"":            "",
		"expired":     "certificate has expired",
		"future":      "is before",
		"self-signed": "signed by unknown authority",
		"unknown-ca":  "signed by unknown authority",
		"wrong-name":  "not mx.example.com",
		"broken":      "failed to parse certificate",
	} {
		var rules []topology.MailRule
		if kind != "" {
			rules = append(rules, topology.MailRule{Action: "certificate", Certificate: kind, Times: 1})
		}
		ca := peers.NewAuthority("Test CA", entropy.Seeded(1).Stream("ca"), clock.System().Now)
		x, h := startRules(t, map[string]string{"hostname": "mx.example.com"}, rules...)
		trusted := x509.NewCertPool()
		pem, err := ca.PEM()
		if err != nil || !trusted.AppendCertsFromPEM(pem) {
			t.Fatal(err)
		}
		config := &tls.Config{ServerName: "mx.example.com", RootCAs: trusted}
		c, err := smtp.NewClientStartTLS(mustDial(t, h), config)
		if err == nil {
			err = c.Noop()
		}
		if kind == "" {
			if err != nil {
				t.Errorf("the usual certificate: %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", kind, err, want)
		}
		if c, err = smtp.NewClientStartTLS(mustDial(t, h), config); err == nil {
			err = c.Noop()
		}
		if err != nil || x.Rules().List()[0].State != peers.RuleExhausted {
			t.Errorf("after %s: %v, %+v", kind, err, x.Rules().List())
		}
	}
}

func TestMXLogsUsersIn(t *testing.T) {
	x, h := startRules(t, map[string]string{"user": "esa", "password": "secret"})
	for mechanism, client := range map[string]func(password string) sasl.Client{
		"PLAIN": func(p string) sasl.Client { return sasl.NewPlainClient("", "esa", p) },
		"LOGIN": func(p string) sasl.Client { return sasl.NewLoginClient("esa", p) },
	} {
		for password, want := range map[string]bool{"secret": true, "guess": false, "": false} {
			c := smtp.NewClient(mustDial(t, h))
			if ok, mechanisms := c.Extension("AUTH"); !ok || mechanisms != "PLAIN LOGIN" {
				t.Errorf("offers %q", mechanisms)
			}
			if err := c.Auth(client(password)); (err == nil) != want {
				t.Errorf("%s %q: %v", mechanism, password, err)
			}
			if err := c.SendMail("a@example.com", []string{"b@example.com"}, strings.NewReader("hello\r\n")); err != nil {
				t.Error(err)
			}
			all := x.Messages()
			if got := all[len(all)-1].User; (got == "esa") != want {
				t.Errorf("%s %q: the message is from user %q", mechanism, password, got)
			}
		}
	}
	// Without an initial response, and with a challenge that the client cancels.
	k := startTalk(t, h)
	k.reply()
	k.say("EHLO client")
	for _, x := range []struct{ line, want string }{
		{"AUTH LOGIN", "334 VXNlcm5hbWU6"}, {"*", "501 5.0.0 Negotiation cancelled"},
		{"AUTH LOGIN", "334 VXNlcm5hbWU6"}, {"ZXNh", "334 UGFzc3dvcmQ6"}, {"c2VjcmV0", "235 2.0.0 Authentication succeeded"},
	} {
		if got := k.say(x.line); got != x.want {
			t.Errorf("%s: %q, want %q", x.line, got, x.want)
		}
	}
}

func TestPatternsOfAddresses(t *testing.T) {
	for _, c := range []struct {
		pattern, address string
		want             bool
	}{
		{"a@b.c", "A@B.C", true},
		{"a@b.c", "a@b.cc", false},
		{"*", "", true},
		{"*", "a@b.c", true},
		{"<>", "", true},
		{"<>", "a@b.c", false},
		{"*@b.c", "a@b.c", true},
		{"*@b.c", "@b.c", true},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false},
		{"*b*b*", "ab", false},
		{"*b*b*", "abcb", true},
	} {
		if got := peers.MatchesAddress(c.pattern, c.address); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.address, got)
		}
	}
}

// What a greylist remembers is bounded.
func TestGreylistForgetsTheOldest(t *testing.T) {
	g := peers.NewGreylist(time.Minute)
	for i := range 10_001 {
		if g(netip.MustParseAddr("192.0.2.1"), fmt.Sprint(i), 0) {
			t.Fatal("a new triple passes")
		}
	}
	late := clock.Mark(time.Hour)
	if g(netip.MustParseAddr("192.0.2.1"), "0", late) || !g(netip.MustParseAddr("192.0.2.1"), "5000", late) {
		t.Error("not the oldest triple was forgotten")
	}
}
