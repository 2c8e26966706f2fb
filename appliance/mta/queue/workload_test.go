package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// text returns the body of a message: it depends on its MID, so that bodies are told apart.
func text(mid uint64, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "message %d\r\n", mid), size/10+1)[:size]
}

// envelope returns an envelope with n recipients.
func envelope(n int) queue.Envelope {
	env := queue.Envelope{
		From: "sender@example.net", Received: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Outgoing: true, EightBit: true, BounceOf: 7, Internal: "alert", ICID: 9, Listener: "IncomingMail",
		RemoteIP: netip.MustParseAddr("2001:db8::1"), RemoteHost: "host.example.net",
		HELO: "helo.example.net", Group: "UNKNOWNLIST", User: "user",
	}
	for rid := range n {
		env.Recipients = append(env.Recipients, queue.Recipient{RID: rid,
			Address: fmt.Sprintf("user%d@example.com", rid)})
	}
	return env
}

// commit queues a message and returns its MID, even after an error.
func commit(q *queue.Queue, env queue.Envelope, size int) (uint64, error) {
	mid := q.NextMID()
	in, err := q.Create(mid)
	if err != nil {
		return mid, err
	}
	if _, err := in.Write(text(mid, size)); err != nil {
		in.Abort()
		return mid, err
	}
	return mid, in.Commit(context.Background(), env)
}

func mustCommit(t testing.TB, q *queue.Queue, env queue.Envelope, size int) uint64 {
	t.Helper()
	mid, err := commit(q, env, size)
	if err != nil {
		t.Fatal(err)
	}
	return mid
}

func mustOpen(t testing.TB, opts queue.Options) *queue.Queue {
	t.Helper()
	q, err := queue.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func checkBody(q *queue.Queue, mid uint64, size int64) error {
	r, err := q.Body(mid)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, text(mid, int(size))) {
		return fmt.Errorf("message %d has another body of %d bytes, want %d", mid, len(got), size)
	}
	return nil
}

// A model is what a caller of the queue knows of it.
type model struct {
	acked  map[uint64]queue.Envelope // committed and unfinished
	maybe  map[uint64]queue.Envelope // an unacknowledged commit, or the state after such an update
	gone   map[uint64]bool           // finished, or about to be
	failed map[uint64]bool           // commits that returned an error
	ids    [3]uint64                 // the latest identifiers
	errs   int                       // errors that the caller was told
}

func newModel() *model {
	return &model{acked: map[uint64]queue.Envelope{}, maybe: map[uint64]queue.Envelope{},
		gone: map[uint64]bool{}, failed: map[uint64]bool{}}
}

// A user uses a queue like the appliance does, and keeps a model. It repeats updates that fail. It
// stops after errPower.
type user struct {
	q *queue.Queue
	*model
	dead func() bool // reports whether the power has failed
}

func (u *user) commit(n, size int) (mid uint64, err error) {
	env := envelope(n)
	mid, err = commit(u.q, env, size)
	if ids := [3]uint64{mid, u.q.NextICID(), u.q.NextDCID()}; !u.dead() {
		u.ids = ids // nobody has seen those of a process that is dead
	}
	env.MID, env.Size = mid, int64(size)
	if err != nil {
		u.errs++
		u.maybe[mid], u.failed[mid] = env, true
		return mid, err
	}
	u.acked[mid] = env
	return mid, nil
}

func (u *user) update(mid uint64, changes ...queue.Change) error {
	after := changed(u.acked[mid], changes...)
	u.maybe[mid] = after
	if len(after.Recipients) == 0 {
		u.gone[mid] = true
	}
	result, err := u.q.Update(context.Background(), mid, changes...)
	for i := 0; err != nil; i++ {
		u.errs++
		if errors.Is(err, errPower) || i == 5 {
			return err
		}
		result, err = u.q.Update(context.Background(), mid, changes...)
	}
	want := queue.Result{Finished: len(after.Recipients) == 0, Remaining: len(after.Recipients)}
	if result != want {
		return fmt.Errorf("update of message %d: %+v, want %+v", mid, result, want)
	}
	delete(u.maybe, mid)
	u.acked[mid] = after
	if result.Finished {
		delete(u.acked, mid)
	}
	return nil
}

// changed returns what changes make of an envelope.
func changed(env queue.Envelope, changes ...queue.Change) queue.Envelope {
	env.Recipients = slices.Clone(env.Recipients)
	for _, c := range changes {
		i := slices.IndexFunc(env.Recipients, func(r queue.Recipient) bool { return r.RID == c.RID })
		switch c.Kind {
		case queue.KindStageDone:
			env.Stage = queue.Delivery
		case queue.KindDeferred:
			r := &env.Recipients[i]
			r.Attempts, r.Next, r.Last = r.Attempts+1, c.Next, c.Last
		case queue.KindWarned:
			env.Recipients[i].Warnings++
		case queue.KindRedirected:
			env.Recipients[i].Host, env.Recipients[i].Next = c.Host, time.Time{}
		case queue.KindAdded:
			env.Recipients = append(env.Recipients, queue.Recipient{RID: c.RID, Address: c.Address})
		default:
			env.Recipients = slices.Delete(env.Recipients, i, i+1)
		}
	}
	return env
}

func deferred(rid int) queue.Change {
	return queue.Deferred(rid, time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC), queue.LastError{
		Code: 450, Status: "4.2.0", Phrase: "Other", Text: "try later"})
}

// run does the workload: messages of all sizes, all changes, and enough of them for the log to
// have several segments and to be compacted. Failed commits are given up.
func (u *user) run() error {
	long, err := u.commit(5, 300) // stays, so that the log is compacted
	if err != nil && errors.Is(err, errPower) {
		return err
	}
	for i := range 10 {
		a, err := u.commit(2, 900+i)
		if errors.Is(err, errPower) {
			return err
		}
		if err == nil {
			steps := [][]queue.Change{{queue.StageDone()}, {deferred(1), queue.Warned(1)},
				{queue.Delivered(0), queue.Redirected(1, "other.example.org")}, {queue.Bounced(1)}}
			if i == 3 {
				steps = steps[:3] // that one stays too
			}
			for _, changes := range steps {
				if err := u.update(a, changes...); err != nil {
					return err
				}
			}
		}
		if i%4 == 1 {
			large, err := u.commit(1, queue.SmallBody+5000)
			if errors.Is(err, errPower) {
				return err
			}
			if err == nil && i == 1 {
				if err := u.update(large, queue.Deleted(0)); err != nil {
					return err
				}
			}
		}
		if _, ok := u.acked[long]; ok {
			err := u.update(long, deferred(i%5), queue.Added(100+i, "added@example.org"))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// normalize returns an envelope without what a loss of power may take back.
func normalize(env queue.Envelope) string {
	env.Stage = 0
	return fmt.Sprintf("%+v", env)
}

// verify compares a queue that was opened after a crash with the model, and uses it.
func (m *model) verify(q *queue.Queue) error {
	got := map[uint64]queue.Envelope{}
	last := uint64(0)
	var order error
	q.Each(func(env *queue.Envelope) bool {
		if env.MID <= last {
			order = fmt.Errorf("message %d comes after %d", env.MID, last)
		}
		last = env.MID
		got[env.MID] = *env
		return true
	})
	if order != nil {
		return order
	}
	recipients := 0
	for _, mid := range slices.Sorted(maps.Keys(got)) {
		env := got[mid]
		recipients += len(env.Recipients)
		want, acked := m.acked[mid]
		maybe, unsure := m.maybe[mid]
		if !(acked && normalize(env) == normalize(want)) &&
			!(unsure && normalize(env) == normalize(maybe)) {
			return fmt.Errorf("message %d is\n%s\nwant\n%s\nor\n%s", mid, normalize(env),
				normalize(want), normalize(maybe))
		}
		if err := checkBody(q, mid, env.Size); err != nil {
			return err
		}
	}
	for mid := range m.acked {
		if _, ok := got[mid]; !ok && !m.gone[mid] {
			return fmt.Errorf("message %d is lost", mid)
		}
	}
	s := q.Stats()
	if s.Messages != len(got) || s.Recipients != recipients ||
		s.Attempted+s.Unattempted != recipients {
		return fmt.Errorf("%+v, but there are %d messages, %d recipients", s, len(got), recipients)
	}
	if mid, icid, dcid := q.NextMID(), q.NextICID(), q.NextDCID(); mid <= m.ids[0] ||
		icid <= m.ids[1] || dcid <= m.ids[2] {
		return fmt.Errorf("identifiers %d, %d, %d are used again after %v", mid, icid, dcid, m.ids)
	}
	mid, err := commit(q, envelope(1), 100)
	if err != nil {
		return err
	}
	return checkBody(q, mid, 100)
}

// workloadOptions have segments so small that the workload compacts the log.
func workloadOptions(f *fakeFS) queue.Options {
	return queue.Options{Dir: f.dir, FS: f, SegmentSize: 3000}
}

var workloadDir = filepath.Join("parent", "queue")

// runOn runs the workload on a file system. The queue is closed afterwards, unless the power has
// failed: a process that is dead does not clean up.
func runOn(f *fakeFS) (m *model, err error) {
	m = newModel()
	q, err := queue.Open(workloadOptions(f))
	if err != nil {
		return m, err
	}
	u := &user{q, m, f.isDead}
	err = u.run()
	closed := q.Close()
	if err == nil {
		err = closed
	}
	return m, err
}

// Whatever operation the power fails at, and whatever part of what was not synced is on the disk,
// all acknowledged messages are there with all acknowledged changes, and nothing comes back.
func TestPowerLossAtEveryOperation(t *testing.T) {
	reached := false
	for cut := 1; !reached; cut++ {
		f := newFakeFS(workloadDir)
		f.cutAt = cut
		m, err := runOn(f)
		if reached = err == nil; !reached && !errors.Is(err, errPower) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for outcome := range numOutcomes + 3 {
			outcome = min(outcome, anything) // several times
			random := rand.New(rand.NewPCG(uint64(cut), uint64(outcome)))
			g := f.afterPowerLoss(outcome, random)
			if err := recoverTwice(g, m); err != nil {
				t.Fatalf("cut at %d, outcome %d: %v\n%s", cut, outcome, err, listing(g))
			}
		}
		if cut > 5000 {
			t.Fatal("the workload does not end")
		}
	}
}

// recoverTwice opens the queue, uses it, loses power again, and opens it again.
func recoverTwice(f *fakeFS, m *model) error {
	for range 2 {
		var log bytes.Buffer
		opts := workloadOptions(f)
		opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
		q, err := queue.Open(opts)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		if err := m.verify(q); err != nil {
			q.Close()
			return err
		}
		if log.Len() > 0 { // nothing is damaged
			q.Close()
			return fmt.Errorf("the queue logs %s", &log)
		}
		// The recovered state is now the expected one: the next recovery must keep it.
		n := newModel()
		q.Each(func(env *queue.Envelope) bool {
			n.acked[env.MID] = *env
			return true
		})
		n.ids[0], n.ids[1], n.ids[2] = q.LastIDs()
		m = n
		f = f.afterPowerLoss(onlySynced, nil)
		q.Close()
	}
	return nil
}

func listing(f *fakeFS) string {
	s := ""
	files := f.content()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s += fmt.Sprintf("%8d %s\n", len(files[name]), name)
	}
	return s
}

// The workload reaches what the tests above are about.
func TestTheWorkloadCompactsTheLog(t *testing.T) {
	f := newFakeFS(workloadDir)
	m, err := runOn(f)
	if err != nil {
		t.Fatal(err)
	}
	files := f.content()
	names := slices.Sorted(maps.Keys(files))
	if first := names[0]; first < fmt.Sprintf("%016x.seg", 5) {
		t.Errorf("the first file is still %s", first)
	}
	if len(m.acked) != 4 || m.errs != 0 {
		t.Errorf("%d messages, %d errors", len(m.acked), m.errs)
	}
	q := mustOpen(t, workloadOptions(f))
	if err := m.verify(q); err != nil {
		t.Error(err)
	}
}

// await returns when ok does. It does not sleep.
func await(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		if t.Context().Err() != nil {
			t.Fatal("the test has ended")
		}
		runtime.Gosched()
	}
}
