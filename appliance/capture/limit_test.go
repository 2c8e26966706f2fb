package capture_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/capture"
)

const megabyte = 1 << 20

func TestACaptureStopsAtItsSize(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.SizeMB = 1 })
	b.start(capture.CLI)
	const fit = (megabyte - 24) / (16 + 1000)
	for i := range fit + 50 {
		b.wire.send("Data 1", frame(25, i, 1000))
	}
	s := b.ended(capture.CLI)
	if s.Reason != capture.SizeReached || s.Packets != fit || s.Size > megabyte || s.Dropped != 0 {
		t.Errorf("ended as %+v", s)
	}
	for i, r := range b.read(s.File) {
		if numberOf(r.frame) != i {
			t.Fatalf("record %d is frame %d", i, numberOf(r.frame))
		}
	}
}

// consecutive reports the first and the last frame's number, which must be of one row.
func consecutive(t *testing.T, recs []record) (first, last int) {
	t.Helper()
	first = numberOf(recs[0].frame)
	for i, r := range recs {
		if numberOf(r.frame) != first+i {
			t.Fatalf("frame %d follows %d", numberOf(r.frame), first+i-1)
		}
	}
	return first, first + len(recs) - 1
}

func TestTheNewestDataIsKept(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	b.start(capture.CLI)
	const sent = 3500
	for i := range sent {
		b.wire.send("Data 1", frame(25, i, 1000))
		if i%97 == 0 { // at any moment every file is whole and the size is kept
			if s := b.Status(capture.CLI); s.Size > megabyte {
				t.Fatalf("%d bytes", s.Size)
			}
			for _, name := range b.list() {
				b.read(name)
			}
		}
	}
	b.Status(capture.CLI)
	if parts := b.list(); len(parts) != 10 || !slices.Contains(parts, firstName+"-1.cap") || !slices.Contains(parts, firstName+"-10.cap") {
		t.Errorf("parts %q", parts)
	}
	s := b.stop(capture.CLI)
	if got := b.list(); !slices.Equal(got, []string{firstName + ".cap"}) || s.File != got[0] || s.Reason != capture.ByUser {
		t.Fatalf("files %q after %+v", got, s)
	}
	recs := b.read(s.File)
	first, last := consecutive(t, recs)
	if last != sent-1 || first < sent-1040 || first > sent-900 {
		t.Errorf("frames %d to %d of %d were kept", first, last, sent)
	}
}

func TestAShortCaptureOfTheNewestDataIsOneFile(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.KeepNewest = true })
	b.start(capture.CLI)
	b.wire.send("Data 1", frame(25, 0, 64))
	b.stop(capture.CLI)
	if n := len(b.read(firstName + ".cap")); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestADeletedPartIsMissedByNobody(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	b.start(capture.CLI)
	for i := range 250 { // two parts and a half
		b.wire.send("Data 1", frame(25, i, 1000))
	}
	b.Status(capture.CLI)
	if err := b.store.Remove(diagnostic + firstName + "-1.cap"); err != nil {
		t.Fatal(err)
	}
	s := b.stop(capture.CLI)
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	if _, last := consecutive(t, b.read(firstName+".cap")); last != 249 {
		t.Errorf("the last frame is %d", last)
	}
}

func TestAFullDiskEndsTheCapture(t *testing.T) {
	b := newBench(t, 300_000)
	told := make(chan capture.Status, 2)
	b.opts.OnFailure = func(s capture.Status) { told <- s }
	b.open()
	if err := b.store.WriteFile(diagnostic+"old.cap", make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	b.start(capture.CLI)
	for i := range 150 {
		b.wire.send("Data 1", frame(25, i, 1000))
		b.Status(capture.CLI)
	}
	for i := range 150 {
		b.wire.send("Data 1", frame(25, 150+i, 1000))
	}
	s := b.ended(capture.CLI)
	if s.Reason != capture.DiskFull || s.Err == nil || !strings.Contains(s.Reason.String(), "disk space") {
		t.Errorf("ended as %+v", s)
	}
	if _, last := consecutive(t, b.read(s.File)); last < 149 {
		t.Errorf("the last frame is %d: something that was there is lost", last)
	}
	if info, err := b.store.Stat(diagnostic + "old.cap"); err != nil || info.Size() != 100_000 {
		t.Errorf("what was there before: %v, %v", info, err)
	}
	if trouble := <-told; trouble.File != s.File || trouble.Reason != capture.DiskFull {
		t.Errorf("told of %+v", trouble)
	}
	if again := b.Status(capture.CLI); again.Reason != capture.DiskFull {
		t.Errorf("the last status is %+v", again)
	}
}

func TestPartsThatCannotBeJoinedStay(t *testing.T) {
	b := newBench(t, 600_000) // room for five parts and a half
	b.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	b.start(capture.CLI)
	for i := range 580 {
		b.wire.send("Data 1", frame(25, i, 1000))
		b.Status(capture.CLI)
	}
	s := b.stop(capture.CLI)
	if s.Reason != capture.NotJoined || s.Err == nil {
		t.Errorf("ended as %+v", s)
	}
	var numbers []int
	for _, name := range b.list() {
		for _, r := range b.read(name) {
			numbers = append(numbers, numberOf(r.frame))
		}
	}
	slices.Sort(numbers)
	if len(numbers) != 580 || numbers[0] != 0 || numbers[579] != 579 {
		t.Errorf("%d frames are left", len(numbers))
	}
}
