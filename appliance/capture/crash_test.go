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

// childDirVariable is the environment variable that makes the test's process the child, which
// captures into this directory until it is killed.
const childDirVariable = "CAPTURE_TEST_CHILD_DIR"

func TestFileIsReadableAfterAKill(t *testing.T) {
	if dir := os.Getenv(childDirVariable); dir != "" {
		captureUntilKilled(t, dir)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFileIsReadableAfterAKill$")
	cmd.Env = append(os.Environ(), childDirVariable+"="+dir)
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
	_ = cmd.Wait()                // it was killed
	fx := newFixtureIn(t, dir, 0) // repairs the file if the kill interrupted a write
	if n := len(fx.read(filepath.Base(file))); n < 1000 {
		t.Errorf("%d records, want at least the 1000 that were written before the kill", n)
	}
}

// captureUntilKilled prints the name of the file once it holds 1000 frames, and goes on.
func captureUntilKilled(t *testing.T, dir string) {
	fx := newFixtureIn(t, dir, 0)
	file := fx.start(capture.CLI).File
	for i := 0; ; i++ {
		fx.network.send("Data 1", frame(25, i, 100))
		if i == 1000 {
			fx.Status(capture.CLI)
			fmt.Println(filepath.Join("files", diagnostic, file))
		}
		if i > 1000 && i%1000 == 0 {
			fx.Status(capture.CLI)
		}
	}
}

func TestIncompleteRecordsAreCutOffAtRestart(t *testing.T) {
	fx := newFixture(t, 0)
	fx.set(func(s *capture.Settings) { s.SizeMB, s.KeepNewest = 1, true })
	fx.start(capture.CLI)
	for i := range 150 { // a part and a half
		fx.network.send("Data 1", frame(25, i, 1000))
	}
	fx.Status(capture.CLI)
	// The state of the disk in the middle of a write: records are incomplete, and one part
	// has an incomplete header.
	state, err := os.ReadFile(fx.options.StateFile)
	if err != nil {
		t.Fatal(err)
	}
	fx.Close()
	content, err := os.ReadFile(fx.dir + "/files/" + diagnostic + firstName + ".cap")
	if err != nil {
		t.Fatal(err)
	}
	for name, torn := range map[string][]byte{
		"-1.cap": content[:24+3*1016],
		"-2.cap": content[:24+3*1016+500],
		"-3.cap": content[:24+1016+7],
		"-4.cap": content[:5],
	} {
		if err := fx.store.WriteFile(diagnostic+firstName+name, torn); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(fx.options.StateFile, state, 0o600); err != nil {
		t.Fatal(err)
	}
	fx.open()
	var got []string
	for _, name := range fx.list() {
		got = append(got, fmt.Sprintf("%s %d", strings.TrimPrefix(name, firstName), len(fx.read(name))))
	}
	if got, want := strings.Join(got, ", "), "-1.cap 3, -2.cap 3, -3.cap 1, .cap 150"; got != want {
		t.Errorf("after the start: %s, want %s", got, want)
	}
}
