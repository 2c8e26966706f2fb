package logs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/product"
)

// The appliance of the seed document, and the time at which its records begin.
var (
	berlin    = time.FixedZone("CEST", 7200)
	startTime = time.Date(2015, 6, 25, 8, 50, 3, 0, berlin)
	seedFacts = product.Facts{
		Serial:  "A4BADB4712A9-511AA1E",
		Version: product.Version{Major: 8, Minor: 0, Patch: 1, Build: 23},
	}
)

const header = "Thu Jun 25 08:50:03 2015 Info: Begin Logfile\n" +
	"Thu Jun 25 08:50:03 2015 Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E\n" +
	"Thu Jun 25 08:50:03 2015 Info: Time offset from UTC: 7200 seconds\n"

// A harness is a hub with its file area, its clock and what it has reported.
type harness struct {
	*logs.Hub
	t       *testing.T
	clock   *clock.Fake
	files   *files.Store
	dir     string // of files
	options logs.Options

	mu       sync.Mutex
	zone     *time.Location
	problems []logs.Problem

	onProblem func() // called in the drainer's goroutine; may be nil
}

func newHarness(t *testing.T, quota int64, change func(*logs.Options),
	list ...logs.Subscription) *harness {
	t.Helper()
	h := &harness{t: t, clock: clock.NewFake(startTime), zone: berlin, dir: t.TempDir()}
	var err error
	if h.files, err = files.Open(h.dir, quota, h.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.files.Close() })
	h.options = logs.Options{
		Files: h.files, Clock: h.clock, Product: seedFacts,
		Zone: func() *time.Location {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.zone
		},
		Hostname: func() string { return "mail.example.com" },
		OnProblem: func(tr logs.Problem) {
			h.mu.Lock()
			h.problems = append(h.problems, tr)
			then := h.onProblem
			h.mu.Unlock()
			if then != nil {
				then()
			}
		},
	}
	if change != nil {
		change(&h.options)
	}
	h.open(list...)
	return h
}

// open makes the hub, as at a start of the appliance.
func (h *harness) open(list ...logs.Subscription) {
	h.t.Helper()
	if list == nil {
		list = []logs.Subscription{mailLogs()}
	}
	hub := logs.New(h.options, list)
	h.Hub = hub
	h.t.Cleanup(func() { hub.Close(context.Background()) })
}

func mailLogs() logs.Subscription { return logs.NewSubscription("mail_logs", logs.Mail.Spec()) }

func (h *harness) logMail(l logs.Level, format string, a ...any) {
	h.Write(logs.Entry{Type: logs.Mail, Level: l, Text: fmt.Sprintf(format, a...)})
}

// flush blocks until all lines are in their files.
func (h *harness) flush() {
	h.t.Helper()
	if err := h.Flush(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) read(name string) string {
	h.t.Helper()
	h.flush()
	b, err := fs.ReadFile(h.files, path.Join(files.Pub, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// names returns the names of a subscription's files.
func (h *harness) names(subscription string) []string {
	h.t.Helper()
	all, err := h.Files(h.t.Context(), subscription)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range all {
		all[i] = path.Base(all[i])
	}
	return all
}

func (h *harness) want(got, want any) {
	h.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFileBeginsWithHeader(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information,
		"New SMTP ICID 5 interface Management (10.1.1.1) address 10.1.1.209 reverse dns host remotehost.com verified yes")
	h.want(h.read("mail_logs/mail_logs.@20150625T085003.c"), header+
		"Thu Jun 25 08:50:03 2015 Info: New SMTP ICID 5 interface Management (10.1.1.1) address 10.1.1.209 reverse dns host remotehost.com verified yes\n")
	h.want(h.read("mail_logs/mail_logs.current"), h.read("mail_logs/mail_logs.@20150625T085003.c"))
	second, err := fs.ReadFile(h.files, "var/log/mail_logs/mail_logs.current")
	if err != nil || len(second) == 0 {
		t.Errorf("under its second name: %q, %v", second, err)
	}
}

func TestSilentLogHasNoFile(t *testing.T) {
	h := newHarness(t, 0, nil, logs.DefaultSubscriptions(seedFacts.Version)...)
	h.logMail(logs.Information, "one line")
	h.flush()
	var found []string
	err := fs.WalkDir(h.files, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.want(found, []string{"data/pub/mail_logs/mail_logs.@20150625T085003.c"})
	if _, err := h.files.Stat("data/pub/sntpd_logs"); err != nil {
		t.Errorf("the directory of a silent log is not shown: %v", err)
	}
}

func TestLevels(t *testing.T) {
	all := mailLogs()
	all.Level = logs.Trace
	errorsOnly := logs.NewSubscription("error_logs", logs.Mail.Spec())
	errorsOnly.Level = logs.Critical
	h := newHarness(t, 0, nil, all, errorsOnly)
	for _, l := range logs.Levels() {
		h.logMail(l, "text")
	}
	const at = "Thu Jun 25 08:50:03 2015 "
	h.want(h.read("mail_logs/mail_logs.current"), header+
		at+"Critical: text\n"+at+"Warning: text\n"+at+"Info: text\n"+at+"Debug: text\n"+at+"Trace: text\n")
	h.want(h.read("error_logs/mail_logs.current"), header+at+"Critical: text\n")
}

func TestDayOfMonthIsPaddedWithBlank(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.Write(logs.Entry{
		Time: time.Date(2004, 9, 8, 18, 17, 23, 0, berlin), Type: logs.Mail,
		Level: logs.Information, Text: "x",
	})
	if got := h.read("mail_logs/mail_logs.@20040908T181723.c"); !strings.HasSuffix(got, "Wed Sep  8 18:17:23 2004 Info: x\n") {
		t.Errorf("got %q", got)
	}
}

func TestEntryIsOneLine(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "a\nb\r\n\tc \x1b[2J d\x00\xff é")
	if got := h.read("mail_logs/mail_logs.current"); !strings.HasSuffix(got, `Info: a\nb\r\n\tc \x1b[2J d\x00\xff é`+"\n") {
		t.Errorf("got %q", got)
	}
}

func TestChangedZoneOffsetIsLogged(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "summer")
	h.mu.Lock()
	h.zone = time.FixedZone("PDT", -25200)
	h.mu.Unlock()
	h.logMail(logs.Information, "elsewhere")
	h.want(h.read("mail_logs/mail_logs.current"), header+
		"Thu Jun 25 08:50:03 2015 Info: summer\n"+
		"Wed Jun 24 23:50:03 2015 Info: Time offset from UTC: -25200 seconds\n"+
		"Wed Jun 24 23:50:03 2015 Info: elsewhere\n")
}

func TestFileNameSuffixes(t *testing.T) {
	conf := mailLogs()
	conf.HostSuffix, conf.SerialSuffix = true, true
	h := newHarness(t, 0, nil, conf)
	h.logMail(logs.Information, "x")
	h.want(h.names("mail_logs"),
		[]string{"mail_logs.mail.example.com.A4BADB4712A9-511AA1E.@20150625T085003.c"})
}

func TestRestartContinuesCurrentFile(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "first run")
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "after the end")
	h.open()
	h.logMail(logs.Information, "second run")
	h.want(h.read("mail_logs/mail_logs.@20150625T085003.c"),
		header+"Thu Jun 25 08:50:03 2015 Info: first run\n"+
			header+"Thu Jun 25 08:50:03 2015 Info: second run\n")
	h.want(h.names("mail_logs"), []string{"mail_logs.@20150625T085003.c"})
}

func TestTornLineIsRemovedAfterCrash(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "whole")
	whole := h.read("mail_logs/mail_logs.current")
	h.Close(t.Context())
	f, err := h.files.Append("data/pub/mail_logs/mail_logs.@20150625T085003.c")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("Thu Jun 25 08:50:03 2015 Info: cut in the mid"))
	f.Close()
	h.open()
	h.want(h.read("mail_logs/mail_logs.current"), whole) // before anything is written
	h.logMail(logs.Information, "next")
	if got := h.read("mail_logs/mail_logs.current"); !strings.HasPrefix(got, whole+"Thu Jun 25 08:50:03 2015 Info: Begin Logfile\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestUsersCannotRemoveLogs(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "one")
	h.flush()
	area := h.files.Area("admin")
	for what, err := range map[string]error{
		"remove the directory": area.RemoveDir("/mail_logs"),
		"remove it as a file":  area.Remove("/mail_logs"),
		"rename it":            area.Rename("/mail_logs", "/configuration/x", true),
		"rename the file":      area.Rename("/mail_logs/mail_logs.current", "/configuration/x", true),
		"write to it": func() error {
			_,
				err := area.OpenFile("/mail_logs/mail_logs.current", 2)
			return err
		}(),
		"remove the file":       area.Remove("/mail_logs/mail_logs.@20150625T085003.c"),
		"remove it by its link": area.Remove("/mail_logs/mail_logs.current"),
	} {
		if err == nil {
			t.Errorf("%s: allowed", what)
		}
	}
	h.logMail(logs.Information, "two")
	h.want(h.read("mail_logs/mail_logs.current"),
		header+"Thu Jun 25 08:50:03 2015 Info: one\nThu Jun 25 08:50:03 2015 Info: two\n")
}

func TestUsersSeeCurrentFileUnderBothNames(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "one")
	h.flush()
	list, err := h.files.Area("admin").ReadDir("/mail_logs")
	if err != nil || len(list) != 2 || list[0].Name() != "mail_logs.@20150625T085003.c" ||
		list[1].Name() != "mail_logs.current" ||
		!list[1].Mode().IsRegular() || list[0].Size() != list[1].Size() {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestEachDocumentIsAFile(t *testing.T) {
	conf := logs.NewSubscription("config_history", logs.ConfigHistory.Spec())
	h := newHarness(t, 0, nil, conf)
	h.WriteDocument(logs.ConfigHistory, []byte("<one/>\n"))
	h.clock.Advance(time.Minute)
	h.WriteDocument(logs.ConfigHistory, []byte("<two/>\n"))
	h.want(h.names("config_history"), []string{
		"config_history.@20150625T085003.s", "config_history.@20150625T085103.c",
	})
	h.want(h.read("config_history/config_history.@20150625T085003.s"), "<one/>\n")
	h.want(h.read("config_history/config_history.current"), "<two/>\n")
}

func TestConfigure(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "one")
	renamed := mailLogs()
	renamed.File = "post"
	system := logs.NewSubscription("system_logs", logs.System.Spec())
	if err := h.Configure([]logs.Subscription{renamed, system}); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "two")
	h.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "three"})
	h.want(h.names("mail_logs"), []string{"mail_logs.@20150625T085003.s", "post.@20150625T085003.c"})
	h.want(h.names("system_logs"), []string{"system_logs.@20150625T085003.c"})
	if err := h.Configure([]logs.Subscription{renamed}); err != nil {
		t.Fatal(err)
	}
	h.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "without a subscription"})
	if _, err := h.Files(t.Context(), "system_logs"); !errors.Is(err, logs.ErrNoSubscription) {
		t.Errorf("a removed log: %v", err)
	}
	const ending = "Info: three\nThu Jun 25 08:50:03 2015 Info: End Logfile\n"
	if got := h.read("system_logs/system_logs.@20150625T085003.s"); !strings.HasSuffix(got, ending) {
		t.Errorf("the files of a removed log: %q", got)
	}
	if err := h.Configure([]logs.Subscription{renamed, system}); err != nil { // created again
		t.Fatal(err)
	}
	h.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "four"})
	const at = "Thu Jun 25 08:50:03 2015 Info: "
	h.want(h.read("system_logs/system_logs.@20150625T085004.c"), header+at+"four\n")
	h.want(h.names("system_logs"), []string{
		"system_logs.@20150625T085003.s", "system_logs.@20150625T085004.c",
	})
}

// A log has one current file: one with an older file name becomes a saved file.
func TestRecreatedLogWithNewFileName(t *testing.T) {
	h := newHarness(t, 0, nil)
	h.logMail(logs.Information, "one")
	if err := h.Configure(nil); err != nil {
		t.Fatal(err)
	}
	renamed := mailLogs()
	renamed.File = "post"
	if err := h.Configure([]logs.Subscription{renamed}); err != nil {
		t.Fatal(err)
	}
	h.logMail(logs.Information, "two")
	h.want(h.names("mail_logs"), []string{"mail_logs.@20150625T085003.s", "post.@20150625T085003.c"})
}

// blockDisk makes the drainer of mail_logs wait in the middle of a roll-over, when it removes a
// saved file, until unblock is called.
func (h *harness) blockDisk() (unblock func()) {
	h.t.Helper()
	blocked, resume := make(chan struct{}), make(chan struct{})
	h.mu.Lock()
	h.onProblem = sync.OnceFunc(func() {
		close(blocked)
		<-resume
	})
	h.mu.Unlock()
	h.logMail(logs.Information, "before")
	h.flush()
	rolled := make(chan error, 1)
	go func() { rolled <- h.RollOver(h.t.Context(), "mail_logs") }()
	<-blocked
	return func() {
		close(resume)
		if err := <-rolled; err != nil {
			h.t.Error(err)
		}
	}
}

// oneSavedFile returns a subscription that keeps one saved file, and reports each file that is
// removed.
func oneSavedFile() logs.Subscription {
	conf := mailLogs()
	conf.MaxFiles, conf.Alert = 1, true
	return conf
}

func TestLinesThatExceedBufferAreCounted(t *testing.T) {
	h := newHarness(t, 0, func(o *logs.Options) { o.Buffer = 4 << 10 }, oneSavedFile())
	unblock := h.blockDisk()
	const n = 1000
	for i := range n {
		h.logMail(logs.Information, "%d", i)
	}
	lost := h.LostLines("mail_logs")
	unblock()
	if lost == 0 {
		t.Fatal("no line was lost: the test tests nothing")
	}
	h.flush()
	h.logMail(logs.Information, "the end")

	const stamp = "Thu Jun 25 08:50:03 2015 "
	want := header
	for i := range n - lost {
		want += fmt.Sprintf(stamp+"Info: %d\n", i)
	}
	want += fmt.Sprintf(stamp+"Warning: %d log lines were lost: the disk was too slow.\n"+stamp+"Info: the end\n", lost)
	h.want(h.read("mail_logs/"+h.names("mail_logs")[0]), want)
}

func TestConcurrentWriters(t *testing.T) {
	h := newHarness(t, 0, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 500 {
				h.logMail(logs.Information, "writer %d line %d", i, k)
			}
		})
	}
	wg.Wait()
	text := h.read("mail_logs/mail_logs.current")
	h.want(strings.Count(text, "\n"), 3+8*500)
	for i := range 8 {
		next := 0
		for line := range strings.Lines(text) {
			var w, k int
			if _, err := fmt.Sscanf(line[24:], " Info: writer %d line %d", &w, &k); err == nil &&
				w == i {
				if k != next {
					t.Fatalf("writer %d: line %d after %d", i, k, next-1)
				}
				next++
			}
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	c := clock.System()
	store, err := files.Open(b.TempDir(), 0, c)
	if err != nil {
		b.Fatal(err)
	}
	conf := mailLogs()
	conf.MaxSize = logs.MaxSize
	hub := logs.New(logs.Options{Files: store, Clock: c, Product: seedFacts, Buffer: 1 << 30},
		[]logs.Subscription{conf})
	defer hub.Close(context.Background())
	const text = "MID 6 ICID 5 RID 0 To: <mary@yourdomain.com>"
	b.SetBytes(int64(len("Thu Jun 25 08:50:03 2015 Info: ") + len(text) + 1))
	b.ReportAllocs()
	for b.Loop() {
		hub.Write(logs.Entry{Type: logs.Mail, Level: logs.Information, Text: text})
	}
	if err := hub.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	if n := hub.LostLines("mail_logs"); n > 0 {
		b.Errorf("%d lines lost", n)
	}
}
