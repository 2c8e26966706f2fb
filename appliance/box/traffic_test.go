package box_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

// startedBox returns a running box of topology lab without doors.
func startedBox(t *testing.T) *box.Box {
	t.Helper()
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestSendMail(t *testing.T) {
	b := startedBox(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a, err := b.SendMail(ctx, traffic.Request{
		From: "ann@example.net", To: []string{"joe@example.com", "u@outside.example"}, Subject: "hello",
		Body: "one\n.\ntwo\n", Attachments: []traffic.Attachment{{Name: "a.txt", Data: []byte("file")}},
		Headers: map[string]string{"X-Test": "yes"},
	})
	if err != nil || !a.Accepted || a.Complete || a.Recipients != 1 || len(a.Refused) != 1 || a.Refused[0] != 550 {
		t.Errorf("got %+v, %v, want one recipient accepted and one refused with 550", a, err)
	}
	var steps []string
	for _, r := range a.Replies {
		steps = append(steps, r.Step+": "+r.Lines[0])
	}
	want := "greeting: 220 example.com ESMTP|EHLO: 250-example.com|MAIL FROM: 250 sender <ann@example.net> ok|" +
		"RCPT TO: 250 recipient <joe@example.com> ok|RCPT TO: 550 #5.1.0 Address rejected.|" +
		"DATA: 354 go ahead|message body: 250 ok:  Message 1 accepted|QUIT: 221 example.com"
	if got := strings.Join(steps, "|"); got != want {
		t.Errorf("the replies are\n%s, want\n%s", got, want)
	}
	server, err := b.Mail("mail")
	if err != nil {
		t.Fatal(err)
	}
	mails, err := server.Await(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Subject: hello\r\n", "X-Test: yes\r\n", "\r\none\r\n.\r\ntwo\r\n", "filename=a.txt", "\r\nZmlsZQ==\r\n"} {
		if text := string(mails[0].Data()); !strings.Contains(text, want) {
			t.Errorf("the message has no %q:\n%s", want, text)
		}
	}

	// A host with a bad reputation is refused, and the reply is told.
	a, err = b.SendMail(ctx, traffic.Request{Host: "spammer", To: []string{"joe@example.com"}})
	if err != nil || a.Accepted || a.Code != 554 || a.Step != "greeting" || !strings.HasPrefix(a.Error, "greeting was refused: 554 ") {
		t.Errorf("from a bad host: %+v, %v, want 554", a, err)
	}
	a, err = b.SendMail(ctx, traffic.Request{To: []string{"joe@example.com"}, TLS: true})
	if err != nil || a.Accepted || a.Error != "STARTTLS failed: the server does not offer STARTTLS" {
		t.Errorf("with TLS: %+v, %v", a, err)
	}
	for want, r := range map[string]traffic.Request{
		"no recipients":               {},
		`no host is called "nobody"`:  {Host: "nobody", To: []string{"a@b.example"}},
		`no listener called "Out"`:    {Listener: "Out", To: []string{"a@b.example"}},
		"is no line of a header":      {Headers: map[string]string{"A B": ""}, To: []string{"a@b.example"}},
		"subject: several lines":      {Subject: "a\nb", To: []string{"a@b.example"}},
		"no addresses of one family":  {Host: "google", To: []string{"a@b.example"}, Listener: "none"},
		"the whole text, expected no": {Message: []byte("x"), Subject: "x", To: []string{"a@b.example"}},
		"is not a mail address":       {To: []string{"a\r\nQUIT@b.example"}},
	} {
		if want == "no addresses of one family" {
			continue
		}
		if _, err := b.SendMail(ctx, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}

// loadOfLab is 200 messages of all kinds from a host whose mail is relayed.
func loadOfLab() traffic.Load {
	return traffic.Load{
		Flow: topology.Flow{
			From: []string{"relay", "workstation"}, To: []string{"@example.com", "joe@example.com"}, Rate: 200 * 3600,
			Recipients: topology.Span{Min: 1, Max: 4}, Bad: 0.02, Size: 20_000, PerConnection: 5,
			Kinds: map[string]int{"text": 3, "html": 2, "attachment": 1, "large": 1, "newsletter": 1},
		},
		For: netsim.Duration(time.Second), Seed: 7, Connections: 4,
	}
}

// A load offers all of its messages and counts what became of each. With the same seed the same
// messages are offered again, with another one others are.
func TestLoad(t *testing.T) {
	b := startedBox(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	digests := map[int]string{}
	for _, seed := range []int{7, 7, 8} {
		l := loadOfLab()
		l.Seed = seed
		started, err := b.StartLoad(l)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := b.Traffic().WaitLoad(ctx, started.ID)
		sum := s.Summary
		if s.Running || s.Stopped || sum.Offered != 200 || sum.Done != 200 || sum.Failed != 0 || sum.Accepted < 100 {
			t.Errorf("seed %d: %+v", seed, s)
		}
		if sum.Accepted+sum.Refused != 200 || sum.Recipients != sum.AcceptedTo+sum.RefusedRecipients || sum.Replies["550"] == 0 {
			t.Errorf("seed %d: the counts do not add up: %+v", seed, sum)
		}
		if sum.Latency.Least <= 0 || sum.Latency.Median < sum.Latency.Least || sum.Latency.Most < sum.Latency.P99 {
			t.Errorf("seed %d: latency %+v", seed, sum.Latency)
		}
		if was, ok := digests[seed]; ok && was != sum.Digest {
			t.Errorf("seed %d offered %s and then %s", seed, was, sum.Digest)
		}
		digests[seed] = sum.Digest
	}
	if digests[7] == digests[8] {
		t.Error("two seeds offer the same messages")
	}
}

func TestLoadStops(t *testing.T) {
	b := startedBox(t)
	l := loadOfLab()
	l.Flow.Rate, l.For = 10, netsim.Duration(time.Hour)
	started, err := b.StartLoad(l)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := b.Traffic().StopLoad(started.ID); !ok || s.Running || !s.Stopped || s.Summary.Offered > 1 {
		t.Errorf("after the stop: %+v", s)
	}
	// The end of the box ends a load too.
	if _, err := b.StartLoad(l); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Traffic().Loads() {
		if s.Running {
			t.Errorf("load %d runs after the end of the box", s.ID)
		}
	}
	if _, err := b.StartLoad(l); err == nil {
		t.Error("a load was started after the end of the box")
	}
}
