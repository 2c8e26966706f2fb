package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Need ends the test by SkipOrFail unless all programs are installed.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		Path(t, p)
	}
}

// Path returns the path of a program that may have several names: of the first name that is
// installed. It also looks into /usr/sbin, where daemons are and which is not in the PATH of
// Debian's users. If the program is not installed, Path ends the test by SkipOrFail.
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

// SkipOrFail ends a test that needs something that the machine does not have. The test is skipped,
// or fails if ESASIM_REQUIRE_TOOLS is 1.
func SkipOrFail(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("ESASIM_REQUIRE_TOOLS") == "1" {
		t.Fatalf(format+", and ESASIM_REQUIRE_TOOLS is 1", args...)
	}
	t.Skipf(format, args...)
}
