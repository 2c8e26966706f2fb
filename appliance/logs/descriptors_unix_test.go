//go:build unix

package logs_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

// A line that is lost because the process has no free descriptors is not blamed on the disk.
func TestLinesLostForLackOfDescriptors(t *testing.T) {
	h := newHarness(t, 1<<20, nil)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Skip("this system does not let the test lower its limit of open files:", err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }) // if the test fails early
	h.logMail(logs.Information, "one")
	h.flush()
	h.logMail(logs.Information, "two")
	h.flush()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "three")

	_, log, _ := strings.Cut(h.read("mail_logs/mail_logs.current"), header)
	const stamp = "Thu Jun 25 08:50:03 2015 "
	h.want(log, stamp+"Warning: 2 log lines were lost: too many files were open.\n"+
		stamp+"Info: three\n")
	h.want(h.problems, []logs.Problem{{
		Subscription: "mail_logs", Kind: logs.WriteFailed,
		Text: "Log Error: Subscription mail_logs: The log files cannot be written: " +
			"too many files are open",
	}})
}
