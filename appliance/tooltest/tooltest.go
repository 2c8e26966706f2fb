package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Need ends the test, as Missing does, unless all programs are there.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		Path(t, p)
	}
}

// Path returns where the first program is that the machine has, by any of its names.
// Daemons are found also where PATH does not lead, as a user's does not on Debian. It
// ends the test, as Missing does, if there is none.
func Path(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, file := range []string{name, filepath.Join("/usr/sbin", name)} {
			if path, err := exec.LookPath(file); err == nil {
				return path
			}
		}
	}
	SkipOrFail(t, "%s is not installed", strings.Join(names, " or "))
	return ""
}

// Missing ends the test for what the machine does not have: it is skipped, or fails
// where ESASIM_REQUIRE_TOOLS is 1.
func SkipOrFail(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("ESASIM_REQUIRE_TOOLS") == "1" {
		t.Fatalf(format+", and ESASIM_REQUIRE_TOOLS is 1", args...)
	}
	t.Skipf(format, args...)
}
