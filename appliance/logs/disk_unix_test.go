//go:build unix

package logs_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

// limitedVariable is set in the environment of the process whose files cannot grow.
const limitedVariable = "LOGS_TEST_CONFINED"

// If the machine's disk has room for half a line only, nothing of the line is left, and
// the whole lines before it are.
func TestFullMachineDiskLeavesWholeLastLine(t *testing.T) {
	if os.Getenv(limitedVariable) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), limitedVariable+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "%0300d", 0)
	whole := h.read("mail_logs/mail_logs.current")
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	setLimit(&limit.Cur, len(whole)+10)
	setLimit(&limit.Max, len(whole)+10)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := h.RollOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.want(h.read("mail_logs/mail_logs.@20150625T085003.s"), whole)

	for i := range 5 {
		h.logMail(logs.Information, "%0100d", i)
	}
	const stamp = "Thu Jun 25 08:50:03 2015 "
	h.want(h.read("mail_logs/mail_logs.current"), header+
		fmt.Sprintf(stamp+"Info: %0100d\n"+stamp+"Info: %0100d\n", 0, 1))
}

// setLimit sets a limit, whose type depends on the operating system.
func setLimit[T int64 | uint64](limit *T, value int) { *limit = T(value) }
