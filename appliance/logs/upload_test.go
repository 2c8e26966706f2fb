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

// A fakeUploader is an Uploader that uploads nothing and counts how often it is woken.
type fakeUploader struct {
	conf    logs.Subscription
	dir     string
	waiting func() ([]string, error)
	onError func(string)

	mu     sync.Mutex
	woken  int
	closed bool
}

func (u *fakeUploader) Wake() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.woken++
}

func (u *fakeUploader) Stats() upload.Stats { return upload.Stats{Uploaded: 7} }

func (u *fakeUploader) Close(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	return nil
}

// wantWaiting checks how often the uploader was woken and which files wait for it.
func (u *fakeUploader) wantWaiting(h *harness, woken int, want ...string) {
	h.t.Helper()
	h.flush()
	names, err := u.waiting()
	if err != nil || !slices.Equal(names, want) {
		h.t.Errorf("waiting: %q, %v; want %q", names, err, want)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.woken != woken {
		h.t.Errorf("woken %d times, want %d", u.woken, woken)
	}
}

// fakeUploaders are the uploaders of a harness, in the order in which they were made.
type fakeUploaders struct{ list []*fakeUploader }

func (m *fakeUploaders) options(o *logs.Options) {
	o.NewUploader = func(s logs.Subscription, dir string, waiting func() ([]string, error),
		onError func(string)) logs.Uploader {
		u := &fakeUploader{conf: s, dir: dir, waiting: waiting, onError: onError}
		m.list = append(m.list, u)
		return u
	}
}

func uploadedLogs() logs.Subscription {
	s := mailLogs()
	s.Method, s.Schedule, s.IntervalSeconds = logs.FTPPush, logs.Interval, 3600
	s.Remote = logs.UploadTarget{Host: "10.44.167.40", User: "esa", Dir: "/logs"}
	return s
}

func TestUploaderIsWokenAtRollOver(t *testing.T) {
	var made fakeUploaders
	h := newHarness(t, 0, made.options, uploadedLogs())
	h.logMail(logs.Information, "before the network is there")
	if err := h.RollOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.StartPushing()
	u := made.list[0]
	h.want(u.dir, "data/pub/mail_logs")
	u.wantWaiting(h, 0, "mail_logs.@20150625T085003.s")

	h.logMail(logs.Information, "rolled over by hand")
	if err := h.RollOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.wantWaiting(h, 1, "mail_logs.@20150625T085003.s", "mail_logs.@20150625T085004.s")

	h.clock.Advance(time.Hour) // nothing was written: no roll-over
	u.wantWaiting(h, 1, "mail_logs.@20150625T085003.s", "mail_logs.@20150625T085004.s")
	h.logMail(logs.Information, "rolled over by time")
	h.clock.Advance(time.Hour)
	u.wantWaiting(h, 2, "mail_logs.@20150625T085003.s",
		"mail_logs.@20150625T085004.s", "mail_logs.@20150625T085005.s")

	stats, ok := h.UploadStats("mail_logs")
	h.want(stats.Uploaded, 7)
	h.want(ok, true)
}

func TestUploaderIsWokenByFullFile(t *testing.T) {
	var made fakeUploaders
	conf := uploadedLogs()
	conf.MaxSize = logs.MinSize
	h := newHarness(t, 0, made.options, conf)
	h.StartPushing()
	for range 1000 {
		h.logMail(logs.Information, "%0100d", 0)
	}
	made.list[0].wantWaiting(h, 1, "mail_logs.@20150625T085003.s")
}

// A file that an earlier run left is rolled over by time although nothing has been written to it
// since.
func TestFileOfEarlierRunIsRolledOverByTime(t *testing.T) {
	var made fakeUploaders
	h := newHarness(t, 0, made.options, uploadedLogs())
	h.logMail(logs.Information, "before the restart")
	h.Close(t.Context())
	h.open(uploadedLogs())
	h.StartPushing()
	h.clock.Advance(time.Hour)
	made.list[0].wantWaiting(h, 1, "mail_logs.@20150625T085003.s")
}

// An eagerClock fires its first timer immediately.
type eagerClock struct {
	clock.Clock
	once sync.Once
	runs sync.WaitGroup
}

func (c *eagerClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	stop = func() bool { return false }
	first := false
	c.once.Do(func() { first = true })
	if !first {
		return c.Clock.AfterFunc(d, f)
	}
	c.runs.Go(f)
	return stop
}

// A roll-over may become due while the hub is being made.
func TestTimerMayFireWhileHubIsMade(t *testing.T) {
	h := newHarness(t, 0, nil, uploadedLogs())
	h.logMail(logs.Information, "before the restart")
	h.Close(t.Context())
	eager := &eagerClock{Clock: h.clock}
	h.options.Clock = eager
	h.open(uploadedLogs())
	eager.runs.Wait()
	h.want(h.names("mail_logs"), []string{"mail_logs.@20150625T085003.s", "mail_logs.@20150625T085004.c"})
}

func TestFilesThatWaitForUploadAreNotRemoved(t *testing.T) {
	conf := uploadedLogs()
	conf.MaxFiles = 2
	h := newHarness(t, 0, nil, conf)
	for range 5 {
		h.logMail(logs.Information, "a line")
		if err := h.RollOver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if names := h.names("mail_logs"); len(names) != 6 {
		t.Errorf("%q", names)
	}
}

// The server would replace the first file by the second.
func TestNameOfUploadedFileIsNotReused(t *testing.T) {
	h := newHarness(t, 0, nil, uploadedLogs())
	for _, want := range []string{"mail_logs.@20150625T085003.s", "mail_logs.@20150625T085004.s", "mail_logs.@20150625T085005.s"} {
		h.logMail(logs.Information, "a line")
		if err := h.RollOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.want(h.names("mail_logs")[0], want)
		if err := h.files.Remove(path.Join("data/pub/mail_logs", want)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangedSettingsReplaceUploader(t *testing.T) {
	var made fakeUploaders
	h := newHarness(t, 0, made.options, uploadedLogs())
	h.StartPushing()
	moved := uploadedLogs()
	moved.Remote.Dir = "/elsewhere"
	manual := mailLogs()
	for i, step := range []struct {
		conf   logs.Subscription
		closed []bool // for each uploader so far
	}{
		{uploadedLogs(), []bool{false}},
		{moved, []bool{true, false}},
		{manual, []bool{true, true}},
		{uploadedLogs(), []bool{true, true, false}},
	} {
		if err := h.Configure([]logs.Subscription{step.conf}); err != nil {
			t.Fatal(err)
		}
		var closed []bool
		for _, u := range made.list {
			closed = append(closed, u.closed)
		}
		if !slices.Equal(closed, step.closed) {
			t.Errorf("step %d: %v, want %v", i, closed, step.closed)
		}
	}
	h.Close(t.Context())
	h.want(made.list[2].closed, true)
}

func TestUploadErrorIsLoggedAndReported(t *testing.T) {
	var made fakeUploaders
	h := newHarness(t, 0, made.options, uploadedLogs())
	h.StartPushing()
	const text = "Log Error: Push error for subscription mail_logs: Failed to connect to 10.44.167.40: Connection refused"
	made.list[0].onError(text)
	h.want(h.read("mail_logs/mail_logs.current"), header+"Thu Jun 25 08:50:03 2015 Critical: "+text+"\n")
	h.want(h.problems,
		[]logs.Problem{{Subscription: "mail_logs", Kind: logs.PushFailed, Text: text}})
}

func TestInvalidUploadTargetsAreRefused(t *testing.T) {
	for want, change := range map[string]func(*logs.UploadTarget){
		"A host name or an IP address is required.":                                func(r *logs.UploadTarget) { r.Host = "" },
		"The user name must have 1 to 64 characters, and no blanks.":               func(r *logs.UploadTarget) { r.User = "a b" },
		"The passphrase must not have control characters.":                         func(r *logs.UploadTarget) { r.Password = "a\nb" },
		"The directory must have 1 to 1024 characters, and no control characters.": func(r *logs.UploadTarget) { r.Dir = "/a\r\nDELE b" },
	} {
		s := uploadedLogs()
		change(&s.Remote)
		if err := s.Check(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", s.Remote, err, want)
		}
	}
	if err := uploadedLogs().Check(); err != nil {
		t.Error(err)
	}
}

func TestInvalidHostKeysAreRefused(t *testing.T) {
	good := logs.KnownHost{
		Host: "10.44.167.40", Port: 22,
		Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnI8Y1UBF1XvAiR4KyW7tgJY9aBQk5VYBYrHnmQKvS",
	}
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
			t.Errorf("%+v is accepted", bad)
		}
	}
}
