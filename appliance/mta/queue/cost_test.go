package queue_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// At low load a message costs one sync to accept it and one for each later update, but none for
// the stage. A large one also needs its own file and the directory synced.
func TestSyncsOfAMessage(t *testing.T) {
	f := newFakeFS(workloadDir)
	q := mustOpen(t, queue.Options{Dir: f.dir, FS: f})
	mustCommit(t, q, envelope(1), 100) // makes the files
	syncs := func() [2]int {
		f.mu.Lock()
		defer f.mu.Unlock()
		n := [2]int{f.syncs, f.dirs}
		f.syncs, f.dirs = 0, 0
		return n
	}
	syncs()
	for size, want := range map[int][2]int{
		100: {1, 0}, 10_000: {1, 0}, queue.SmallBody: {1, 0},
		queue.SmallBody + 1: {2, 1}, 5 << 20: {2, 1},
	} {
		mid := mustCommit(t, q, envelope(1), size)
		if got := syncs(); got != want {
			t.Errorf("accept %d bytes: %d syncs of files and directories, want %d", size, got, want)
		}
		for _, step := range []struct {
			change queue.Change
			want   [2]int
		}{{queue.StageDone(), [2]int{}}, {queue.Delivered(0), [2]int{1, 0}}} {
			if _, err := q.Update(t.Context(), mid, step.change); err != nil {
				t.Fatal(err)
			}
			if got := syncs(); got != step.want {
				t.Errorf("change %d: %d syncs, want %d", step.change.Kind, got, step.want)
			}
		}
	}
}

// While one sync is in progress, the records of all other writers are collected for the next one.
func TestGroupCommit(t *testing.T) {
	f := newFakeFS(workloadDir)
	q := mustOpen(t, queue.Options{Dir: f.dir, FS: f})
	mid := mustCommit(t, q, envelope(20), 100)
	stopped, goOn := make(chan bool), make(chan bool)
	var once sync.Once
	f.onSync = func(string) {
		once.Do(func() {
			stopped <- true
			<-goOn
		})
	}
	before := f.syncs
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := commit(q, envelope(1), 100); err != nil {
			t.Error(err)
		}
	})
	<-stopped
	for rid := range 20 { // messages, and changes of one message
		wg.Go(func() {
			if _, err := commit(q, envelope(1), 10_000); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := q.Update(context.Background(), mid, queue.Delivered(rid)); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, func() bool { return q.Waiting() == 40 })
	goOn <- true
	wg.Wait()
	if n := f.syncs - before; n != 2 {
		t.Errorf("41 writers caused %d syncs, want 2", n)
	}
}

// A large message passes through the memory in parts.
func TestLargeMessageIsNotHeldInMemory(t *testing.T) {
	q := mustOpen(t, queue.Options{Dir: t.TempDir(), FS: unsynced{queue.DiskFS()}})
	in, err := q.Create(q.NextMID())
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 32<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 << 20 / len(part) {
		if _, err := in.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Commit(t.Context(), envelope(1)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("100 MiB allocated %d bytes", n)
	}
	if s := q.Stats(); s.BytesUsed < 100<<20 {
		t.Errorf("%+v", s)
	}
}

// unsynced is a file system on which syncing does nothing: tests of other things are fast then.
type unsynced struct{ queue.FS }

func (unsynced) SyncDir(string) error { return nil }

func (u unsynced) Create(name string) (queue.File, error) {
	f, err := u.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (u unsynced) Open(name string) (queue.File, error) {
	f, err := u.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ queue.File }

func (unsyncedFile) Sync() error { return nil }

// fill queues messages of many senders and recipients, none of which has the same address.
func fill(t testing.TB, dir string, messages, recipients, size int) *queue.Queue {
	q := mustOpen(t, queue.Options{Dir: dir, FS: unsynced{queue.DiskFS()}, Quota: 1 << 40})
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(messages); n = next.Add(1) {
				env := queue.Envelope{From: fmt.Sprintf("sender%d@example.net", n%10_000),
					Listener: "IncomingMail", RemoteHost: "mail.example.net", Group: "UNKNOWNLIST"}
				for rid := range recipients {
					env.Recipients = append(env.Recipients, queue.Recipient{RID: rid,
						Address: fmt.Sprintf("recipient%d.%d@example%d.com", n, rid, n%1000)})
				}
				if _, err := commit(q, env, size); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return q
}

// heap returns the bytes that are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // drops pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Queued recipients need little memory: 300 bytes of a message with one recipient, and less than
// half of that for each one of a message with many, also after a restart and a failed attempt.
func TestMemoryOfQueuedRecipients(t *testing.T) {
	for _, c := range []struct{ messages, recipients, limit int }{{40_000, 1, 300}, {400, 100, 110}} {
		dir := t.TempDir()
		n := c.messages * c.recipients
		before := heap()
		check := func(when string) {
			t.Helper()
			if got := int(heap()-before) / n; got > c.limit {
				t.Errorf("%d messages of %d recipients, %s: %d bytes a recipient, want at most %d",
					c.messages, c.recipients, when, got, c.limit)
			}
		}
		q := fill(t, dir, c.messages, c.recipients, 100)
		check("accepted")
		q.Close()
		runtime.KeepAlive(q)
		q = nil
		before = heap()
		q = mustOpen(t, queue.Options{Dir: dir, FS: unsynced{queue.DiskFS()}})
		check("recovered")
		q.Each(func(env *queue.Envelope) bool {
			var changes []queue.Change
			for _, r := range env.Recipients {
				changes = append(changes, deferred(r.RID))
			}
			_, err := q.Update(t.Context(), env.MID, changes...)
			if err != nil {
				t.Error(err)
			}
			return err == nil
		})
		check("deferred")
		if got := q.Stats().Attempted; got != n {
			t.Errorf("%d recipients, want %d", got, n)
		}
	}
}

// Recovery skips the bodies in the log, except in its newest segment.
func TestRecoveryReadsLittle(t *testing.T) {
	f := newFakeFS(workloadDir)
	opts := queue.Options{Dir: f.dir, FS: f, SegmentSize: 1 << 20}
	q := mustOpen(t, opts)
	const messages = 300
	for range messages {
		mustCommit(t, q, envelope(1), 20_000)
	}
	q.Close()
	f.reads = 0
	q = mustOpen(t, opts)
	if n := q.Stats().Messages; n != messages || f.reads > 2*messages {
		t.Errorf("%d messages in %d reads", n, f.reads)
	}
}

func BenchmarkAccept(b *testing.B) {
	for _, writers := range []int{1, 20} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			c := &counting{FS: queue.DiskFS()}
			q := mustOpen(b, queue.Options{Dir: b.TempDir(), FS: c, Quota: 1 << 40})
			var next atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := commit(q, envelope(1), 10_000); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			c.report(b)
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 20} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			c := &counting{FS: queue.DiskFS()}
			q := mustOpen(b, queue.Options{Dir: b.TempDir(), FS: c, Quota: 1 << 40})
			mid := mustCommit(b, q, envelope(writers), 100)
			var next atomic.Int64
			b.ReportAllocs()
			c.clear()
			b.ResetTimer()
			var wg sync.WaitGroup
			for rid := range writers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := q.Update(context.Background(), mid, deferred(rid)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			c.report(b)
		})
	}
}

func BenchmarkRecover(b *testing.B) {
	const messages = 100_000
	dir := b.TempDir()
	fill(b, dir, messages, 1, 1000).Close()
	c := &counting{FS: queue.DiskFS()}
	b.ReportAllocs()
	for b.Loop() {
		q := mustOpen(b, queue.Options{Dir: dir, FS: c})
		if n := q.Stats().Messages; n != messages {
			b.Fatal(n)
		}
		q.Close()
	}
	c.report(b)
}

// BenchmarkMemory prints the bytes of heap that a recipient needs.
func BenchmarkMemory(b *testing.B) {
	for _, recipients := range []int{1, 50} {
		b.Run(fmt.Sprint("recipients=", recipients), func(b *testing.B) {
			for b.Loop() {
				const all = 200_000
				before := heap()
				q := fill(b, b.TempDir(), all/recipients, recipients, 100)
				b.ReportMetric(float64(heap()-before)/all, "heap-B/recipient")
				q.Close()
			}
		})
	}
}

// counting counts what a queue does with the files.
type counting struct {
	queue.FS
	syncs, dirs, writes, reads, bytes atomic.Int64
}

func (c *counting) clear() {
	for _, n := range []*atomic.Int64{&c.syncs, &c.dirs, &c.writes, &c.reads, &c.bytes} {
		n.Store(0)
	}
}

func (c *counting) report(b *testing.B) {
	for unit, n := range map[string]*atomic.Int64{"syncs/op": &c.syncs, "dirsyncs/op": &c.dirs,
		"writes/op": &c.writes, "reads/op": &c.reads, "written-B/op": &c.bytes} {
		b.ReportMetric(float64(n.Load())/float64(b.N), unit)
	}
}

func (c *counting) SyncDir(dir string) error {
	c.dirs.Add(1)
	return c.FS.SyncDir(dir)
}

func (c *counting) Create(name string) (queue.File, error) {
	f, err := c.FS.Create(name)
	return countingFile{f, c}, err
}

func (c *counting) Open(name string) (queue.File, error) {
	f, err := c.FS.Open(name)
	return countingFile{f, c}, err
}

type countingFile struct {
	queue.File
	c *counting
}

func (f countingFile) Sync() error {
	f.c.syncs.Add(1)
	return f.File.Sync()
}

func (f countingFile) WriteAt(p []byte, off int64) (int, error) {
	f.c.writes.Add(1)
	f.c.bytes.Add(int64(len(p)))
	return f.File.WriteAt(p, off)
}

func (f countingFile) ReadAt(p []byte, off int64) (int, error) {
	f.c.reads.Add(1)
	return f.File.ReadAt(p, off)
}
