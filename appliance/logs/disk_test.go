package logs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/logs"
)

func TestFullDiskDropsNewLinesAndReportsThem(t *testing.T) {
	h := newHarness(t, 10_000, nil)
	if err := h.files.WriteFile("data/pub/configuration/big", make([]byte, 9000)); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "fits")
	h.flush()
	for range 20 {
		h.logMail(logs.Information, "%s", strings.Repeat("x", 100))
		h.flush()
	}
	before := h.read("mail_logs/mail_logs.current")
	kept := strings.Count(before, "xxx\n")
	if kept == 20 || kept == 0 {
		t.Fatalf("%d lines fit", kept)
	}
	h.want(h.LostLines("mail_logs"), 20-kept)
	h.mu.Lock()
	h.want(h.problems,
		[]logs.Problem{{
			Subscription: "mail_logs", Kind: logs.WriteFailed,
			Text: "Log Error: Subscription mail_logs: The log files cannot be written: the disk is full",
		}})
	h.mu.Unlock()
	if err := h.files.Remove("data/pub/configuration/big"); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "room again")
	h.want(h.read("mail_logs/mail_logs.current"), before+
		fmt.Sprintf("Thu Jun 25 08:50:03 2015 Warning: %d log lines were lost: the disk was full.\n", 20-kept)+
		"Thu Jun 25 08:50:03 2015 Info: room again\n")
}

// Of a burst of lines that does not fit on the disk as a whole, the lines that fit are written, and
// the others are counted.
func TestLinesThatFitAreWritten(t *testing.T) {
	hang := make(chan struct{})
	h := newHarness(t, 4000, func(o *logs.Options) {
		name := o.Hostname
		o.Hostname = func() string { <-hang; return name() } // the drainer calls it
	}, func() logs.Subscription { s := mailLogs(); s.HostSuffix = true; return s }())
	const stamp = "Thu Jun 25 08:50:03 2015 "
	h.logMail(logs.Information, "%0100d", 0)
	for i := range 100 {
		h.logMail(logs.Information, "%0100d", i+1) // one chunk: the drainer waits
	}
	close(hang)
	h.flush()
	want := header
	written := 0
	for line := ""; len(want)+len(line) <= 4000; written++ {
		want += line
		line = stamp + fmt.Sprintf("Info: %0100d\n", written)
	}
	written--
	h.want(h.read("mail_logs/mail_logs.current"), want)
	h.want(h.LostLines("mail_logs"), 101-written)
	h.want(len(h.problems), 1)

	if err := h.files.Reserve(-1000); err != nil { // somebody deletes a file
		t.Fatal(err)
	}
	h.logMail(logs.Information, "last")
	h.want(h.read("mail_logs/mail_logs.current"), want+
		stamp+fmt.Sprintf("Warning: %d log lines were lost: the disk was full.\n", 101-written)+
		stamp+"Info: last\n")
}
