package tooltest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
)

// recordingTB is a testing.TB that records how the test ends. Unlike a test's, its Skipf and Fatalf
// return, so only the first of them counts.
type recordingTB struct {
	testing.TB
	result string
}

func (r *recordingTB) Helper()                        {}
func (r *recordingTB) Skipf(format string, a ...any)  { r.end("skipped: "+format, a) }
func (r *recordingTB) Fatalf(format string, a ...any) { r.end("failed: "+format, a) }

func (r *recordingTB) end(format string, a []any) {
	if r.result == "" {
		r.result = fmt.Sprintf(format, a...)
	}
}

func TestPathOfMissingProgram(t *testing.T) {
	for required, want := range map[string]string{
		"":  "skipped: no-such-a or no-such-b is not installed",
		"1": "failed: no-such-a or no-such-b is not installed, and ESASIM_REQUIRE_TOOLS is 1",
	} {
		t.Setenv("ESASIM_REQUIRE_TOOLS", required)
		r := &recordingTB{TB: t}
		if path := tooltest.Path(r, "no-such-a", "no-such-b"); path != "" || r.result != want {
			t.Errorf("ESASIM_REQUIRE_TOOLS=%s: %q, %q; want %q", required, path, r.result, want)
		}
	}
}

func TestPathOfInstalledProgram(t *testing.T) {
	if path := tooltest.Path(t, "no-such-a", "go"); !strings.Contains(path, "go") {
		t.Errorf("go is at %q", path)
	}
}
