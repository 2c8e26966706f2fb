package logs_test

import (
	"context"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/upload"
)

// A cart is a carrier that carries when the test says so.
type cart struct {
	conf    logs.Subscription
	dir     string
	waiting func() ([]string, error)
	trouble func(string)

	mu     sync.Mutex
	woken  int
	closed bool
}

func (c *cart) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken++
}

func (c *cart) Stats() upload.Stats { return upload.Stats{Uploaded: 7} }

func (c *cart) Close(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// sees checks how often the carrier was woken and what it finds.
func (c *cart) sees(d *desk, woken int, want ...string) {
	d.t.Helper()
	d.flush()
	names, err := c.waiting()
	if err != nil || !slices.Equal(names, want) {
		d.t.Errorf("waiting: %q, %v; want %q", names, err, want)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken != woken {
		d.t.Errorf("woken %d times, want %d", c.woken, woken)
	}
}

// carts are those of a desk, in the order in which they were made.
type carts struct{ list []*cart }

func (c *carts) options(o *logs.Options) {
	o.NewUploader = func(s logs.Subscription, dir string, waiting func() ([]string, error), trouble func(string)) logs.Uploader {
		k := &cart{conf: s, dir: dir, waiting: waiting, trouble: trouble}
		c.list = append(c.list, k)
		return k
	}
}

func carriedLogs() logs.Subscription {
	s := mailLogs()
	s.Method, s.Schedule, s.IntervalSeconds = logs.FTPPush, logs.Interval, 3600
	s.Remote = logs.UploadTarget{Host: "10.44.167.40", User: "esa", Dir: "/logs"}
	return s
}

func TestFinishedFilesAreCarriedAway(t *testing.T) {
	var c carts
	d := newDesk(t, 0, c.options, carriedLogs())
	d.mail(logs.Information, "before the network is there")
	if err := d.RollOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.StartPushing()
	k := c.list[0]
	d.want(k.dir, "data/pub/mail_logs")
	k.sees(d, 0, "mail.@20150625T085003.s")

	d.mail(logs.Information, "by hand")
	if err := d.RollOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.sees(d, 1, "mail.@20150625T085003.s", "mail.@20150625T085004.s")

	d.clock.Advance(time.Hour) // in which nothing was written
	k.sees(d, 1, "mail.@20150625T085003.s", "mail.@20150625T085004.s")
	d.mail(logs.Information, "by time")
	d.clock.Advance(time.Hour)
	k.sees(d, 2, "mail.@20150625T085003.s", "mail.@20150625T085004.s", "mail.@20150625T085005.s")

	stats, ok := d.UploadStats("mail_logs")
	d.want(stats.Uploaded, 7)
	d.want(ok, true)
}

func TestAFullFileIsCarriedAway(t *testing.T) {
	var c carts
	conf := carriedLogs()
	conf.MaxSize = logs.MinSize
	d := newDesk(t, 0, c.options, conf)
	d.StartPushing()
	for range 1000 {
		d.mail(logs.Information, "%0100d", 0)
	}
	c.list[0].sees(d, 1, "mail.@20150625T085003.s")
}

// A file that earlier lives left is not kept back until somebody writes to the log.
func TestWhatAnEarlierLifeWroteIsCarriedAwayInTime(t *testing.T) {
	var c carts
	d := newDesk(t, 0, c.options, carriedLogs())
	d.mail(logs.Information, "before the restart")
	d.Close(t.Context())
	d.open(carriedLogs())
	d.StartPushing()
	d.clock.Advance(time.Hour)
	c.list[0].sees(d, 1, "mail.@20150625T085003.s")
}

// A hasty clock has its first timer run out at once.
type hasty struct {
	clock.Clock
	once sync.Once
	runs sync.WaitGroup
}

func (h *hasty) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	stop = func() bool { return false }
	hurries := false
	h.once.Do(func() { hurries = true })
	if !hurries {
		return h.Clock.AfterFunc(d, f)
	}
	h.runs.Go(f)
	return stop
}

// The time of a roll-over may come while the hub is being made.
func TestATimerWaitsForWhatAnEarlierLifeWrote(t *testing.T) {
	d := newDesk(t, 0, nil, carriedLogs())
	d.mail(logs.Information, "before the restart")
	d.Close(t.Context())
	soon := &hasty{Clock: d.clock}
	d.options.Clock = soon
	d.open(carriedLogs())
	soon.runs.Wait()
	d.want(d.names("mail_logs"), []string{"mail.@20150625T085003.s", "mail.@20150625T085004.c"})
}

func TestWhatWaitsForAServerIsNotRemoved(t *testing.T) {
	conf := carriedLogs()
	conf.MaxFiles = 2
	d := newDesk(t, 0, nil, conf)
	for range 5 {
		d.mail(logs.Information, "a line")
		if err := d.RollOver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if names := d.names("mail_logs"); len(names) != 6 {
		t.Errorf("%q", names)
	}
}

// The server would replace the first file.
func TestANameThatWasCarriedAwayIsNotUsedAgain(t *testing.T) {
	d := newDesk(t, 0, nil, carriedLogs())
	for _, want := range []string{"mail.@20150625T085003.s", "mail.@20150625T085004.s", "mail.@20150625T085005.s"} {
		d.mail(logs.Information, "a line")
		if err := d.RollOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.want(d.names("mail_logs")[0], want)
		if err := d.files.Remove(path.Join("data/pub/mail_logs", want)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOtherSettingsAreAnotherCarrier(t *testing.T) {
	var c carts
	d := newDesk(t, 0, c.options, carriedLogs())
	d.StartPushing()
	moved := carriedLogs()
	moved.Remote.Dir = "/elsewhere"
	manual := mailLogs()
	for i, step := range []struct {
		conf   logs.Subscription
		closed []bool // of the carriers so far
	}{
		{carriedLogs(), []bool{false}},
		{moved, []bool{true, false}},
		{manual, []bool{true, true}},
		{carriedLogs(), []bool{true, true, false}},
	} {
		if err := d.Configure([]logs.Subscription{step.conf}); err != nil {
			t.Fatal(err)
		}
		var closed []bool
		for _, k := range c.list {
			closed = append(closed, k.closed)
		}
		if !slices.Equal(closed, step.closed) {
			t.Errorf("step %d: %v, want %v", i, closed, step.closed)
		}
	}
	d.Close(t.Context())
	d.want(c.list[2].closed, true)
}

func TestTroubleWithAServerIsToldAndLogged(t *testing.T) {
	var c carts
	d := newDesk(t, 0, c.options, carriedLogs())
	d.StartPushing()
	const text = "Log Error: Push error for subscription mail_logs: Failed to connect to 10.44.167.40: Connection refused"
	c.list[0].trouble(text)
	d.want(d.read("mail_logs/mail.current"), header+"Thu Jun 25 08:50:03 2015 Critical: "+text+"\n")
	d.want(d.trouble, []logs.Problem{{Subscription: "mail_logs", Kind: logs.PushFailed, Text: text}})
}

func TestServersThatCannotBeAreRefused(t *testing.T) {
	for want, change := range map[string]func(*logs.UploadTarget){
		"A host name or an IP address is required.":                                func(r *logs.UploadTarget) { r.Host = "" },
		"The user name must have 1 to 64 characters, and no blanks.":               func(r *logs.UploadTarget) { r.User = "a b" },
		"The passphrase must not have control characters.":                         func(r *logs.UploadTarget) { r.Password = "a\nb" },
		"The directory must have 1 to 1024 characters, and no control characters.": func(r *logs.UploadTarget) { r.Dir = "/a\r\nDELE b" },
	} {
		s := carriedLogs()
		change(&s.Remote)
		if err := s.Check(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", s.Remote, err, want)
		}
	}
	if err := carriedLogs().Check(); err != nil {
		t.Error(err)
	}
}

func TestHostKeysThatCannotBeAreRefused(t *testing.T) {
	good := logs.KnownHost{Host: "10.44.167.40", Port: 22, Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnI8Y1UBF1XvAiR4KyW7tgJY9aBQk5VYBYrHnmQKvS"}
	var v logs.KnownHosts
	v.Add(good)
	v.Add(good)
	if err := v.Check(); err != nil || len(v.List) != 1 {
		t.Errorf("%+v: %v", v.List, err)
	}
	for _, change := range []func(*logs.KnownHost){
		func(k *logs.KnownHost) { k.Host = "" },
		func(k *logs.KnownHost) { k.Port = 0 },
		func(k *logs.KnownHost) { k.Key += " comment" },
	} {
		bad := good
		change(&bad)
		if err := (logs.KnownHosts{List: []logs.KnownHost{bad}}).Check(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
