package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/refusal"
)

func TestEnvelopeIsKept(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, queue.Options{Dir: dir})
	env := envelope(2)
	env.Recipients[1] = queue.Recipient{RID: 5, Address: "\xff\"odd\"@[192.0.2.1]", Attempts: 3,
		Next:     time.Date(2040, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
		Last:     queue.LastError{Code: 421, Status: "4.3.2", Phrase: "Not accepting", Text: "a\nb"},
		Warnings: 2}
	env.Stage = queue.Delivery
	env.MID = mustCommit(t, q, env, 10)
	env.Size = 10
	env.Recipients[1].Next = env.Recipients[1].Next.UTC()
	null := mustCommit(t, q, queue.Envelope{Recipients: []queue.Recipient{{}}}, 0)
	check := func(q *queue.Queue) {
		t.Helper()
		got, ok := q.Message(env.MID)
		if !ok || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", env) {
			t.Errorf("%#v\nwant\n%#v", got, env)
		}
		got, ok = q.Message(null)
		want := queue.Envelope{MID: null, Recipients: []queue.Recipient{{}}}
		if !ok || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Errorf("%#v\nwant\n%#v", got, want)
		}
		if err := checkBody(q, null, 0); err != nil {
			t.Error(err)
		}
	}
	check(q)
	q.Close()
	check(mustOpen(t, queue.Options{Dir: dir}))
}

// Every envelope that Commit accepts can be recovered, even with extreme values.
func TestOddEnvelopesAreRecovered(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, queue.Options{Dir: dir})
	long := strings.Repeat("\x00", 1024)
	odd := queue.Envelope{MID: math.MaxUint64, Size: -1, BounceOf: math.MaxUint64, From: long,
		ICID: math.MaxUint64, Received: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), Listener: long,
		RemoteIP: netip.MustParseAddr("fe80::1%" + strings.Repeat("z", 5000)), HELO: long,
		Recipients: []queue.Recipient{
			{RID: 0, Attempts: -1, Next: time.Unix(0, math.MinInt64), Address: long},
			{RID: math.MaxInt32, Attempts: math.MaxInt, Address: long,
				Next: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
				Last: queue.LastError{Code: math.MinInt, Text: long}}}}
	for range 10_000 { // a head of many blocks
		n := len(odd.Recipients)
		odd.Recipients = slices.Insert(odd.Recipients, n-1, queue.Recipient{RID: n, Address: "a@b"})
	}
	mid := mustCommit(t, q, odd, 10)
	for range 3 { // the number of attempts does not overflow
		if _, err := q.Update(t.Context(), mid, deferred(math.MaxInt32)); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := q.Message(mid)
	if last := want.Recipients[10_001]; last.Attempts < 1<<30 || want.MID != mid || want.Size != 10 {
		t.Errorf("%d %d %+v", want.MID, want.Size, last)
	}
	q.Close()
	q = mustOpen(t, queue.Options{Dir: dir})
	if got, ok := q.Message(mid); !ok || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Error("the message is lost or different")
	}
	checkStats(t, q)
}

func TestWrongEnvelopesAreRefused(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, queue.Options{Dir: dir})
	for name, env := range map[string]queue.Envelope{
		"no recipients": {},
		"equal RIDs":    {Recipients: []queue.Recipient{{RID: 1}, {RID: 1}}},
		"descending":    {Recipients: []queue.Recipient{{RID: 1}, {RID: 0}}},
		"negative":      {Recipients: []queue.Recipient{{RID: -1}}},
		"long address":  {Recipients: []queue.Recipient{{Address: strings.Repeat("a", 1025)}}},
		"stage":         {Stage: 2, Recipients: []queue.Recipient{{}}},
		"long sender":   {From: strings.Repeat("a", 1025), Recipients: []queue.Recipient{{}}},
	} {
		for _, size := range []int{10, queue.SmallBody + 1} {
			if _, err := commit(q, env, size); err == nil {
				t.Error(name, "was accepted")
			}
		}
	}
	for _, mid := range []uint64{0, 1<<62 + 1} {
		if _, err := q.Create(mid); err == nil {
			t.Errorf("message %d was created", mid)
		}
	}
	if s := q.Stats(); s.Messages != 0 || s.BytesUsed != 0 {
		t.Errorf("%+v", s)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.msg")); len(left) > 0 || err != nil {
		t.Error(left, err)
	}
}

func TestUpdates(t *testing.T) {
	q := mustOpen(t, queue.Options{Dir: t.TempDir()})
	mid := mustCommit(t, q, envelope(3), 100)
	long := queue.LastError{Text: strings.Repeat("a", 1000)}
	for _, step := range []struct {
		changes []queue.Change
		err     error // any error if it is errAny
		result  queue.Result
		want    string // RID:address/attempts
	}{
		{nil, errAny, queue.Result{}, "0:user0/0 1:user1/0 2:user2/0"},
		{list(queue.Delivered(3)), queue.ErrNoRecipient, queue.Result{},
			"0:user0/0 1:user1/0 2:user2/0"},
		{list(queue.Delivered(0), queue.Deleted(3)), queue.ErrNoRecipient, queue.Result{},
			"0:user0/0 1:user1/0 2:user2/0"}, // all or nothing
		{list(queue.Delivered(0), queue.Bounced(0)), queue.ErrNoRecipient, queue.Result{},
			"0:user0/0 1:user1/0 2:user2/0"},
		{list(queue.Added(0, "x")), errAny, queue.Result{}, "0:user0/0 1:user1/0 2:user2/0"},
		{list(queue.Added(9, strings.Repeat("x", 2000))), errAny, queue.Result{},
			"0:user0/0 1:user1/0 2:user2/0"},
		{list(queue.Change{Kind: 99}), errAny, queue.Result{}, "0:user0/0 1:user1/0 2:user2/0"},
		{list(queue.StageDone(), queue.Bounced(1)), nil, queue.Result{Remaining: 2},
			"0:user0/0 2:user2/0"},
		{list(queue.Deferred(0, time.Time{}, long), deferred(0)), nil, queue.Result{Remaining: 2},
			"0:user0/2 2:user2/0"},
		{list(queue.Redirected(0, "new.example.org")), nil, queue.Result{Remaining: 2},
			"0:user0@new.example.org/2 2:user2/0"},
		{list(queue.Added(7, "b@example.org"), queue.Added(3, "a@example.org")), nil,
			queue.Result{Remaining: 4}, "0:user0@new.example.org/2 2:user2/0 3:a/0 7:b/0"},
		{list(queue.Delivered(2), queue.Delivered(0), queue.Deleted(7)), nil,
			queue.Result{Remaining: 1}, "3:a/0"},
		{list(queue.Delivered(3), queue.Added(8, "c@example.org")), nil,
			queue.Result{Remaining: 1}, "8:c/0"},
		{list(queue.Delivered(8)), nil, queue.Result{Finished: true}, ""},
		{list(queue.Delivered(8)), queue.ErrNoMessage, queue.Result{}, ""},
	} {
		result, err := q.Update(t.Context(), mid, step.changes...)
		if !errors.Is(err, step.err) && (step.err != errAny || err == nil) {
			t.Errorf("%+v: %v, want %v", step.changes, err, step.err)
		}
		if result != step.result {
			t.Errorf("%+v: %+v, want %+v", step.changes, result, step.result)
		}
		env, ok := q.Message(mid)
		if got := describe(env); got != step.want || ok != (got != "") {
			t.Errorf("%+v: %q, want %q", step.changes, got, step.want)
		}
		checkStats(t, q)
	}
	if s := q.Stats(); s.BytesUsed != 0 {
		t.Errorf("%+v", s)
	}
}

var errAny = errors.New("any error")

func list(changes ...queue.Change) []queue.Change { return changes }

func describe(env queue.Envelope) string {
	var all []string
	for _, r := range env.Recipients {
		user, _, _ := strings.Cut(r.Address, "@")
		if r.Host != "" {
			user += "@" + r.Host
		}
		all = append(all, fmt.Sprintf("%d:%s/%d", r.RID, user, r.Attempts))
	}
	return strings.Join(all, " ")
}

// checkStats compares the figures with the messages.
func checkStats(t *testing.T, q *queue.Queue) {
	t.Helper()
	var want queue.Stats
	q.Each(func(env *queue.Envelope) bool {
		want.Messages++
		if env.Stage == queue.WorkQueue {
			want.InWorkQueue++
		}
		for _, r := range env.Recipients {
			want.Recipients++
			if r.Attempts == 0 {
				want.Unattempted++
			} else {
				want.Attempted++
			}
		}
		return true
	})
	got := q.Stats()
	if got.BytesUsed < 0 || got.BytesUsed+got.BytesFree != queue.DefaultQuota {
		t.Errorf("%+v", got)
	}
	if got.BytesUsed, got.BytesFree = 0, 0; got != want {
		t.Errorf("figures %+v, want %+v", got, want)
	}
}

// The text of an error is cut, so that a server cannot fill the memory.
func TestErrorsAreCut(t *testing.T) {
	q := mustOpen(t, queue.Options{Dir: t.TempDir()})
	mid := mustCommit(t, q, envelope(1), 1)
	long := strings.Repeat("a", 10_000)
	_, err := q.Update(t.Context(), mid, queue.Deferred(0, time.Time{}, queue.LastError{
		Code: 450, Status: "4.0.0", Phrase: long, Text: long}))
	env, _ := q.Message(mid)
	l := env.Recipients[0].Last
	if err != nil || len(l.Phrase) != 507 || l.Text != "" || l.Code != 450 {
		t.Errorf("%v, %+v", err, l)
	}
}

func TestQuota(t *testing.T) {
	const quota = 300_000
	q := mustOpen(t, queue.Options{Dir: t.TempDir(), Quota: quota})
	var mids []uint64
	fits := func(size int) bool {
		mid, err := commit(q, envelope(1), size)
		if text, ok := refusal.Text(err); err != nil && (!errors.Is(err, queue.ErrQuota) || !ok) {
			t.Fatal(err, text)
		}
		if err == nil {
			mids = append(mids, mid)
		}
		return err == nil
	}
	if fits(quota+1) || !fits(200_000) || fits(100_001) || !fits(50_000) {
		t.Fatal("the quota does not hold")
	}
	in, err := q.Create(q.NextMID()) // what is being received counts
	if err != nil {
		t.Fatal(err)
	}
	if n, err := in.Write(make([]byte, 40_000)); n != 40_000 || err != nil {
		t.Fatal(n, err)
	}
	if fits(20_000) {
		t.Error("what is being received does not count")
	}
	in.Abort()
	in.Abort()
	if n, err := in.Write([]byte("x")); n != 0 || err == nil {
		t.Error("an aborted message was written")
	}
	if !fits(20_000) {
		t.Error("an aborted message counts")
	}
	for _, mid := range mids {
		if _, err := q.Update(t.Context(), mid, queue.Delivered(0)); err != nil {
			t.Fatal(err)
		}
	}
	if s := q.Stats(); s.BytesUsed != 0 || s.BytesFree != quota {
		t.Errorf("%+v", s)
	}
	if !fits(250_000) {
		t.Error("there is no space after the messages have gone")
	}
}

// A body can be read on while its message is finished, its segment is removed and the queue is
// closed.
func TestBodyStaysValid(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, queue.Options{Dir: dir, SegmentSize: 10_000})
	for _, size := range []int{5000, queue.SmallBody + 5000} {
		mid := mustCommit(t, q, envelope(1), size)
		r, err := q.Body(mid)
		if err != nil {
			t.Fatal(err)
		}
		half := make([]byte, size/2)
		if _, err := io.ReadFull(r, half); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Update(t.Context(), mid, queue.Delivered(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Body(mid); !errors.Is(err, queue.ErrNoMessage) {
			t.Error(err)
		}
		before := q.Segments()
		for range 10 {
			other := mustCommit(t, q, envelope(1), 5000)
			if _, err := q.Update(t.Context(), other, queue.Delivered(0)); err != nil {
				t.Fatal(err)
			}
		}
		if n := q.Segments(); n > before+1 {
			t.Errorf("%d segments, before %d", n, before)
		}
		if size > queue.SmallBody {
			q.Close()
		}
		rest, err := io.ReadAll(r)
		if got := append(half, rest...); err != nil || !bytes.Equal(got, text(mid, size)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if at, err := r.Seek(3, io.SeekStart); at != 3 || err != nil {
			t.Error(at, err)
		}
		if again, err := io.ReadAll(r); err != nil || !bytes.Equal(again, text(mid, size)[3:]) {
			t.Errorf("%d bytes, %v", len(again), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); !errors.Is(err, os.ErrClosed) {
			t.Error("a second Close:", err)
		}
	}
	files, err := os.ReadDir(dir)
	if len(files) > 3 || err != nil { // the counters, and one or two segments
		t.Errorf("%v, %v", files, err)
	}
}

// A bounce and the end of its recipient happen together or not at all.
func TestCommitWith(t *testing.T) {
	f := newFakeFS(workloadDir)
	opts := queue.Options{Dir: f.dir, FS: f}
	q := mustOpen(t, opts)
	mid := mustCommit(t, q, envelope(2), 10)
	with := func(size, rid int) error {
		in, err := q.Create(q.NextMID())
		if err != nil {
			t.Fatal(err)
		}
		in.Write(make([]byte, size))
		_, err = in.CommitWith(t.Context(), envelope(1), mid, queue.Bounced(rid))
		return err
	}
	if err := with(100, 2); !errors.Is(err, queue.ErrNoRecipient) || q.Stats().Messages != 1 {
		t.Error(err, q.Stats())
	}
	if err := with(queue.SmallBody+1, 1); err != nil || q.Stats().Messages != 2 {
		t.Error(err, q.Stats())
	}
	if err := with(100, 0); err != nil || q.Stats().Messages != 2 {
		t.Error(err, q.Stats())
	}
	checkStats(t, q)
	opts.FS = f.afterPowerLoss(onlySynced, nil)
	if q = mustOpen(t, opts); q.Stats().Messages != 2 {
		t.Error(q.Stats())
	}
	checkStats(t, q)
	if _, ok := q.Message(mid); ok {
		t.Error("the bounced message is back")
	}
}

func TestClosedQueue(t *testing.T) {
	dir := t.TempDir()
	q := mustOpen(t, queue.Options{Dir: dir})
	mid := mustCommit(t, q, envelope(1), 10)
	in, err := q.Create(q.NextMID())
	if err != nil {
		t.Fatal(err)
	}
	in.Write(make([]byte, queue.SmallBody+1))
	if err := errors.Join(q.Close(), q.Close()); err != nil {
		t.Error(err)
	}
	if err := in.Commit(t.Context(), envelope(1)); !errors.Is(err, queue.ErrClosed) {
		t.Error(err)
	}
	if _, err := q.Create(99); !errors.Is(err, queue.ErrClosed) {
		t.Error(err)
	}
	if _, err := q.Update(t.Context(), mid, queue.Delivered(0)); !errors.Is(err, queue.ErrClosed) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.msg")); len(left) > 0 {
		t.Error(left)
	}
}

func TestCanceledContext(t *testing.T) {
	q := mustOpen(t, queue.Options{Dir: t.TempDir()})
	mid := mustCommit(t, q, envelope(1), 10)
	cause := errors.New("the cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := q.Update(ctx, mid, queue.Delivered(0)); !errors.Is(err, cause) {
		t.Error(err)
	}
	in, err := q.Create(q.NextMID())
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(ctx, envelope(1)); !errors.Is(err, cause) {
		t.Error(err)
	}
	if s := q.Stats(); s.Messages != 1 || s.Recipients != 1 {
		t.Errorf("%+v", s)
	}
}

// A queue that is not used writes nothing, and then makes its directory.
func TestFirstStartWritesNothing(t *testing.T) {
	parent := t.TempDir()
	q := mustOpen(t, queue.Options{Dir: filepath.Join(parent, "queue")})
	if files, err := os.ReadDir(parent); len(files) > 0 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	q = mustOpen(t, queue.Options{Dir: filepath.Join(parent, "queue")})
	mustCommit(t, q, envelope(1), 100)
}

// An identifier belongs to one message only.
func TestTwoMessagesWithOneIdentifier(t *testing.T) {
	q := mustOpen(t, queue.Options{Dir: t.TempDir()})
	mid := q.NextMID()
	in, err := q.Create(mid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Create(mid); err == nil {
		t.Error("it was created twice")
	}
	if err := in.Commit(t.Context(), envelope(1)); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context(), envelope(1)); err == nil {
		t.Error("it was committed twice")
	}
	if _, err := q.Create(mid); err == nil {
		t.Error("it was created after its commit")
	}
}
