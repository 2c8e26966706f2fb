package capture_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/capture"
)

const megabyte = 1 << 20

func TestCaptureEndsAtItsSizeLimit(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.SizeMB = 1 })
	fx.start(capture.CLI)
	const fit = (megabyte - 24) / (16 + 1000)
	for i := range fit + 50 {
		fx.network.send("Data 1", frame(25, i, 1000))
	}
	s := fx.awaitEnd(capture.CLI)
	if s.Reason != capture.SizeReached || s.Packets != fit || s.Size > megabyte || s.Dropped != 0 {
		t.Errorf("ended as %+v", s)
	}
	for i, r := range fx.read(s.File) {
		if numberOf(r.frame) != i {
			t.Fatalf("record %d is frame %d", i, numberOf(r.frame))
		}
	}
}

// consecutive returns the numbers of the first and the last frame, and fails the test if a
// frame is missing between them.
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

func TestNewestDataIsKept(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	fx.start(capture.CLI)
	const sent = 3500
	for i := range sent {
		fx.network.send("Data 1", frame(25, i, 1000))
		if i%97 == 0 { // every file is readable, and the size within its limit, at any moment
			if s := fx.Status(capture.CLI); s.Size > megabyte {
				t.Fatalf("%d bytes", s.Size)
			}
			for _, name := range fx.list() {
				fx.read(name)
			}
		}
	}
	fx.Status(capture.CLI)
	if parts := fx.list(); len(parts) != 10 || !slices.Contains(parts, firstName+"-1.cap") ||
		!slices.Contains(parts, firstName+"-10.cap") {
		t.Errorf("parts %q", parts)
	}
	s := fx.stop(capture.CLI)
	if got := fx.list(); !slices.Equal(got, []string{firstName + ".cap"}) || s.File != got[0] ||
		s.Reason != capture.ByUser {
		t.Fatalf("files %q after %+v", got, s)
	}
	recs := fx.read(s.File)
	first, last := consecutive(t, recs)
	if last != sent-1 || first < sent-1040 || first > sent-900 {
		t.Errorf("frames %d to %d of %d were kept", first, last, sent)
	}
}

func TestShortCaptureOfTheNewestDataIsOneFile(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.KeepNewest = true })
	fx.start(capture.CLI)
	fx.network.send("Data 1", frame(25, 0, 64))
	fx.stop(capture.CLI)
	if n := len(fx.read(firstName + ".cap")); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestDeletedPartIsSkippedWhenPartsAreJoined(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	fx.start(capture.CLI)
	for i := range 250 { // two parts and a half
		fx.network.send("Data 1", frame(25, i, 1000))
	}
	fx.Status(capture.CLI)
	if err := fx.store.Remove(diagnostic + firstName + "-1.cap"); err != nil {
		t.Fatal(err)
	}
	s := fx.stop(capture.CLI)
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	if _, last := consecutive(t, fx.read(firstName+".cap")); last != 249 {
		t.Errorf("the last frame is %d", last)
	}
}

func TestFullDiskEndsTheCapture(t *testing.T) {
	fx := newFixture(t, 300_000)
	failures := make(chan capture.Status, 2)
	fx.options.OnFailure = func(s capture.Status) { failures <- s }
	fx.open()
	if err := fx.store.WriteFile(diagnostic+"old.cap", make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	fx.start(capture.CLI)
	for i := range 150 {
		fx.network.send("Data 1", frame(25, i, 1000))
		fx.Status(capture.CLI)
	}
	for i := range 150 {
		fx.network.send("Data 1", frame(25, 150+i, 1000))
	}
	s := fx.awaitEnd(capture.CLI)
	if s.Reason != capture.DiskFull || s.Err == nil ||
		!strings.Contains(s.Reason.String(), "disk space") {
		t.Errorf("ended as %+v", s)
	}
	if _, last := consecutive(t, fx.read(s.File)); last < 149 {
		t.Errorf("the last frame is %d, want at least 149", last)
	}
	if info, err := fx.store.Stat(diagnostic + "old.cap"); err != nil || info.Size() != 100_000 {
		t.Errorf("the file that existed before: %v, %v", info, err)
	}
	if failed := <-failures; failed.File != s.File || failed.Reason != capture.DiskFull {
		t.Errorf("OnFailure was called with %+v", failed)
	}
	if last := fx.Status(capture.CLI); last.Reason != capture.DiskFull {
		t.Errorf("the last status is %+v", last)
	}
}

func TestPartsThatCannotBeJoinedRemain(t *testing.T) {
	fx := newFixture(t, 600_000) // room for five parts and a half
	fx.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	fx.start(capture.CLI)
	for i := range 580 {
		fx.network.send("Data 1", frame(25, i, 1000))
		fx.Status(capture.CLI)
	}
	s := fx.stop(capture.CLI)
	if s.Reason != capture.NotJoined || s.Err == nil {
		t.Errorf("ended as %+v", s)
	}
	var numbers []int
	for _, name := range fx.list() {
		for _, r := range fx.read(name) {
			numbers = append(numbers, numberOf(r.frame))
		}
	}
	slices.Sort(numbers)
	if len(numbers) != 580 || numbers[0] != 0 || numbers[579] != 579 {
		t.Errorf("%d frames are left, want 580", len(numbers))
	}
}

// A capture ends only when there is no space for one more record, however many records are written
// at a time.
func TestCaptureUsesAllSpace(t *testing.T) {
	const quota = 300_000
	fx := newFixture(t, quota)
	fx.start(capture.CLI)
	for i := range 1000 { // several times what is written at a time
		fx.network.send("Data 1", frame(25, i, 1000))
	}
	s := fx.awaitEnd(capture.CLI)
	used, _ := fx.store.Usage()
	if free := quota - used; s.Reason != capture.DiskFull || free >= 1016 {
		t.Errorf("ended as %+v, %d bytes are free", s, free)
	}
	recs := fx.read(s.File)
	if _, last := consecutive(t, recs); last != len(recs)-1 || uint64(len(recs)) != s.Packets {
		t.Errorf("%d records up to frame %d, the status says %d", len(recs), last, s.Packets)
	}
}

// A status names no file that has been deleted.
func TestStatusAfterTheFileWasDeleted(t *testing.T) {
	for _, side := range []capture.Side{capture.CLI, capture.GUI, capture.TCPDump} {
		fx := newFixture(t, 0)
		fx.start(side)
		fx.network.send("Data 1", frame(25, 0, 64))
		s := fx.stop(side)
		if fx.Status(side).File != s.File || s.File == "" {
			t.Errorf("%v: before: %+v", side, fx.Status(side))
		}
		if err := fx.store.Area("joe").Remove("/data/pub/Diagnostic/" + s.File); err != nil {
			t.Fatal(err)
		}
		if s = fx.Status(side); s.File != "" || s.Size != 0 || s.Reason != capture.ByUser {
			t.Errorf("%v: after: %+v", side, s)
		}
		if s = fx.start(side); s.File == "" {
			t.Errorf("%v: the next capture: %+v", side, s)
		}
	}
}
