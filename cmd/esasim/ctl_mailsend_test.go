package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/traffic"
)

func TestCtlMailSend(t *testing.T) {
	p := start(t, shortHome(t))
	file := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(file, []byte("Subject: from a file\n\nhello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const hello = "" +
		"greeting                   220 example.com ESMTP\n" +
		"EHLO                       250-example.com\n" +
		"                           250-8BITMIME\n" +
		"                           250 SIZE 10485760\n" +
		"MAIL FROM                  250 sender <ann@example.net> ok\n" +
		"RCPT TO:<joe@example.com>  250 recipient <joe@example.com> ok\n"
	for _, c := range []struct {
		args      []string
		status    int
		want, err string
	}{
		{[]string{"--subject", "hi", "--body", "text", "--header", "X-Test: a, b", "--attach", file, "--size", "1KiB"}, 0, hello +
			"DATA                       354 go ahead\nmessage body               250 ok:  Message 1 accepted\nQUIT                       221 example.com\n", ""},
		{[]string{"--file", file}, 0, hello +
			"DATA                       354 go ahead\nmessage body               250 ok:  Message 2 accepted\nQUIT                       221 example.com\n", ""},
		{[]string{"--to", "u@outside.example"}, 1, hello +
			"RCPT TO:<u@outside.example>  550 #5.1.0 Address rejected.\n", "1 of 2 recipients were refused"},
		{[]string{"--host", "spammer"}, 1, "greeting  554-example.com\n", "the message was not accepted: greeting was refused: 554 "},
		{[]string{"--tls"}, 1, "greeting  220", "the message was not accepted: STARTTLS failed: the server does not offer STARTTLS"},
		{[]string{"--header", "X"}, 1, "", `--header "X": expected a line such as "X-Test: yes"`},
		{[]string{"--size", "big"}, 1, "", `--size "big": expected a size such as 64KiB or 10MiB`},
		{[]string{"--file", os.DevNull}, 1, "", "read the message: it is empty"},
		{[]string{"--file", file, "--subject", "x"}, 1, "", "message: the whole text, expected no subject"},
		{[]string{"--host", "nobody"}, 1, "", `no host is called "nobody", expected one of workstation`},
	} {
		args := append([]string{"mail", "send", "--from", "ann@example.net", "--to", "joe@example.com"}, c.args...)
		status, out, stderr := p.ctl(t, args...)
		blanks := regexp.MustCompile(`(?m)^(\S.*?)?  +`)
		out, want := blanks.ReplaceAllString(out, "$1  "), blanks.ReplaceAllString(c.want, "$1  ")
		if status != c.status || !strings.HasPrefix(out, want) || !strings.HasPrefix(strings.TrimPrefix(stderr, "esasim: "), c.err) || (c.err == "") != (stderr == "") {
			t.Errorf("%q: %d\n%s%s, want %d\n%s%s", c.args, status, out, stderr, c.status, want, c.err)
		}
	}
	status, out, _ := p.ctl(t, "mail", "send", "--to", "joe@example.com", "--json")
	var a traffic.Answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || status != 0 || !a.Complete || len(a.Replies) != 7 {
		t.Errorf("as JSON: %d %v %s", status, err, out)
	}
}

func TestCtlMailLoad(t *testing.T) {
	p := start(t, shortHome(t))
	load := []string{"mail", "load", "--rate", "100/s", "--for", "200ms", "--seed", "4", "--host", "workstation", "--host", "relay",
		"--recipients", "1-2", "--kinds", "text=2,html=1", "--per-connection", "3", "--connections", "2"}
	pattern := regexp.MustCompile(`^sent        20
accepted    20
refused     0
failed      0
recipients  \d\d accepted, 0 refused
latency     least [0-9.]+\S*s, median .*, 95% .*, 99% .*, most .*
time        .*, [0-9.]+ messages a second
messages    ([0-9a-f]{16}) \(the same for the same messages\)
$`)
	var digests []string
	for range 2 {
		status, out, stderr := p.ctl(t, load...)
		m := pattern.FindStringSubmatch(out)
		if status != 0 || m == nil || stderr != "" {
			t.Fatalf("%d %s\n%s", status, stderr, out)
		}
		digests = append(digests, m[1])
	}
	if digests[0] != digests[1] {
		t.Errorf("the same seed offers %q", digests)
	}
	if _, out, _ := p.ctl(t, "mail", "traffic"); out != "The topology has no traffic.\n" {
		t.Errorf("traffic: %s", out)
	}
	for flag, want := range map[string]string{
		"--rate=5":     `rate: "5", expected messages in a time, such as 50/s`,
		"--for=long":   `"long"`,
		"--bad=2":      "expected at most 1",
		"--kinds=x=1":  "expected one of text, html, attachment, large, newsletter",
		"--down=10%":   "the mail servers of every domain run",
		"--host=moon":  `no host is called "moon"`,
		"--to=joe":     `"joe" is no mail address`,
		"--size=large": `"large", expected a size`,
	} {
		if status, _, stderr := p.ctl(t, append(load, flag)...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d %s, want %s", flag, status, stderr, want)
		}
	}
}

// Ctrl-C ends a load, and its summary is printed.
func TestCtlMailLoadStops(t *testing.T) {
	p := start(t, shortHome(t))
	c := command(t, p.home, "ctl", "mail", "load", "--rate", "1/h", "--for", "10h")
	var out strings.Builder
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, text, _ := p.ctl(t, "mail", "list", "mail"); strings.Contains(text, "workstation") {
			break // the first message has arrived, so the load runs
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil || !strings.HasPrefix(out.String(), "sent        1 of 10; the load was stopped\naccepted    1\n") {
		t.Errorf("%v\n%s", err, &out)
	}
}
