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

// A fakeResolver is a Resolver with fixed records.
type fakeResolver struct {
	mx    map[string][]resolver.MX
	addrs map[string]string
	mu    sync.Mutex
	err   error // returned by LookupMX unless it is nil
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

// A waitClock is a clock that sends the duration of every timer to waits.
type waitClock struct {
	*clock.Fake
	waits chan time.Duration
}

func (w *waitClock) AfterFunc(d time.Duration, f func()) func() bool {
	stop := w.Fake.AfterFunc(d, f)
	w.waits <- d
	return stop
}

// A harness is an Internal with a clock and a resolver.
type harness struct {
	*mail.Internal
	t        *testing.T
	clock    *waitClock
	resolver *fakeResolver
	done     chan error

	mu  sync.Mutex
	log []string
}

// newHarness returns a harness whose resolver has the domains one.test, with an exchanger at
// 127.0.0.1; two.test, with a first exchanger that refuses connections; and bare.test, which is
// its own exchanger.
func newHarness(t *testing.T, host *vnet.Host) *harness {
	t.Helper()
	h := &harness{
		t: t,
		clock: &waitClock{
			clock.NewFake(time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)),
			make(chan time.Duration, 100),
		},
		resolver: &fakeResolver{
			mx: map[string][]resolver.MX{
				"one.test": {{Preference: 10, Host: "mx.one.test"}},
				"two.test": {{Preference: 10, Host: "mx1.two.test"},
					{Preference: 20, Host: "mx.one.test"}},
				"null.test": {{Preference: 0, Host: ""}},
				"gone.test": {{Preference: 10, Host: "mx.gone.test"}},
			},
			addrs: map[string]string{
				"mx.one.test":  "127.0.0.1",
				"mx1.two.test": "127.0.0.2", "bare.test": "127.0.0.2 127.0.0.1",
			},
		},
		done: make(chan error, 1),
	}
	h.Internal = mail.NewInternal(mail.InternalOptions{
		Client: newClient(host, nil), Resolver: h.resolver, Clock: h.clock,
		Rand: entropy.Seeded(1).Stream("mail"), AttemptLevel: logs.Debug,
		Log: func(l logs.Level, text string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.log = append(h.log, l.String()+": "+text)
		},
	})
	t.Cleanup(h.stop)
	return h
}

func (h *harness) stop() {
	if err := h.Stop(h.t.Context()); err != nil {
		h.t.Error(err)
	}
}

func (h *harness) start() {
	h.t.Helper()
	if err := h.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) submit(to string) {
	h.t.Helper()
	m := mail.Message{From: "esa@example.com", To: []string{to}, Subject: "S", Text: "text"}
	if err := h.Submit(mail.InternalMessage{From: "esa@example.com", To: to, Subject: "S", Data: m.Bytes()}, func(err error) { h.done <- err }); err != nil {
		h.t.Fatal(err)
	}
}

// waitDone blocks until the message is delivered or given up.
func (h *harness) waitDone() error {
	h.t.Helper()
	select {
	case err := <-h.done:
		return err
	case <-time.After(testTimeout):
		h.t.Fatal("the message is neither delivered nor given up")
		return nil
	}
}

// retry waits for an attempt to fail and advances the clock to the next one. It returns the
// delay.
func (h *harness) retry() time.Duration {
	h.t.Helper()
	select {
	case d := <-h.clock.waits:
		h.clock.Advance(d)
		return d
	case err := <-h.done:
		h.t.Fatal("there is no further attempt: ", err)
	case <-time.After(testTimeout):
		h.t.Fatal("the attempt does not end")
	}
	return 0
}

func (h *harness) wantLog(want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(want, h.log); diff != "" {
		h.t.Error(diff)
	}
}

func attempting(to string, n int) string {
	return fmt.Sprintf("Debug: Internal SMTP system attempting to send a message to %s with subject 'S' (attempt #%d).", to, n)
}

func succeeded(to string) string {
	return fmt.Sprintf("Debug: Internal SMTP system successfully sent a message to %s with subject 'S'.", to)
}

func TestInternalMessageArrives(t *testing.T) {
	host := newHost(t)
	mx := serve(t, host, nil)
	h := newHarness(t, host)
	h.submit("joe@one.test") // waits for Start
	h.start()
	if err := h.waitDone(); err != nil {
		t.Fatal(err)
	}
	h.wantLog(attempting("joe@one.test", 0), succeeded("joe@one.test"))
	m := mx.Messages()
	if len(m) != 1 || m[0].From != "esa@example.com" || !cmp.Equal(m[0].To, []string{"joe@one.test"}) || m[0].Subject() != "S" || m[0].Hello != "esa.example.com" {
		t.Errorf("got %+v", m)
	}
}

func TestNextExchangerIsTried(t *testing.T) {
	const refused = "Warning: Internal SMTP Error: Failed to send message to host 127.0.0.2:25 for recipient %s: Connection refused."
	for name, to := range map[string]string{"the second by preference": "joe@two.test", "the second address, without MX": "joe@bare.test"} {
		t.Run(name, func(t *testing.T) {
			host := newHost(t)
			serve(t, host, nil)
			h := newHarness(t, host)
			h.start()
			h.submit(to)
			if err := h.waitDone(); err != nil {
				t.Fatal(err)
			}
			h.wantLog(attempting(to, 0), fmt.Sprintf(refused, to), succeeded(to))
		})
	}
}

func TestExchangersOfEqualPreferenceAreTriedInRandomOrder(t *testing.T) {
	host := newHost(t)
	serve(t, host, nil)
	h := newHarness(t, host)
	for i := range h.resolver.mx["two.test"] {
		h.resolver.mx["two.test"][i].Preference = 10
	}
	h.start()
	const n = 30
	for range n {
		h.submit("joe@two.test")
		if err := h.waitDone(); err != nil {
			t.Fatal(err)
		}
	}
	if first := 3*n - len(h.log); first == 0 || first == n {
		t.Errorf("one exchanger was the first %d times of %d", max(first, n-first), n)
	}
}

// A temporary refusal at each step, and its text in the log (logs.md 4.4).
func TestTemporaryRefusalIsRetried(t *testing.T) {
	for step, c := range map[string]struct{ answer, reason string }{
		"connect": {"554 go away",
			`Unexpected SMTP response "554", expecting code starting with "2", response was ['go away']`},
		"mail": {"451 4.3.0 busy",
			`Unexpected SMTP response "451", expecting code starting with "2", response was ['4.3.0 busy']`},
		"rcpt": {"450 it isn't there",
			`Unexpected SMTP response "450", expecting code starting with "2", response was ['it isn\'t there']`},
		"data": {"452 full",
			`Unexpected SMTP response "452", expecting code starting with "3", response was ['full']`},
		"end": {"451 4.7.1 later",
			`Unexpected SMTP response "451", expecting code starting with "2", response was ['4.7.1 later']`},
	} {
		t.Run(step, func(t *testing.T) {
			host := newHost(t)
			mx := serve(t, host, map[string]string{step: c.answer, "times": "2"})
			h := newHarness(t, host)
			h.start()
			h.submit("joe@one.test")
			waits := []time.Duration{h.retry(), h.retry()}
			if err := h.waitDone(); err != nil {
				t.Fatal(err)
			}
			if want := []time.Duration{time.Minute, 2 * time.Minute}; !cmp.Equal(waits, want) {
				t.Errorf("waits %v, want %v", waits, want)
			}
			failed := "Warning: Internal SMTP Error: Failed to send message to host 127.0.0.1:25 for recipient joe@one.test: " + c.reason + "."
			h.wantLog(attempting("joe@one.test", 0), failed, attempting("joe@one.test", 1), failed,
				attempting("joe@one.test", 2), succeeded("joe@one.test"))
			if len(mx.Messages()) != 1 {
				t.Errorf("%d messages arrived", len(mx.Messages()))
			}
		})
	}
}

func TestPermanentRefusalIsNotRetried(t *testing.T) {
	for _, step := range []string{"mail", "rcpt", "data", "end"} {
		t.Run(step, func(t *testing.T) {
			host := newHost(t)
			serve(t, host,
				map[string]string{step: "553 #5.1.8 Domain of sender address <alert@cisco.esa> does not exist"})
			h := newHarness(t, host)
			h.start()
			h.submit("joe@one.test")
			var refused *mail.Error
			if err := h.waitDone(); !errors.As(err, &refused) || refused.Reply.Code != 553 {
				t.Errorf("got %v", err)
			}
			code := "2"
			if step == "data" {
				code = "3"
			}
			h.wantLog(attempting("joe@one.test", 0),
				`Warning: Internal SMTP Error: Failed to send message to host 127.0.0.1:25 for recipient joe@one.test: Unexpected SMTP response "553", expecting code starting with "`+
					code+`", response was ['#5.1.8 Domain of sender address <alert@cisco.esa> does not exist'].`,
				`Critical: Internal SMTP giving up on message to joe@one.test with subject 'S': Unrecoverable error.`)
		})
	}
}

func TestDomainsWithoutMail(t *testing.T) {
	for to, reason := range map[string]string{
		"joe@null.test":    "The domain accepts no mail",
		"joe@nowhere.test": "No such host or domain",
	} {
		h := newHarness(t, newHost(t))
		h.start()
		h.submit(to)
		if err := h.waitDone(); err == nil {
			t.Error("the message was delivered")
		}
		_, domain, _ := strings.Cut(to, "@")
		h.wantLog(attempting(to, 0),
			fmt.Sprintf("Warning: Internal SMTP Error: Failed to find a mail exchanger of %s for recipient %s: %s.", domain, to, reason),
			fmt.Sprintf("Critical: Internal SMTP giving up on message to %s with subject 'S': Unrecoverable error.", to))
	}
}

func TestFailedLookupIsRetried(t *testing.T) {
	host := newHost(t)
	serve(t, host, nil)
	h := newHarness(t, host)
	h.resolver.fail(resolver.ErrNoAnswer)
	h.start()
	h.submit("joe@one.test")
	d := <-h.clock.waits
	h.resolver.fail(nil)
	h.clock.Advance(d)
	if err := h.waitDone(); err != nil {
		t.Fatal(err)
	}
	h.wantLog(attempting("joe@one.test", 0),
		"Warning: Internal SMTP Error: Failed to find a mail exchanger of one.test for recipient joe@one.test: No DNS server answered.",
		attempting("joe@one.test", 1), succeeded("joe@one.test"))
}

func TestDeliveryIsGivenUpAfterOneDay(t *testing.T) {
	h := newHarness(t, newHost(t))
	h.start()
	h.submit("joe@gone.test")
	var total time.Duration
	attempts := 1
	for {
		select {
		case d := <-h.clock.waits:
			total += d
			attempts++
			if d > 30*time.Minute {
				t.Fatalf("a wait of %v", d)
			}
			h.clock.Advance(d)
			continue
		case err := <-h.done:
			if !errors.Is(err, mail.ErrExpired) {
				t.Errorf("got %v", err)
			}
		case <-time.After(testTimeout):
			t.Fatal("the attempts do not end")
		}
		break
	}
	if total > 24*time.Hour || total < 23*time.Hour {
		t.Errorf("%d attempts within %v", attempts, total)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if got, want := h.log[len(h.log)-1], "Critical: Internal SMTP giving up on message to joe@gone.test with subject 'S': Too many failed attempts."; got != want {
		t.Errorf("got %s", got)
	}
}

func TestStopGivesUpWaitingMessages(t *testing.T) {
	for name, prepare := range map[string]func(*harness, *vnet.Host){
		"before the start": func(h *harness, _ *vnet.Host) { h.submit("joe@one.test") },
		"in the middle": func(h *harness, host *vnet.Host) {
			serveScript(t, host, "220 mx\r\n")
			h.start()
			h.submit("joe@one.test")
		},
		"between attempts": func(h *harness, _ *vnet.Host) {
			h.start()
			h.submit("joe@gone.test")
			<-h.clock.waits
		},
	} {
		host := newHost(t)
		h := newHarness(t, host)
		prepare(h, host)
		h.stop()
		if err := h.waitDone(); !errors.Is(err, mail.ErrStopped) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := h.Submit(mail.InternalMessage{}, nil); !errors.Is(err, mail.ErrStopped) {
			t.Errorf("%s: Submit after Stop: %v", name, err)
		}
	}
}

func TestTooManyMessagesAreRefused(t *testing.T) {
	h := newHarness(t, newHost(t))
	var done sync.WaitGroup
	for range 1000 {
		done.Add(1)
		if err := h.Submit(mail.InternalMessage{To: "joe@one.test"}, func(error) { done.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Submit(mail.InternalMessage{To: "joe@one.test"}, nil); !errors.Is(err, mail.ErrFull) {
		t.Errorf("got %v", err)
	}
	h.stop()
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
				t.Errorf("%q is broken within a character", line)
			}
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%.10q: lines of %v bytes, want %v", text, got, want)
		}
	}
}
