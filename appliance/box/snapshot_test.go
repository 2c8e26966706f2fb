package box_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// fullStateOf is stateOf with what only a snapshot restores.
func fullStateOf(t *testing.T, b *box.Box) map[string]string {
	t.Helper()
	state := stateOf(t, b)
	for _, name := range b.World().MailServers() {
		m, err := b.World().MailServer(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range m.Messages() {
			state["mail"] += x.Subject() + string(x.Data())
		}
		for _, r := range m.Rules().List() {
			state["rules of "+name] += r.Rule.String()
		}
	}
	for _, f := range b.Appliance().Guard.Failing() {
		state["guard"] += f.Address.String()
	}
	return state
}

func setHostname(t *testing.T, b *box.Box, name string) {
	t.Helper()
	d := b.Appliance().Config.NewDraft()
	netconfig.Hostname.Set(d, name)
	if err := b.Appliance().Commit(t.Context(), d, 0, config.CommitInfo{User: "admin", Comment: name}); err != nil {
		t.Fatal(err)
	}
}

func snapshotBox(t *testing.T, dir string) *box.Box {
	t.Helper()
	b := newBox(t, dir, loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	return b
}

// TestSnapshotRestoresTheState: a box returns to a snapshot, and another box to its file, however much
// was changed in between.
func TestSnapshotRestoresTheState(t *testing.T) {
	dir := t.TempDir()
	b := snapshotBox(t, dir)
	useEvents(t, b)
	if err := b.Advance(48 * time.Hour); err != nil {
		t.Fatal(err)
	}
	m, err := b.World().MailServer("mail")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rules().Add(topology.MailRule{Action: "reply", Reply: "550 no", Stage: "rcpt"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), bytes.Repeat([]byte("x"), 1<<20), 0o640); err != nil {
		t.Fatal(err)
	}
	want, doors := fullStateOf(t, b), b.DoorAddrs()
	info, err := b.Snapshot(t.Context(), "used")
	if err != nil || info.Name != "used" || info.Files == 0 || info.Bytes < 1<<20 || info.Model != "C100V" {
		t.Fatalf("%+v, %v", info, err)
	}
	setHostname(t, b, "later.example.com")
	b.Faults().Clear()
	m.Rules().Clear()
	m.Clear()
	b.Appliance().Guard.FreeAll()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if maps.Equal(fullStateOf(t, b), want) {
		t.Fatal("nothing has changed")
	}
	cursor := b.Cursor()
	if err := b.Restore(t.Context(), "used"); err != nil {
		t.Fatal(err)
	}
	if got := fullStateOf(t, b); !maps.Equal(got, want) {
		t.Error("after the restore, -want +got: ", cmp.Diff(want, got))
	}
	if got := b.DoorAddrs(); !maps.Equal(got, doors) {
		t.Errorf("the doors are at %v, want %v", got, doors)
	}
	if e := awaitAfter(t, b, cursor, "world.reset"); e <= cursor {
		t.Errorf("the reset is event %d, after cursor %d", e, cursor)
	}
	if fi, err := os.Stat(filepath.Join(dir, "mine")); err != nil || fi.Size() != 1<<20 || fi.Mode() != 0o640 {
		t.Error(fi, err)
	}
	if n, err := b.Faults().Add(topology.Rule{Action: "drop", Path: "google"}); err != nil || n.ID != 2 {
		t.Errorf("a new fault has number %d, want 2, %v", n.ID, err)
	}
	if err := b.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Snapshots(); len(got) != 1 || got[0] != info {
		t.Errorf("after a reset: %+v", got)
	}

	var file bytes.Buffer
	if err := b.WriteSnapshot("used", &file); err != nil {
		t.Fatal(err)
	}
	other := snapshotBox(t, t.TempDir())
	read, err := other.ReadSnapshot("theirs", &file)
	if info.Name = "theirs"; err != nil || read.Files != info.Files || !read.Saved.Equal(info.Saved) {
		t.Fatalf("%+v, want %+v, %v", read, info, err)
	}
	if err := other.Restore(t.Context(), "theirs"); err != nil {
		t.Fatal(err)
	}
	if got := fullStateOf(t, other); !maps.Equal(got, want) {
		t.Error("in another box, -want +got: ", cmp.Diff(want, got))
	}
	mailThrough(t, other, "ann@example.com") // the queue works
}

// TestSnapshotNames: names are checked, a name is used again, and the number is bounded.
func TestSnapshotNames(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if _, err := b.Snapshot(t.Context(), "x"); !errors.Is(err, netsim.ErrStopped) {
		t.Error(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	var wrong *box.SnapshotError
	for _, name := range []string{"", "7", "a/b", ".x", strings.Repeat("x", 65)} {
		if _, err := b.Snapshot(t.Context(), name); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for range 2 {
		if _, err := b.Snapshot(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	var notFound *netsim.NotFoundError
	for _, err := range []error{
		b.Restore(t.Context(), "y"), b.RemoveSnapshot("y"), b.WriteSnapshot("y", io.Discard),
	} {
		if !errors.As(err, &notFound) {
			t.Error(err)
		}
	}
	var file bytes.Buffer
	if err := b.WriteSnapshot("x", &file); err != nil {
		t.Fatal(err)
	}
	for n := len(b.Snapshots()); n < box.MaxSnapshots; n++ {
		if _, err := b.ReadSnapshot("x"+strings.Repeat("y", n), bytes.NewReader(file.Bytes())); err != nil {
			t.Fatal(n, err)
		}
	}
	var conflict *netsim.ConflictError
	if _, err := b.ReadSnapshot("more", bytes.NewReader(file.Bytes())); !errors.As(err, &conflict) {
		t.Error(err)
	}
	if err := b.RemoveSnapshot("x"); err != nil || len(b.Snapshots()) != box.MaxSnapshots-1 {
		t.Error(err)
	}
}

// changed returns the file of a snapshot with its entries changed.
func changed(t *testing.T, file []byte, change func(h *tar.Header, text []byte) []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	in, out := tar.NewReader(bytes.NewReader(file)), tar.NewWriter(&b)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		text = change(h, text)
		h.Size = int64(len(text))
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBadSnapshots: a file that is damaged or of something else is refused with a text that says so,
// and changes nothing.
func TestBadSnapshots(t *testing.T) {
	b := snapshotBox(t, t.TempDir())
	if _, err := b.Snapshot(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	var buffer bytes.Buffer
	if err := b.WriteSnapshot("good", &buffer); err != nil {
		t.Fatal(err)
	}
	file := buffer.Bytes()
	inManifest := func(old, text string) []byte {
		found := false
		bad := changed(t, file, func(h *tar.Header, x []byte) []byte {
			if h.Name == "manifest.json" {
				found = bytes.Contains(x, []byte(old))
				return bytes.Replace(x, []byte(old), []byte(text), 1)
			}
			return x
		})
		if !found {
			t.Fatalf("the manifest has no %s", old)
		}
		return bad
	}
	renamed := func(to string, kind byte) []byte {
		done := false
		return changed(t, file, func(h *tar.Header, x []byte) []byte {
			if strings.HasPrefix(h.Name, "files/") && h.Typeflag == tar.TypeReg && !done {
				h.Name, h.Typeflag, done = to, kind, true
				if kind == tar.TypeSymlink {
					h.Linkname = "/etc/passwd"
					return nil
				}
			}
			return x
		})
	}
	for name, x := range map[string]struct {
		file []byte
		want string
	}{
		"empty":            {nil, "no snapshot, or only a part of one"},
		"text":             {bytes.Repeat([]byte("no tar"), 500), "no snapshot, or only a part of one"},
		"half":             {file[:len(file)/2], "only a part of one"},
		"without the end":  {file[:len(file)-2048], ""},
		"another format":   {inManifest(`"esasim-snapshot"`, `"other"`), "its manifest is another one"},
		"another number":   {inManifest(`"format_version": 1`, `"format_version": 2`), "has format 2: expected 1"},
		"another model":    {inManifest(`"C100V"`, `"C600"`), "is of a C600 with AsyncOS 14.0.0-698: expected one of a C100V"},
		"another version":  {inManifest(`14.0.0-698`, `12.0.0-1`), "is of a C100V with AsyncOS 12.0.0-1"},
		"another topology": {inManifest(`"topology": "`, `"topology": "0`), "of another topology: expected one with the content of lab"},
		"too many files":   {inManifest(`"entries": `, `"entries": 99999999`), "expected at most 100000"},
		"one file too few": {inManifest(`"entries": `, `"entries": 1`), "only a part of one"},
		"outside":          {renamed("files/../../x", tar.TypeReg), "not one that a snapshot can have"},
		"absolute":         {renamed("/etc/x", tar.TypeReg), "not one that a snapshot can have"},
		"no directory":     {renamed("files/nowhere/x", tar.TypeReg), "not one that a snapshot can have"},
		"a baseline":       {renamed("files/baseline.tar", tar.TypeReg), "not one that a snapshot can have"},
		"link":             {renamed("files/x", tar.TypeSymlink), "neither a file nor a directory"},
		"another name":     {renamed("files/x", tar.TypeReg), "is damaged"},
		"a changed file": {changed(t, file, func(h *tar.Header, x []byte) []byte {
			if strings.HasPrefix(h.Name, "files/") && len(x) > 0 {
				x[0]++
			}
			return x
		}), "is damaged"},
		"a changed state": {changed(t, file, func(h *tar.Header, x []byte) []byte {
			return bytes.Replace(x, []byte(`"last_fault":0`), []byte(`"last_fault":5`), 1)
		}), "is damaged"},
		"an unknown key": {changed(t, file, func(h *tar.Header, x []byte) []byte {
			return bytes.Replace(x, []byte(`{"world":`), []byte(`{"more":1,"world":`), 1)
		}), "state cannot be read"},
	} {
		before := fullStateOf(t, b)
		_, err := b.ReadSnapshot("bad", bytes.NewReader(x.file))
		var wrong *box.SnapshotError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
		if got := fullStateOf(t, b); !maps.Equal(got, before) || len(b.Snapshots()) != 1 {
			t.Errorf("%s: something has changed: %s", name, cmp.Diff(before, got))
		}
	}
	for n := 0; n < len(file); n += 1021 { // torn anywhere
		if _, err := box.CheckSnapshotFile(file[:n]); err == nil && n < len(file)-1536 { // only padding and the end are missing
			t.Fatalf("the first %d of %d bytes are a snapshot", n, len(file))
		}
	}
}

// FuzzReadSnapshot: no file makes the reader fail in another way than with an error, and a file that
// is read has only names below the directory.
func FuzzReadSnapshot(f *testing.F) {
	dir := f.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "x"), []byte("text"), 0o600); err != nil {
		f.Fatal(err)
	}
	file, err := box.SnapshotFileOf(dir)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := box.CheckSnapshotFile(file); err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:1500])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		names, err := box.CheckSnapshotFile(file)
		if err != nil {
			return
		}
		for _, name := range names {
			if !filepath.IsLocal(name) {
				t.Errorf("a file %q", name)
			}
		}
	})
}

// fill puts ten MiB into the directory of a box, in files as a mail log has them.
func fill(tb testing.TB, dir string) {
	tb.Helper()
	for n := range 40 {
		name := filepath.Join(dir, "filler", string(rune('a'+n)))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.Repeat([]byte("line of a log\n"), 256<<10/14), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkRestore10MiB(b *testing.B) {
	dir := b.TempDir()
	x := run(b, box.Options{Dir: dir})
	fill(b, dir)
	if _, err := x.Snapshot(b.Context(), "x"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := x.Restore(b.Context(), "x"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReset10MiB(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir)
	x := run(b, box.Options{Dir: dir})
	for b.Loop() {
		if err := x.Reset(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshot10MiB(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir)
	x := run(b, box.Options{Dir: dir})
	for b.Loop() {
		if _, err := x.Snapshot(b.Context(), "x"); err != nil {
			b.Fatal(err)
		}
	}
}
