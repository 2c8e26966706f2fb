package commands_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
)

// mailLog is the guide's example (logs.md 3.1, 3.2) and another message of the same connection.
const mailLog = `New SMTP ICID 5 interface Management (10.1.1.1) address 10.1.1.209 reverse dns host remotehost.com verified yes
Start MID 6 ICID 5
MID 6 ICID 5 From: <Sender@remotehost.com>
MID 6 ICID 5 RID 0 To: <mary@yourdomain.com>
MID 6 Subject 'a test'
MID 6 ready 100 bytes from <sender@remotehost.com>
Start MID 7 ICID 5
MID 7 ICID 5 From: <joe@example.com>
MID 7 ICID 5 RID 0 To: <mary@yourdomain.com>
MID 7 Subject "another"
ICID 5 close
New SMTP DCID 8 interface 192.168.42.42 address 10.5.55.25
Delivery start DCID 8 MID 6 to RID [0]
Message done DCID 8 MID 6 to RID [0]
DCID 8 close
Message finished MID 6 done
New SMTP DCID 88 interface 192.168.42.42 address 10.5.55.25
Message 7 to RID [0] pending till Thu Apr 17 20:57:22 2003
MID 8 was generated for bounce of MID 7
MID 9 RID [0] Response 'ok:  Message 7 accepted'
MID 9 Subject 'MID 6'`

// boxWithMailLog starts a box that has logged mailLog.
func boxWithMailLog(t *testing.T) *appliancetest.Box {
	t.Helper()
	b := appliancetest.Start(t, appliancetest.Clock(clock.NewFake(time.Date(2003, 4, 17, 19, 56, 22, 0, time.UTC))))
	for line := range strings.SplitSeq(mailLog, "\n") {
		b.Appliance().Logs.Write(logs.Entry{Type: logs.Mail, Level: logs.Information, Text: line})
	}
	return b
}

// logTexts returns the lines of out without their times. It drops blank lines.
func logTexts(out string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(out, "\r", "")) {
		if _, text, ok := strings.Cut(line, " 2003 Info: "); ok {
			b.WriteString(text)
		} else if strings.TrimSpace(line) != "" {
			b.WriteString(line)
		}
	}
	return b.String()
}

// linesExcept returns mailLog without the lines with these numbers, counted from 1.
func linesExcept(n ...int) string {
	drop := map[int]bool{}
	for _, i := range n {
		drop[i] = true
	}
	var b strings.Builder
	i := 0
	for line := range strings.SplitSeq(mailLog, "\n") {
		if i++; !drop[i] {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func TestFindEventFindsMessages(t *testing.T) {
	b := boxWithMailLog(t)
	const when = "(Thu Apr 17 12:56:22 2003) "
	for line, want := range map[string]string{
		"findevent -i -f sender mail_logs":     "MID 6 " + when + "Sender@remotehost.com\n",
		"findevent -t mary mail_logs":          "MID 6 " + when + "mary@yourdomain.com\nMID 7 " + when + "mary@yourdomain.com\n",
		"findevent -s \"^an?\" mail_logs":      "MID 6 " + when + "a test\nMID 7 " + when + "another\n",
		"findevent -m 6 mail_logs":             linesExcept(7, 8, 9, 10, 17, 18, 19, 20, 21),
		"findevent -m 7 mail_logs":             linesExcept(2, 3, 4, 5, 6, 12, 13, 14, 15, 16, 17, 20, 21),
		"findevent -f \"joe@.*com\" mail_logs": "MID 7 " + when + "joe@example.com\n",
	} {
		if got := logTexts(b.Exec(line)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", line, got, want)
		}
	}
}

func TestFindEventAsksWhichMessage(t *testing.T) {
	b := boxWithMailLog(t)
	b.Exec("rollovernow mail_logs")
	client, err := b.Dial(appliancetest.User, appliancetest.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	session.Stdout = &out
	session.Stdin = strings.NewReader("findevent\n4\nMARY\n\nmail_logs\n2\n1,2\n2\nexit\n")
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := session.Wait(); err != nil {
		t.Fatal(err)
	}
	want := linesExcept(2, 3, 4, 5, 6, 12, 13, 14, 15, 16, 17, 20, 21)
	if got := logTexts(out.String()); !strings.Contains(got, "1. Thu Apr 17 12:56:22 2003\n2. Thu Apr 17 12:56:23 2003\n") ||
		!strings.Contains(got, "\n2. MID 7 (Thu Apr 17 12:56:22 2003) mary@yourdomain.com\n") || !strings.Contains(got, want) {
		t.Errorf("got\n%s", got)
	}
}
