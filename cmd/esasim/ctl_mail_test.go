package main

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// Rules are added, listed with their counts, and removed; and mail is read.
func TestCtlMail(t *testing.T) {
	p := start(t, shortHome(t), "--ctl", "127.0.0.1:0")
	run := func(args ...string) string {
		t.Helper()
		status, out, stderr := p.ctl(t, append([]string{"mail"}, args...)...)
		if status != 0 || stderr != "" {
			t.Errorf("esasim ctl mail %q: %d %s", args, status, stderr)
		}
		return out
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"rule", "list", "mail"}, "The server has no rules.\n"},
		{[]string{"rule", "add", "mail", "reply", `550-5.7.1 no`, "--stage", "rcpt"}, ""},
		{[]string{"rule", "add", "mail", "greylist", "5m", "--sender", "*@example.org", "--name", "slow"}, "1\n"},
		{[]string{"rule", "add", "mail/mx", "reply", `550 5.7.1 first\nsecond`, "--stage", "rcpt", "--recipient", "nobody@*", "--times", "2", "--share", "50%"}, "2\n"},
		{[]string{"rule", "list", "mail"}, "" +
			"ID  STATE   HITS  RULE\n" +
			"2   acting  0     reply \"550 5.7.1 first\\nsecond\" stage rcpt recipient nobody@* times 2 share 50%\n" +
			"1   acting  0     greylist 5m0s sender *@example.org (slow)\n"},
		{[]string{"rule", "remove", "mail", "2"}, ""},
		{[]string{"rule", "add", "mail", "certificate", "expired", "--json"}, `{
  "id": 3,
  "rule": {
    "action": "certificate",
    "certificate": "expired"
  },
  "state": "acting",
  "hits": 0
}
`},
		{[]string{"rule", "remove", "mail", "all"}, ""},
		{[]string{"rule", "list", "mail", "--json"}, "[]\n"},
	} {
		if slices.Contains(c.args, `550-5.7.1 no`) {
			if got := runFailing(t, p.home, append([]string{"ctl", "mail"}, c.args...)...); !strings.Contains(got, `reply: "550-5.7.1 no" is not an error reply, expected a code from 400 to 599`) {
				t.Errorf("a mistaken rule: %s", got)
			}
			continue
		}
		if out := run(c.args...); out != c.want {
			t.Errorf("esasim ctl mail %q:\n%s, want\n%s", c.args, out, c.want)
		}
	}

	const text = "Subject: hello\r\nX-Bell: \a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\n\r\nred \x1b[31m\r\n--b\r\nContent-Disposition: attachment; filename=a.bin\r\nContent-Type: application/octet-stream\r\n\r\nabc\r\n--b--\r\n"
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run("send", "--from", "ann@example.net", "--to", "joe@example.com", "--file", file)
	awaitMail(t, p.ready.Socket, "mail")
	list := run("list", "mail")
	if !regexp.MustCompile(`^ID  TIME +FROM +TO +SIZE +SUBJECT\n1   \S+ \S+ \S+  ann@example.net  joe@example.com  \d+ +hello\n$`).MatchString(list) {
		t.Errorf("list:\n%s", list)
	}
	show := run("show", "mail", "last")
	for _, want := range []string{
		"message 1 of ", "envelope: from <ann@example.net> to <joe@example.com>\n", "\nSubject: hello\nX-Bell: \uFFFD\n",
		"\n--- text/plain, 9 bytes\nred \uFFFD[31m\n", "\n--- application/octet-stream, a.bin, 3 bytes, SHA-256 ba7816bf",
	} {
		if !strings.Contains(show, want) {
			t.Errorf("show has no %q:\n%s", want, show)
		}
	}
	if raw := run("raw", "mail", "1"); !strings.HasSuffix(raw, strings.TrimPrefix(text, "Subject: hello\r\n")) {
		t.Errorf("raw:\n%q", raw)
	}
	if got := completions(t, "esasim ctl --socket "+p.ready.Socket+" mail show mail "); !slices.Equal(got, []string{"1", "last"}) {
		t.Errorf("messages to show: %q", got)
	}
	if got := completions(t, "esasim ctl --socket "+p.ready.Socket+" mail list "); !slices.Equal(got, []string{"mail", "mail2"}) {
		t.Errorf("servers: %q", got)
	}
	t.Setenv(completionLine, "")
	run("rule", "add", "mail", "cut", "--after-bytes", "100")
	if got := completions(t, "esasim ctl --socket "+p.ready.Socket+" mail rule remove mail "); !slices.Equal(got, []string{"4", "all"}) {
		t.Errorf("rules to remove: %q", got)
	}
	t.Setenv(completionLine, "") // the commands that follow complete nothing
	run("clear", "mail")
	if out := run("list", "mail"); out != "The server has received no mail.\n" {
		t.Errorf("after clear:\n%s", out)
	}
	for line, want := range map[string]string{
		"rule add mail burn":                  `action: "burn" is no action, expected reply, delay,`,
		"rule add mail accept 3":              `accept 3: expected no amount after this action`,
		"rule add mail cut":                   `stage: no stage, expected connect, ehlo,`,
		"rule add mail cut --stage lunch":     `stage: "lunch" is no stage, expected connect,`,
		"rule add joe cut --stage data":       `there is no mail server "joe", expected one of mail, mail2`,
		"rule add mail delay 2 --times 1":     `delay: "2", expected a time such as`,
		"rule add mail cut --colour red":      `unknown flag --colour: see esasim help ctl mail rule add`,
		"rule remove mail 99":                 `the mail server mail has no rule 99`,
		"rule remove mail first":              `"first" is not the number of a rule: expected a number such as 1, or all`,
		"show mail 7":                         `the mail server mail has no message 7`,
		"show mail last":                      `the mail server mail has no messages`,
		"raw mail x":                          `"x" is not the number of a message: expected a number such as 1, or last`,
		"clear joe":                           `there is no mail server "joe", expected one of mail, mail2`,
		"rule list joe":                       `there is no mail server "joe", expected one of mail, mail2`,
		"rule add mail connections --times 1": `connections: 0 connections, expected 1 or more`,
	} {
		if got := runFailing(t, p.home, append([]string{"ctl", "mail"}, strings.Fields(line)...)...); !strings.Contains(got, want) {
			t.Errorf("esasim ctl mail %s says %q, want %q in it", line, got, want)
		}
	}
}

// awaitMail waits until a mail server has received a message.
func awaitMail(t *testing.T, socket, server string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	client := control.Dial("unix", socket)
	for {
		m, err := client.Mailbox(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		if m.Received > 0 {
			return
		}
		if err := clock.System().Sleep(ctx, 10*time.Millisecond); err != nil {
			t.Fatal("no mail has arrived: ", err)
		}
	}
}

func TestEveryMailRuleKeyHasAFlag(t *testing.T) {
	var a addMailRule
	v := reflect.ValueOf(&a).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			v.Field(i).SetString("x")
		}
	}
	var set []string
	for _, action := range topology.MailActions() {
		a.Action, a.Amount = action, "x"
		if action == topology.MailAccept {
			a.Amount = ""
		}
		keys, err := a.keys()
		if err != nil {
			t.Fatal(err)
		}
		for k := range keys {
			set = append(set, k)
		}
	}
	for i := range reflect.TypeFor[topology.MailRule]().NumField() {
		if key := reflect.TypeFor[topology.MailRule]().Field(i).Tag.Get("yaml"); !slices.Contains(set, key) {
			t.Errorf("no flag sets the key %s", key)
		}
	}
}

func TestMailCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"esasim ctl mail ":                                    "clear list load raw rule send show traffic",
		"esasim ctl mail rule ":                               "add list remove",
		"esasim ctl mail rule add mail c":                     "certificate connections cut",
		"esasim ctl mail rule add mail cut --stage e":         "ehlo end",
		"esasim ctl mail rule add mail certificate ":          "broken expired future self-signed unknown-ca wrong-name",
		"esasim ctl mail rule add mail cut ":                  "close reset",
		"esasim ctl mail rule add mail cut reset --after-":    "--after-bytes --after-messages",
		"esasim ctl --socket /nowhere/x mail list ":           "",
		"esasim ctl --socket /nowhere/x mail show mail ":      "last",
		"esasim ctl --socket /nowhere/x mail rule remove m a": "all",
	} {
		if got := strings.Join(completions(t, line), " "); got != want {
			t.Errorf("after %q: %s, want %s", line, got, want)
		}
	}
}
