package tooltest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/tooltest"
)

// A verdict keeps how a test would have ended.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Helper()                        {}
func (v *verdict) Skipf(format string, a ...any)  { v.end("skipped: "+format, a) }
func (v *verdict) Fatalf(format string, a ...any) { v.end("failed: "+format, a) }

// end does not return to who called, in a test; here the first word counts.
func (v *verdict) end(format string, a []any) {
	if v.said == "" {
		v.said = fmt.Sprintf(format, a...)
	}
}

func TestAMissingProgram(t *testing.T) {
	for required, want := range map[string]string{
		"":  "skipped: no-such-a or no-such-b is not installed",
		"1": "failed: no-such-a or no-such-b is not installed, and ESASIM_REQUIRE_TOOLS is 1",
	} {
		t.Setenv("ESASIM_REQUIRE_TOOLS", required)
		v := &verdict{TB: t}
		if path := tooltest.Path(v, "no-such-a", "no-such-b"); path != "" || v.said != want {
			t.Errorf("ESASIM_REQUIRE_TOOLS=%s: %q, %q; want %q", required, path, v.said, want)
		}
	}
}

func TestAProgramThatIsThere(t *testing.T) {
	if path := tooltest.Path(t, "no-such-a", "go"); !strings.Contains(path, "go") {
		t.Errorf("go is at %q", path)
	}
}
