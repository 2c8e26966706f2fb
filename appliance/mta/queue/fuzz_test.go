package queue_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// FuzzFiles opens a queue whose files have any content. It must open, work, and keep from then on
// the messages that it has recovered.
func FuzzFiles(f *testing.F) {
	fake := newFakeFS(workloadDir)
	q, err := queue.Open(workloadOptions(fake))
	if err != nil {
		f.Fatal(err)
	}
	u := &user{q, newModel(), fake.isDead}
	for range 3 {
		if _, err := u.commit(2, 50); err != nil {
			f.Fatal(err)
		}
	}
	if err := u.update(u.ids[0], deferred(1), queue.Delivered(0), queue.StageDone()); err != nil {
		f.Fatal(err)
	}
	q.Close()
	files := fake.content()
	first, ids := files["0000000000000001.seg"], files["ids"]
	q = mustOpen(f, workloadOptions(fake))
	mustCommit(f, q, envelope(1), 100)
	q.Close()
	f.Add(first, fake.content()["0000000000000002.seg"], ids, []byte("body"))
	f.Add(first, []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, first, second, ids, body []byte) {
		openAnything(t, map[string][]byte{"0000000000000001.seg": first,
			"0000000000000002.seg": second, "ids": ids, "0000000000000003.msg": body})
	})
}

// FuzzRecords is like FuzzFiles, but the checksums of all records are right.
func FuzzRecords(f *testing.F) {
	fake := newFakeFS(workloadDir)
	q := mustOpen(f, workloadOptions(fake))
	small := mustCommit(f, q, envelope(2), 50)
	mustCommit(f, q, envelope(1), queue.SmallBody+1)
	for _, c := range []queue.Change{queue.StageDone(), deferred(0), queue.Redirected(0, "a"),
		queue.Added(2, "b"), queue.Delivered(1), queue.Bounced(2), queue.Deleted(0)} {
		if _, err := q.Update(f.Context(), small, c); err != nil {
			f.Fatal(err)
		}
	}
	q.Close()
	var heads [][]byte
	for b := fake.content()["0000000000000001.seg"][64:]; len(b) > 0; {
		n, body := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
		heads = append(heads, b[24:24+n])
		b = b[24+n+body:]
	}
	for i := range heads {
		f.Add([]byte{1, 1, 3}, heads[0], heads[1], heads[i], uint(50))
		f.Add([]byte{2, 3, 1}, heads[0], heads[i], slices.Concat(heads[1], heads[i]), uint(50))
	}
	f.Fuzz(func(t *testing.T, kinds, a, b, c []byte, bodyLen uint) {
		var records []queue.Record
		for i, head := range [][]byte{a, b, c} {
			r := queue.Record{Head: head}
			if i < len(kinds) {
				r.Kind = kinds[i]
			}
			if i == 0 {
				r.Body = make([]byte, bodyLen%1000)
			}
			records = append(records, r)
		}
		openAnything(t, map[string][]byte{
			"0000000000000001.seg": queue.SegmentFile(1, records...),
			"0000000000000002.msg": make([]byte, queue.SmallBody+1)})
	})
}

// openAnything opens a queue on files, uses it, and opens it again.
func openAnything(t *testing.T, files map[string][]byte) {
	g := withFiles(workloadDir, files)
	q, err := queue.Open(workloadOptions(g))
	if err != nil {
		t.Fatal(err)
	}
	m := newModel()
	mid := mustCommit(t, q, envelope(1), 100)
	if err := checkBody(q, mid, 100); err != nil {
		t.Error(err)
	}
	checkStats(t, q)
	q.Each(func(env *queue.Envelope) bool {
		m.acked[env.MID] = *env
		r, err := q.Body(env.MID)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		return true
	})
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, workloadOptions(g.afterPowerLoss(onlySynced, nil)))
	checkStats(t, q)
	q.Each(func(env *queue.Envelope) bool {
		if normalize(*env) != normalize(m.acked[env.MID]) {
			t.Errorf("%+v, want %+v", env, m.acked[env.MID])
		}
		delete(m.acked, env.MID)
		return true
	})
	for mid := range m.acked {
		t.Errorf("message %d is lost", mid)
	}
}
