package mail_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/network/netsim/vnet"
	"github.com/esasim/esasim/appliance/resolver"
)

// A zone is a resolver that knows what it was told.
type fakeResolver struct {
	mx    map[string][]resolver.MX
	addrs map[string]string
	mu    sync.Mutex
	err   error // of every look-up
}

func (z *fakeResolver) LookupMX(_ context.Context, domain string) ([]resolver.MX, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	switch _, exists := z.addrs[domain]; {
	case z.err != nil:
		return nil, z.err
	case z.mx[domain] != nil:
		return z.mx[domain], nil
	case exists:
		return nil, resolver.ErrNoRecord
	}
	return nil, resolver.ErrNotFound
}

func (z *fakeResolver) Lookup(_ context.Context, name string, _ int) ([]netip.Addr, error) {
	var list []netip.Addr
	for a := range strings.FieldsSeq(z.addrs[name]) {
		list = append(list, netip.MustParseAddr(a))
	}
	if list == nil {
		return nil, resolver.ErrNotFound
	}
	return list, nil
}

func (z *fakeResolver) fail(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.err = err
}

// A waiter is a clock that tells of every wait.
type waitClock struct {
	*clock.Fake
	waits chan time.Duration
}

func (w *waitClock) AfterFunc(d time.Duration, f func()) func() bool {
	stop := w.Fake.AfterFunc(d, f)
	w.waits <- d
	return stop
}

// A postOffice is an internal SMTP system under test.
type harness struct {
	*mail.Internal
	t        *testing.T
	clock    *waitClock
	resolver *fakeResolver
	done     chan error

	mu  sync.Mutex
	log []string
}

// newPostOffice opens one that knows the domains one.test, with an exchanger at
// 127.0.0.1; two.test, with one where nobody listens before it; and bare.test, which is
// its own exchanger.
func newHarness(t *testing.T, h *vnet.Host) *harness {
	t.Helper()
	o := &harness{
		t:     t,
		clock: &waitClock{clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)), make(chan time.Duration, 100)},
		resolver: &fakeResolver{
			mx: map[string][]resolver.MX{
				"one.test":  {{Preference: 10, Host: "mx.one.test"}},
				"two.test":  {{Preference: 10, Host: "mx1.two.test"}, {Preference: 20, Host: "mx.one.test"}},
				"null.test": {{Preference: 0, Host: ""}},
				"gone.test": {{Preference: 10, Host: "mx.gone.test"}},
			},
			addrs: map[string]string{"mx.one.test": "127.0.0.1", "mx1.two.test": "127.0.0.2", "bare.test": "127.0.0.2 127.0.0.1"},
		},
		done: make(chan error, 1),
	}
	o.Internal = mail.NewInternal(mail.InternalOptions{
		Client: newClient(h, nil), Resolver: o.resolver, Clock: o.clock, Rand: entropy.Seeded(1).Stream("mail"), AttemptLevel: logs.Debug,
		Log: func(l logs.Level, text string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.log = append(o.log, l.String()+": "+text)
		},
	})
	t.Cleanup(o.stop)
	return o
}

func (o *harness) stop() {
	if err := o.Stop(o.t.Context()); err != nil {
		o.t.Error(err)
	}
}

func (o *harness) start() {
	o.t.Helper()
	if err := o.Start(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *harness) submit(to string) {
	o.t.Helper()
	m := mail.Message{From: "esa@example.com", To: []string{to}, Subject: "S", Text: "text"}
	if err := o.Submit(mail.InternalMessage{From: "esa@example.com", To: to, Subject: "S", Data: m.Bytes()}, func(err error) { o.done <- err }); err != nil {
		o.t.Fatal(err)
	}
}

// end waits for what became of the letter.
func (o *harness) waitDone() error {
	o.t.Helper()
	select {
	case err := <-o.done:
		return err
	case <-time.After(testTimeout):
		o.t.Fatal("nothing becomes of the letter")
		return nil
	}
}

// retry waits for an attempt to fail, and lets time pass until the next.
func (o *harness) retry() time.Duration {
	o.t.Helper()
	select {
	case d := <-o.clock.waits:
		o.clock.Advance(d)
		return d
	case err := <-o.done:
		o.t.Fatal("there is no further attempt: ", err)
	case <-time.After(testTimeout):
		o.t.Fatal("the attempt does not end")
	}
	return 0
}

func (o *harness) wantLog(want ...string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff(want, o.log); diff != "" {
		o.t.Error(diff)
	}
}

func attempting(to string, n int) string {
	return fmt.Sprintf("Debug: Internal SMTP system attempting to send a message to %s with subject 'S' (attempt #%d).", to, n)
}

func succeeded(to string) string {
	return fmt.Sprintf("Debug: Internal SMTP system successfully sent a message to %s with subject 'S'.", to)
}

func TestInternalMessageArrives(t *testing.T) {
	h := newHost(t)
	mx := serve(t, h, nil)
	o := newHarness(t, h)
	o.submit("joe@one.test") // before the start: it waits
	o.start()
	if err := o.waitDone(); err != nil {
		t.Fatal(err)
	}
	o.wantLog(attempting("joe@one.test", 0), succeeded("joe@one.test"))
	m := mx.Mails()
	if len(m) != 1 || m[0].From != "esa@example.com" || !cmp.Equal(m[0].To, []string{"joe@one.test"}) || m[0].Subject() != "S" || m[0].Hello != "esa.example.com" {
		t.Errorf("got %+v", m)
	}
}

func TestNextExchangerIsTried(t *testing.T) {
	const refused = "Warning: Internal SMTP Error: Failed to send message to host 127.0.0.2:25 for recipient %s: Connection refused."
	for name, to := range map[string]string{"the second by preference": "joe@two.test", "the second address, without MX": "joe@bare.test"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			serve(t, h, nil)
			o := newHarness(t, h)
			o.start()
			o.submit(to)
			if err := o.waitDone(); err != nil {
				t.Fatal(err)
			}
			o.wantLog(attempting(to, 0), fmt.Sprintf(refused, to), succeeded(to))
		})
	}
}

func TestExchangersOfEqualPreferenceAreTriedInRandomOrder(t *testing.T) {
	h := newHost(t)
	serve(t, h, nil)
	o := newHarness(t, h)
	for i := range o.resolver.mx["two.test"] {
		o.resolver.mx["two.test"][i].Preference = 10
	}
	o.start()
	const n = 30
	for range n {
		o.submit("joe@two.test")
		if err := o.waitDone(); err != nil {
			t.Fatal(err)
		}
	}
	if first := 3*n - len(o.log); first == 0 || first == n {
		t.Errorf("the same exchanger was the first %d times of %d", max(first, n-first), n)
	}
}

// What servers answer at each step, and what the log makes of it (logs.md 4.4).
func TestTemporaryRefusalIsRetried(t *testing.T) {
	for step, c := range map[string]struct{ answer, says string }{
		"connect": {"554 go away", `Unexpected SMTP response "554", expecting code starting with "2", response was ['go away']`},
		"mail":    {"451 4.3.0 busy", `Unexpected SMTP response "451", expecting code starting with "2", response was ['4.3.0 busy']`},
		"rcpt":    {"450 it isn't there", `Unexpected SMTP response "450", expecting code starting with "2", response was ['it isn\'t there']`},
		"data":    {"452 full", `Unexpected SMTP response "452", expecting code starting with "3", response was ['full']`},
		"end":     {"451 4.7.1 later", `Unexpected SMTP response "451", expecting code starting with "2", response was ['4.7.1 later']`},
	} {
		t.Run(step, func(t *testing.T) {
			h := newHost(t)
			mx := serve(t, h, map[string]string{step: c.answer, "times": "2"})
			o := newHarness(t, h)
			o.start()
			o.submit("joe@one.test")
			waits := []time.Duration{o.retry(), o.retry()}
			if err := o.waitDone(); err != nil {
				t.Fatal(err)
			}
			if want := []time.Duration{time.Minute, 2 * time.Minute}; !cmp.Equal(waits, want) {
				t.Errorf("waits %v, want %v", waits, want)
			}
			failed := "Warning: Internal SMTP Error: Failed to send message to host 127.0.0.1:25 for recipient joe@one.test: " + c.says + "."
			o.wantLog(attempting("joe@one.test", 0), failed, attempting("joe@one.test", 1), failed, attempting("joe@one.test", 2), succeeded("joe@one.test"))
			if len(mx.Mails()) != 1 {
				t.Errorf("%d mails arrived", len(mx.Mails()))
			}
		})
	}
}

func TestPermanentRefusalIsNotRetried(t *testing.T) {
	for _, step := range []string{"mail", "rcpt", "data", "end"} {
		t.Run(step, func(t *testing.T) {
			h := newHost(t)
			serve(t, h, map[string]string{step: "553 #5.1.8 Domain of sender address <alert@cisco.esa> does not exist"})
			o := newHarness(t, h)
			o.start()
			o.submit("joe@one.test")
			var refused *mail.Error
			if err := o.waitDone(); !errors.As(err, &refused) || refused.Reply.Code != 553 {
				t.Errorf("got %v", err)
			}
			code := "2"
			if step == "data" {
				code = "3"
			}
			o.wantLog(attempting("joe@one.test", 0),
				`Warning: Internal SMTP Error: Failed to send message to host 127.0.0.1:25 for recipient joe@one.test: Unexpected SMTP response "553", expecting code starting with "`+
					code+`", response was ['#5.1.8 Domain of sender address <alert@cisco.esa> does not exist'].`,
				`Critical: Internal SMTP giving up on message to joe@one.test with subject 'S': Unrecoverable error.`)
		})
	}
}

func TestDomainsWithoutMail(t *testing.T) {
	for to, says := range map[string]string{
		"joe@null.test":    "The domain accepts no mail",
		"joe@nowhere.test": "No such host or domain",
	} {
		o := newHarness(t, newHost(t))
		o.start()
		o.submit(to)
		if err := o.waitDone(); err == nil {
			t.Error("it arrived")
		}
		_, domain, _ := strings.Cut(to, "@")
		o.wantLog(attempting(to, 0),
			fmt.Sprintf("Warning: Internal SMTP Error: Failed to find a mail exchanger of %s for recipient %s: %s.", domain, to, says),
			fmt.Sprintf("Critical: Internal SMTP giving up on message to %s with subject 'S': Unrecoverable error.", to))
	}
}

func TestFailedLookupIsRetried(t *testing.T) {
	h := newHost(t)
	serve(t, h, nil)
	o := newHarness(t, h)
	o.resolver.fail(resolver.ErrNoAnswer)
	o.start()
	o.submit("joe@one.test")
	d := <-o.clock.waits
	o.resolver.fail(nil)
	o.clock.Advance(d)
	if err := o.waitDone(); err != nil {
		t.Fatal(err)
	}
	o.wantLog(attempting("joe@one.test", 0),
		"Warning: Internal SMTP Error: Failed to find a mail exchanger of one.test for recipient joe@one.test: No DNS server answered.",
		attempting("joe@one.test", 1), succeeded("joe@one.test"))
}

func TestDeliveryIsGivenUpAfterOneDay(t *testing.T) {
	o := newHarness(t, newHost(t))
	o.start()
	o.submit("joe@gone.test")
	var total time.Duration
	attempts := 1
	for {
		select {
		case d := <-o.clock.waits:
			total += d
			attempts++
			if d > 30*time.Minute {
				t.Fatalf("a wait of %v", d)
			}
			o.clock.Advance(d)
			continue
		case err := <-o.done:
			if !errors.Is(err, mail.ErrExpired) {
				t.Errorf("got %v", err)
			}
		case <-time.After(testTimeout):
			t.Fatal("it goes on for ever")
		}
		break
	}
	if total > 24*time.Hour || total < 23*time.Hour {
		t.Errorf("%d attempts within %v", attempts, total)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if got, want := o.log[len(o.log)-1], "Critical: Internal SMTP giving up on message to joe@gone.test with subject 'S': Too many failed attempts."; got != want {
		t.Errorf("got %s", got)
	}
}

func TestStopGivesUpWaitingMessages(t *testing.T) {
	for name, prepare := range map[string]func(*harness, *vnet.Host){
		"before the start": func(o *harness, _ *vnet.Host) { o.submit("joe@one.test") },
		"in the middle": func(o *harness, h *vnet.Host) {
			serveScript(t, h, "220 mx\r\n")
			o.start()
			o.submit("joe@one.test")
		},
		"between attempts": func(o *harness, _ *vnet.Host) {
			o.start()
			o.submit("joe@gone.test")
			<-o.clock.waits
		},
	} {
		h := newHost(t)
		o := newHarness(t, h)
		prepare(o, h)
		o.stop()
		if err := o.waitDone(); !errors.Is(err, mail.ErrStopped) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := o.Submit(mail.InternalMessage{}, nil); !errors.Is(err, mail.ErrStopped) {
			t.Errorf("%s: a letter after the end: %v", name, err)
		}
	}
}

func TestTooManyMessagesAreRefused(t *testing.T) {
	o := newHarness(t, newHost(t))
	var done sync.WaitGroup
	for range 1000 {
		done.Add(1)
		if err := o.Submit(mail.InternalMessage{To: "joe@one.test"}, func(error) { done.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Submit(mail.InternalMessage{To: "joe@one.test"}, nil); !errors.Is(err, mail.ErrFull) {
		t.Errorf("got %v", err)
	}
	o.stop()
	done.Wait()
}

func TestLongLinesAreBroken(t *testing.T) {
	for text, want := range map[string][]int{
		strings.Repeat("x", 998):                                 {998},
		strings.Repeat("x", 2000):                                {998, 998, 4},
		strings.Repeat("x", 900) + " " + strings.Repeat("y", 98): {900, 98},
		strings.Repeat("ü", 600):                                 {998, 202},
	} {
		_, body, _ := strings.Cut(string(mail.Message{Text: text}.Bytes()), "\r\n\r\n")
		var got []int
		for line := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n"), "\r\n") {
			got = append(got, len(line))
			if !strings.Contains(text, line) {
				t.Errorf("%q is cut within a character", line)
			}
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%.10q: lines of %v bytes, want %v", text, got, want)
		}
	}
}
