package mta

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/mta/maillog"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// open opens a Server that is not started, with a listener named In.
func open(t *testing.T, dir string, quota int64, told func(string), smtpUsers ...SMTPUser) *Server {
	t.Helper()
	f := config.NewFactory()
	netconfig.Interfaces.SetFactory(f, netconfig.IPInterfaces{List: []netconfig.IPInterface{{
		Name: "Data 1", Port: "Data 1",
	}}})
	listener.Section.SetFactory(f, listener.Settings{
		Listeners: []listener.Listener{
			listener.New("In", "Data 1", 25, listener.Public, product.Version{Major: 14}),
			listener.NewQuarantine("Data 1"),
		},
		Limits: listener.DefaultLimits(),
	})
	SMTPUsers.SetFactory(f, SMTPUserList{List: smtpUsers})
	store, err := config.Open(config.Options{Dir: filepath.Join(dir, "config"), Factory: f})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{
		Dir: filepath.Join(dir, "queue"), Quota: quota, StateFile: filepath.Join(dir, "suspended"),
		Events: events.NewStream(clock.System()), Committed: store.Committed, Clock: clock.System(),
		Entropy: entropy.Seeded(1), Logger: slog.New(slog.DiscardHandler), OnConserving: told,
		OnRateLimited: told, OnHarvest: told,
		Hostname: func() string { return "esa.example.com" },
		Recorder: maillog.NewRecorder(maillog.RecorderOptions{
			Subscriptions: func() []logs.Subscription { return nil },
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestSuspensionsSurviveARestart: suspended parts stay suspended over a restart, until resumed.
func TestSuspensionsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0, nil)
	if got := s.SuspendListeners(t.Context()); len(got) != 1 || got[0] != "In" {
		t.Errorf("%v were suspended, want the one listener that administrators know of", got)
	}
	s.SuspendDelivery(t.Context())
	s.PauseWorkQueue(PauseInfo{By: "admin", Reason: "checks"})
	s.Close()

	s = open(t, dir, 0, nil)
	s.applyState()
	if !s.ReceivingSuspended() || !s.Delivery.Suspended() || !s.Pipeline.Status().Paused {
		t.Error("something is not suspended after a restart")
	}
	if p := s.PausedBy(); p == nil || *p != (PauseInfo{By: "admin", Reason: "checks"}) {
		t.Errorf("the work queue is paused by %+v", p)
	}
	if got := s.ResumeListeners("in"); len(got) != 1 {
		t.Errorf("%v were resumed", got)
	}
	if !s.ResumeDelivery() || !s.ResumeWorkQueue() {
		t.Error("resuming says that nothing was suspended")
	}
	s.Close()

	s = open(t, dir, 0, nil)
	s.applyState()
	if s.ReceivingSuspended() || s.Delivery.Suspended() || s.Pipeline.Status().Paused || s.PausedBy() != nil {
		t.Error("something is suspended that was resumed before a restart")
	}
}

// TestDamagedStateSuspendsNothing: the mail system opens even if its state file is damaged.
func TestDamagedStateSuspendsNothing(t *testing.T) {
	for _, content := range []string{"", "{", "\x00", "[]", `{"delivery":"x"}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "suspended"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 0, nil)
		s.applyState()
		if s.Delivery.Suspended() {
			t.Errorf("the file %q suspends deliveries", content)
		}
	}
}

// TestResourceConservation: above nine tenths of the queue's space messages are refused, and the
// administrator is told once; below four fifths they are taken again.
func TestResourceConservation(t *testing.T) {
	var told []string
	s := open(t, t.TempDir(), 100_000, func(text string) { told = append(told, text) })
	fill := func(size int) uint64 {
		mid := s.Queue.NextMID()
		in, err := s.Queue.Create(mid)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		env := queue.Envelope{Received: time.Now(), Recipients: []queue.Recipient{{Address: "a@b"}}}
		if err := in.Commit(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		return mid
	}
	empty := func(mid uint64) {
		if _, err := s.Queue.Update(t.Context(), mid, queue.Deleted(0)); err != nil {
			t.Fatal(err)
		}
	}
	fill(75_000)
	if s.Conserving() {
		t.Error("messages are refused although a quarter of the space is free")
	}
	second := fill(12_000)
	third := fill(5_000)
	before, after := s.Conserving(), s.Conserving()
	if !before || !after || len(told) != 1 {
		t.Errorf("above nine tenths: refused %v and %v, alerts %q", before, after, told)
	}
	empty(third)
	if !s.Conserving() {
		t.Error("messages are taken again between the thresholds")
	}
	empty(second)
	if s.Conserving() {
		t.Error("messages are refused below four fifths")
	}
}

// TestSMTPUsers: only a listed user with the right passphrase may send.
func TestSMTPUsers(t *testing.T) {
	hash, err := users.HashPassphrase("secret")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, t.TempDir(), 0, nil, SMTPUser{Name: "joe", Hash: hash})
	for _, test := range []struct {
		user, passphrase string
		want             bool
	}{{"joe", "secret", true}, {"joe", "wrong", false}, {"joe", "", false}, {"ann", "secret", false}} {
		if got := s.authenticate(context.Background(), test.user, test.passphrase); got != test.want {
			t.Errorf("%s with %q: %v", test.user, test.passphrase, got)
		}
	}
}

// FuzzSuspended: loadState reads or rejects any content, and a state that it reads can be saved.
func FuzzSuspended(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"listeners":["In"],"delivery":true,"work_queue":{"by":"admin","reason":"x"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "suspended")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := loadState(file)
		if err != nil {
			return
		}
		s := &Server{o: Options{StateFile: file, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}}
		s.change(func(now *state) { *now = v })
		if _, err := loadState(file); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
