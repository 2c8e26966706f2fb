package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/refusal"
)

var errIO = errors.New("input/output error")

// failAt makes one operation fail, or several from there on. The file of the counters is spared:
// identifiers are handed out even if it fails.
func failAt(f *fakeFS, at, times int, err error) {
	n := 0
	f.fail = func(op, name string, _ int) error {
		if name == "ids" || op == "remove" {
			return nil
		}
		if n++; n >= at && n < at+times {
			return err
		}
		return nil
	}
}

// Whatever operation fails, and however often, the caller is told, acknowledged messages stay, the
// queue goes on when the disk works again, and a loss of power afterwards costs nothing.
func TestFailureOfEveryOperation(t *testing.T) {
	for _, kind := range []struct {
		err   error
		times int
	}{{errIO, 1}, {syscall.ENOSPC, 1}, {syscall.ENOSPC, 5}} {
		silent := 0
		for at := 1; silent < 20; at++ { // failures while the queue is closed are not counted
			f := newFakeFS(workloadDir)
			failAt(f, at, kind.times, kind.err)
			m, err := runOn(f)
			if err != nil && !errors.Is(err, kind.err) {
				t.Fatalf("%v at %d: %v", kind.err, at, err)
			}
			f.mu.Lock()
			f.fail = nil
			f.mu.Unlock()
			if silent++; m.errs > 0 {
				silent = 0
			}
			for outcome := range numOutcomes {
				random := rand.New(rand.NewPCG(uint64(at), uint64(outcome)))
				g := f.afterPowerLoss(outcome, random)
				if err := recoverTwice(g, m); err != nil {
					t.Fatalf("%d times %v at %d, outcome %d: %v\n%s", kind.times, kind.err, at,
						outcome, err, listing(g))
				}
			}
			if at > 5000 {
				t.Fatal("the workload does not end")
			}
		}
	}
}

// While the disk is full, accepting fails, and the queue's content can be read. Afterwards the
// queue goes on.
func TestFullDisk(t *testing.T) {
	f := newFakeFS(workloadDir)
	q := mustOpen(t, queue.Options{Dir: f.dir, FS: f})
	first := mustCommit(t, q, envelope(2), 500)
	full := func(full bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fail = nil
		if full {
			f.fail = func(op, name string, n int) error {
				if op == "write" && n > 400 || op == "create" {
					return syscall.ENOSPC
				}
				return nil
			}
		}
	}
	full(true)
	length := len(f.content()["0000000000000001.seg"])
	for _, size := range []int{500, queue.SmallBody + 1} {
		_, err := commit(q, envelope(1), size)
		text, _ := refusal.Text(err)
		if !errors.Is(err, queue.ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) || text == "" {
			t.Errorf("a message of %d bytes on a full disk: %v", size, err)
		}
	}
	if s := q.Stats(); s.Messages != 1 {
		t.Errorf("%+v", s)
	}
	if files := f.content(); len(files) != 2 || len(files["0000000000000001.seg"]) != length {
		t.Errorf("the failures have left something:\n%s", listing(f)) // it would use the last space
	}
	used := q.Stats().BytesUsed
	// A small update fits.
	if _, err := q.Update(t.Context(), first, queue.Delivered(0)); err != nil {
		t.Error(err)
	}
	full(false)
	second := mustCommit(t, q, envelope(1), 500)
	if err := errors.Join(checkBody(q, first, 500), checkBody(q, second, 500)); err != nil {
		t.Error(err)
	}
	if now := q.Stats().BytesUsed; now >= 2*used {
		t.Errorf("failed messages use the quota: %d bytes, then %d", used, now)
	}
	g := f.afterPowerLoss(onlySynced, nil)
	if q = mustOpen(t, queue.Options{Dir: g.dir, FS: g}); q.Stats().Recipients != 2 {
		t.Errorf("after the loss of power: %+v", q.Stats())
	}
}

// A full disk is logged once, and so is its end.
func TestFailuresAreLoggedOnce(t *testing.T) {
	f := newFakeFS(workloadDir)
	var log bytes.Buffer
	q := mustOpen(t, queue.Options{Dir: f.dir, FS: f, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustCommit(t, q, envelope(1), 500)
	f.fail = func(op, name string, n int) error { return syscall.ENOSPC }
	for range 20 {
		if _, err := commit(q, envelope(1), 500); err == nil {
			t.Error("a message fits on a full disk")
		}
	}
	f.fail = nil
	for range 20 {
		mustCommit(t, q, envelope(1), 500)
	}
	q.Close()
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "again") {
		t.Errorf("%d lines are logged:\n%s", n, &log)
	}
}

// A compaction that met a full disk takes up again where it was when there is space: no message of
// the segment is passed over, and the segment is removed.
func TestCompactionAfterAFullDisk(t *testing.T) {
	f := newFakeFS(workloadDir)
	opts := workloadOptions(f)
	var log lockedBuffer
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	q := mustOpen(t, opts)
	oldest := fmt.Sprintf("%016x.seg", 1)
	var first, later []uint64 // messages, by their segments
	for q.Segments() < 3 {
		mid := mustCommit(t, q, envelope(1), 500)
		if q.Segments() < 2 {
			first = append(first, mid)
		} else {
			later = append(later, mid)
		}
	}
	f.mu.Lock()
	f.fail = func(op, _ string, n int) error {
		if op == "write" && n > 400 { // the steps of the compaction, not the updates
			return syscall.ENOSPC
		}
		return nil
	}
	f.mu.Unlock()
	for _, mid := range first[1:] { // one message keeps the oldest segment
		if _, err := q.Update(t.Context(), mid, queue.Delivered(0)); err != nil {
			t.Fatal(err)
		}
	}
	// An update is answered after a failed step of the compaction that was written with it.
	for range 3 {
		if _, err := q.Update(t.Context(), later[0], deferred(0)); err != nil {
			t.Fatal(err)
		}
	}
	f.mu.Lock()
	f.fail = nil
	f.mu.Unlock()
	mustCommit(t, q, envelope(1), 500)
	await(t, func() bool {
		if strings.Contains(log.String(), "compacted") {
			t.Fatalf("the queue logs %s", &log)
		}
		return f.content()[oldest] == nil
	})
	if err := checkBody(q, first[0], 500); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "could not be written") {
		t.Error("no compaction met the full disk")
	}
}

// A lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A batch that does not fit is divided: updates get the last space.
func TestUpdatesGetTheLastSpace(t *testing.T) {
	f := newFakeFS(workloadDir)
	q := mustOpen(t, queue.Options{Dir: f.dir, FS: f})
	first := mustCommit(t, q, envelope(1), 100)
	other := mustCommit(t, q, envelope(1), 100)
	// The writer is stopped in a sync until a commit and an update wait for it.
	stopped, goOn := make(chan bool), make(chan bool)
	f.onSync = func(string) {
		stopped <- true
		<-goOn
	}
	done := make(chan error, 3)
	go func() {
		_, err := q.Update(context.Background(), other, deferred(0))
		done <- err
	}()
	<-stopped
	f.onSync = nil
	mid := q.NextMID()
	go func() {
		in, err := q.Create(mid)
		if err == nil {
			in.Write(text(mid, 10_000))
			err = in.Commit(context.Background(), envelope(1))
		}
		if !errors.Is(err, queue.ErrDiskFull) {
			err = fmt.Errorf("the message: %w", err)
		} else {
			err = nil
		}
		done <- err
	}()
	go func() {
		_, err := q.Update(context.Background(), first, queue.Delivered(0))
		done <- err
	}()
	await(t, func() bool { return q.Waiting() == 2 })
	f.mu.Lock()
	f.fail = func(op, name string, n int) error {
		if op == "write" && n > 1000 {
			return syscall.ENOSPC
		}
		return nil
	}
	f.mu.Unlock()
	goOn <- true
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if s := q.Stats(); s.Messages != 1 {
		t.Errorf("%+v", s)
	}
}

// If identifiers cannot be reserved, they are handed out nevertheless, and reserved later.
func TestIdentifiersWithoutADisk(t *testing.T) {
	f := newFakeFS(workloadDir)
	q := mustOpen(t, queue.Options{Dir: f.dir, FS: f})
	f.fail = func(op, name string, n int) error { return errIO }
	for want := uint64(1); want < 200; want++ {
		if got := q.NextICID(); got != want {
			t.Fatalf("%d instead of %d", got, want)
		}
	}
	f.mu.Lock()
	f.fail = nil
	f.mu.Unlock()
	for range 64 {
		q.NextICID()
	}
	_, last, _ := q.LastIDs()
	g := f.afterPowerLoss(onlySynced, nil)
	if q = mustOpen(t, queue.Options{Dir: g.dir, FS: g}); q.NextICID() <= last {
		t.Error("an identifier was used again")
	}
}

func TestIdentifiersAreSmallAndSurvive(t *testing.T) {
	dir := t.TempDir()
	for want := uint64(1); want < 10; want += 2 {
		q := mustOpen(t, queue.Options{Dir: dir})
		for i := range uint64(2) {
			if m, i, d := q.NextMID(), q.NextICID()-i, q.NextDCID(); i != want || d != m {
				t.Fatalf("%d, %d, %d, want %d", m, i, d, want)
			}
		}
		if mid, icid, dcid := q.LastIDs(); mid != want+1 || icid != mid || dcid != mid {
			t.Fatalf("%d, %d, %d, want %d", mid, icid, dcid, want+1)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever happens to one of the files, the queue opens, its other messages are whole, and new
// identifiers are greater than those of all messages that were queued.
func TestDamagedFiles(t *testing.T) {
	f := newFakeFS(workloadDir)
	m, err := runOn(f)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func(b []byte, at int) []byte{
		"cut":     func(b []byte, at int) []byte { return b[:at] },
		"empty":   func(b []byte, at int) []byte { return nil },
		"flipped": func(b []byte, at int) []byte { b[at] ^= 0x10; return b },
		"zeros":   func(b []byte, at int) []byte { clear(b[at:min(at+512, len(b))]); return b },
		"more":    func(b []byte, at int) []byte { return append(b, make([]byte, at)...) },
		"garbage": func(b []byte, at int) []byte {
			rand.NewChaCha8([32]byte{byte(at)}).Read(b[at:min(at+100, len(b))])
			return b
		},
	}
	files := f.content()
	for name := range files {
		for how, do := range damage {
			for at := 0; at < len(files[name]); at += 1 + len(files[name])/60 {
				all := f.content()
				all[name] = do(all[name], at)
				g := withFiles(f.dir, all)
				if err := openDamaged(g, m); err != nil {
					t.Fatalf("%s: %s at %d of %d: %v", name, how, at, len(files[name]), err)
				}
			}
		}
	}
}

// openDamaged opens a queue that may have lost messages, or changes of them.
func openDamaged(f *fakeFS, m *model) error {
	q, err := queue.Open(workloadOptions(f))
	if err != nil {
		return err
	}
	defer q.Close()
	broken := 0
	q.Each(func(env *queue.Envelope) bool {
		if m.failed[env.MID] || env.MID > m.ids[0] {
			err = fmt.Errorf("message %d never existed", env.MID)
		}
		if checkBody(q, env.MID, env.Size) != nil {
			broken++ // bodies are not verified, as they are long
		}
		return true
	})
	if err != nil || broken > 1 {
		return fmt.Errorf("%w; %d bodies are damaged", err, broken)
	}
	last := uint64(0)
	for mid := range m.acked {
		last = max(last, mid)
	}
	if mid := q.NextMID(); mid <= last {
		return fmt.Errorf("identifier %d is used again after %d", mid, last)
	}
	_, err = commit(q, envelope(1), 100)
	return err
}

// Without damage nothing is lost; other files in the directory are left alone.
func TestForeignFilesStay(t *testing.T) {
	f := newFakeFS(workloadDir)
	m, err := runOn(f)
	if err != nil {
		t.Fatal(err)
	}
	files := f.content()
	foreign := []string{"README", "1.seg", "000000000000000G.seg", "000000000000000A.msg", ".msg"}
	for _, name := range foreign {
		files[name] = []byte("foreign")
	}
	g := withFiles(f.dir, files)
	if err := recoverTwice(g, m); err != nil {
		t.Error(err)
	}
	for _, name := range foreign {
		if string(g.content()[name]) != "foreign" {
			t.Errorf("%s was changed", name)
		}
	}
}

// The tail of the newest segment may be cut anywhere: what is before the cut stays.
func TestTornTail(t *testing.T) {
	f := newFakeFS(workloadDir)
	q, err := queue.Open(queue.Options{Dir: f.dir, FS: f})
	if err != nil {
		t.Fatal(err)
	}
	var ends []int // of the file after each message
	const name = "0000000000000001.seg"
	for range 5 {
		mustCommit(t, q, envelope(1), 700)
		ends = append(ends, len(f.content()[name]))
	}
	files := f.content()
	q.Close()
	whole := files[name]
	for at := range len(whole) + 1 {
		files[name] = slices.Clone(whole[:at])
		g := withFiles(f.dir, files)
		q, err := queue.Open(queue.Options{Dir: g.dir, FS: g})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for want < len(ends) && ends[want] <= at {
			want++
		}
		if n := q.Stats().Messages; n != want {
			t.Fatalf("cut at %d: %d messages, want %d", at, n, want)
		}
		q.Close()
	}
}

// Open reports errors of the disk, instead of taking the queue for empty.
func TestOpenFailsIfTheDiskDoes(t *testing.T) {
	f := newFakeFS(workloadDir)
	if _, err := runOn(f); err != nil {
		t.Fatal(err)
	}
	f.fail = func(op, name string, n int) error { return errIO }
	if _, err := queue.Open(workloadOptions(f)); !errors.Is(err, errIO) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file", "queue")
	q := mustOpen(t, queue.Options{Dir: filepath.Dir(file)})
	mustCommit(t, q, envelope(1), 10)
	q.Close()
	seg := filepath.Join(filepath.Dir(file), strings.Repeat("0", 15)+"1.seg")
	if _, err := queue.Open(queue.Options{Dir: seg}); err == nil {
		t.Error("a file was opened as a directory")
	}
}
