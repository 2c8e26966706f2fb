package capture_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/capture"
)

// The variable tells the test's process that it is the one to be killed, and where to
// work.
const victim = "CAPTURE_TEST_VICTIM"

func TestTheFileOpensAfterAKill(t *testing.T) {
	if dir := os.Getenv(victim); dir != "" {
		captureUntilKilled(t, dir)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheFileOpensAfterAKill$")
	cmd.Env = append(os.Environ(), victim+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var file string
	if _, err := fmt.Fscan(out, &file); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()             // it was killed
	b := newBenchIn(t, dir, 0) // mends the file if the kill came in the middle of a write
	if n := len(b.read(filepath.Base(file))); n < 1000 {
		t.Errorf("%d records, want at least the 1000 that were written before the kill", n)
	}
}

// captureUntilKilled prints the name of the file once some frames are in it.
func captureUntilKilled(t *testing.T, dir string) {
	b := newBenchIn(t, dir, 0)
	file := b.start(capture.CLI).File
	for i := 0; ; i++ {
		b.wire.send("Data 1", frame(25, i, 100))
		if i == 1000 {
			b.Status(capture.CLI)
			fmt.Println(filepath.Join("files", diagnostic, file))
		}
		if i > 1000 && i%1000 == 0 {
			b.Status(capture.CLI)
		}
	}
}

func TestATornRecordIsCutOffAtTheNextStart(t *testing.T) {
	b := newBench(t, 0)
	b.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	b.start(capture.CLI)
	for i := range 150 { // a part and a half
		b.wire.send("Data 1", frame(25, i, 1000))
	}
	b.Status(capture.CLI)
	// The state of the disk in the middle of a write: the last record is cut, another
	// part has no whole header yet.
	state, err := os.ReadFile(b.opts.StateFile)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	content, err := os.ReadFile(b.dir + "/files/" + diagnostic + firstName + ".cap")
	if err != nil {
		t.Fatal(err)
	}
	for name, torn := range map[string][]byte{
		"-1.cap": content[:24+3*1016], "-2.cap": content[:24+3*1016+500], "-3.cap": content[:24+1016+7], "-4.cap": content[:5],
	} {
		if err := b.store.WriteFile(diagnostic+firstName+name, torn); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.opts.StateFile, state, 0o600); err != nil {
		t.Fatal(err)
	}
	b.open()
	var got []string
	for _, name := range b.list() {
		got = append(got, fmt.Sprintf("%s %d", strings.TrimPrefix(name, firstName), len(b.read(name))))
	}
	if got, want := strings.Join(got, ", "), "-1.cap 3, -2.cap 3, -3.cap 1, .cap 150"; got != want {
		t.Errorf("after the start: %s, want %s", got, want)
	}
}
