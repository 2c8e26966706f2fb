package logs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/product"
)

// The seed's appliance at the seed's moment.
var (
	berlin   = time.FixedZone("CEST", 7200)
	switchOn = time.Date(2015, 6, 25, 8, 50, 3, 0, berlin)
	seed     = product.Facts{Serial: "A4BADB4712A9-511AA1E", Version: product.Version{Major: 8, Minor: 0, Patch: 1, Build: 23}}
)

const header = "Thu Jun 25 08:50:03 2015 Info: Begin Logfile\n" +
	"Thu Jun 25 08:50:03 2015 Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E\n" +
	"Thu Jun 25 08:50:03 2015 Info: Time offset from UTC: 7200 seconds\n"

// A desk is a hub with all that it stands on.
type desk struct {
	*logs.Hub
	t       *testing.T
	clock   *clock.Fake
	files   *files.Store
	options logs.Options

	mu      sync.Mutex
	zone    *time.Location
	trouble []logs.Problem

	onTrouble func() // on the drainer's goroutine; nil: nothing
}

func newDesk(t *testing.T, quota int64, change func(*logs.Options), list ...logs.Subscription) *desk {
	t.Helper()
	d := &desk{t: t, clock: clock.NewFake(switchOn), zone: berlin}
	var err error
	if d.files, err = files.Open(t.TempDir(), quota, d.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.files.Close() })
	d.options = logs.Options{
		Files: d.files, Clock: d.clock, Product: seed,
		Zone: func() *time.Location {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.zone
		},
		Hostname: func() string { return "mail.example.com" },
		OnProblem: func(tr logs.Problem) {
			d.mu.Lock()
			d.trouble = append(d.trouble, tr)
			then := d.onTrouble
			d.mu.Unlock()
			if then != nil {
				then()
			}
		},
	}
	if change != nil {
		change(&d.options)
	}
	d.open(list...)
	return d
}

// open makes the hub, as at power on.
func (d *desk) open(list ...logs.Subscription) {
	d.t.Helper()
	if list == nil {
		list = []logs.Subscription{mailLogs()}
	}
	hub, err := logs.New(d.options, list)
	if err != nil {
		d.t.Fatal(err)
	}
	d.Hub = hub
	d.t.Cleanup(func() { hub.Close(context.Background()) })
}

func mailLogs() logs.Subscription { return logs.NewSubscription("mail_logs", logs.Mail.Spec()) }

func (d *desk) mail(l logs.Level, format string, a ...any) {
	d.Write(logs.Entry{Type: logs.Mail, Level: l, Text: fmt.Sprintf(format, a...)})
}

// flush waits for all files.
func (d *desk) flush() {
	d.t.Helper()
	if err := d.Flush(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) read(name string) string {
	d.t.Helper()
	d.flush()
	b, err := fs.ReadFile(d.files, path.Join(files.Pub, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

// names lists a subscription's files.
func (d *desk) names(subscription string) []string {
	d.t.Helper()
	all, err := d.Files(d.t.Context(), subscription)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := range all {
		all[i] = path.Base(all[i])
	}
	return all
}

func (d *desk) want(got, want any) {
	d.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAFileBeginsWithTheSeedsHeader(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "New SMTP ICID 5 interface Management (10.1.1.1) address 10.1.1.209 reverse dns host remotehost.com verified yes")
	d.want(d.read("mail_logs/mail.@20150625T085003.c"), header+
		"Thu Jun 25 08:50:03 2015 Info: New SMTP ICID 5 interface Management (10.1.1.1) address 10.1.1.209 reverse dns host remotehost.com verified yes\n")
	d.want(d.read("mail_logs/mail.current"), d.read("mail_logs/mail.@20150625T085003.c"))
	second, err := fs.ReadFile(d.files, "var/log/mail_logs/mail.current")
	if err != nil || len(second) == 0 {
		t.Errorf("below its second name: %q, %v", second, err)
	}
}

func TestWhatIsSilentHasNoFile(t *testing.T) {
	d := newDesk(t, 0, nil, logs.DefaultSubscriptions(seed.Version)...)
	d.mail(logs.Information, "one line")
	d.flush()
	var found []string
	err := fs.WalkDir(d.files, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d.want(found, []string{"data/pub/mail_logs/mail.@20150625T085003.c"})
	if _, err := d.files.Stat("data/pub/sntpd_logs"); err != nil {
		t.Errorf("the directory of a silent log is not shown: %v", err)
	}
}

func TestLevelsAndTheirWords(t *testing.T) {
	all := mailLogs()
	all.Level = logs.Trace
	errorsOnly := logs.NewSubscription("error_logs", logs.Mail.Spec())
	errorsOnly.Level = logs.Critical
	d := newDesk(t, 0, nil, all, errorsOnly)
	for _, l := range logs.Levels() {
		d.mail(l, "text")
	}
	const at = "Thu Jun 25 08:50:03 2015 "
	d.want(d.read("mail_logs/mail.current"), header+
		at+"Critical: text\n"+at+"Warning: text\n"+at+"Info: text\n"+at+"Debug: text\n"+at+"Trace: text\n")
	d.want(d.read("error_logs/mail.current"), header+at+"Critical: text\n")
}

func TestTheDayIsPaddedWithABlank(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.Write(logs.Entry{Time: time.Date(2004, 9, 8, 18, 17, 23, 0, berlin), Type: logs.Mail, Level: logs.Information, Text: "x"})
	if got := d.read("mail_logs/mail.@20040908T181723.c"); !strings.HasSuffix(got, "Wed Sep  8 18:17:23 2004 Info: x\n") {
		t.Errorf("got %q", got)
	}
}

func TestAnEntryIsOneLine(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "a\nb\r\n\tc \x1b[2J d\x00\xff é")
	if got := d.read("mail_logs/mail.current"); !strings.HasSuffix(got, `Info: a\nb\r\n\tc \x1b[2J d\x00\xff é`+"\n") {
		t.Errorf("got %q", got)
	}
}

func TestAChangeOfTheOffsetIsALine(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "summer")
	d.mu.Lock()
	d.zone = time.FixedZone("PDT", -25200)
	d.mu.Unlock()
	d.mail(logs.Information, "elsewhere")
	d.want(d.read("mail_logs/mail.current"), header+
		"Thu Jun 25 08:50:03 2015 Info: summer\n"+
		"Wed Jun 24 23:50:03 2015 Info: Time offset from UTC: -25200 seconds\n"+
		"Wed Jun 24 23:50:03 2015 Info: elsewhere\n")
}

func TestNameSuffixes(t *testing.T) {
	conf := mailLogs()
	conf.HostSuffix, conf.SerialSuffix = true, true
	d := newDesk(t, 0, nil, conf)
	d.mail(logs.Information, "x")
	d.want(d.names("mail_logs"), []string{"mail.mail.example.com.A4BADB4712A9-511AA1E.@20150625T085003.c"})
}

func TestARestartGoesOnWithTheFile(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "first life")
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "nobody writes this")
	d.open()
	d.mail(logs.Information, "second life")
	d.want(d.read("mail_logs/mail.@20150625T085003.c"), header+"Thu Jun 25 08:50:03 2015 Info: first life\n"+
		header+"Thu Jun 25 08:50:03 2015 Info: second life\n")
	d.want(d.names("mail_logs"), []string{"mail.@20150625T085003.c"})
}

func TestACrashLeavesWholeLines(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "whole")
	whole := d.read("mail_logs/mail.current")
	d.Close(t.Context())
	f, err := d.files.Append("data/pub/mail_logs/mail.@20150625T085003.c")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("Thu Jun 25 08:50:03 2015 Info: cut in the mid"))
	f.Close()
	d.open()
	d.want(d.read("mail_logs/mail.current"), whole) // before anything is written
	d.mail(logs.Information, "next")
	if got := d.read("mail_logs/mail.current"); !strings.HasPrefix(got, whole+"Thu Jun 25 08:50:03 2015 Info: Begin Logfile\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestAFullDiskCostsNewLinesAndSaysSo(t *testing.T) {
	d := newDesk(t, 10_000, nil)
	if err := d.files.WriteFile("data/pub/configuration/big", make([]byte, 9000)); err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "fits")
	d.flush()
	for range 20 {
		d.mail(logs.Information, "%s", strings.Repeat("x", 100))
		d.flush()
	}
	before := d.read("mail_logs/mail.current")
	kept := strings.Count(before, "xxx\n")
	if kept == 20 || kept == 0 {
		t.Fatalf("%d lines fit", kept)
	}
	d.want(d.LostLines("mail_logs"), 20-kept)
	d.mu.Lock()
	d.want(d.trouble, []logs.Problem{{Subscription: "mail_logs", Kind: logs.DiskFull,
		Text: "Log Error: Subscription mail_logs: The log files cannot be written: the disk is full"}})
	d.mu.Unlock()
	if err := d.files.Remove("data/pub/configuration/big"); err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "room again")
	d.want(d.read("mail_logs/mail.current"), before+
		fmt.Sprintf("Thu Jun 25 08:50:03 2015 Warning: %d log lines were lost: the disk was full.\n", 20-kept)+
		"Thu Jun 25 08:50:03 2015 Info: room again\n")
}

func TestUsersCannotRemoveALog(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "one")
	d.flush()
	area := d.files.Area("admin")
	for what, err := range map[string]error{
		"remove the directory":  area.RemoveDir("/mail_logs"),
		"remove it as a file":   area.Remove("/mail_logs"),
		"rename it":             area.Rename("/mail_logs", "/configuration/x", true),
		"rename the file":       area.Rename("/mail_logs/mail.current", "/configuration/x", true),
		"write to it":           func() error { _, err := area.OpenFile("/mail_logs/mail.current", 2); return err }(),
		"remove the file":       area.Remove("/mail_logs/mail.@20150625T085003.c"),
		"remove it by its link": area.Remove("/mail_logs/mail.current"),
	} {
		if err == nil {
			t.Errorf("%s: nothing says no", what)
		}
	}
	d.mail(logs.Information, "two")
	d.want(d.read("mail_logs/mail.current"), header+"Thu Jun 25 08:50:03 2015 Info: one\nThu Jun 25 08:50:03 2015 Info: two\n")
}

func TestUsersSeeTheCurrentFileUnderBothNames(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "one")
	d.flush()
	list, err := d.files.Area("admin").ReadDir("/mail_logs")
	if err != nil || len(list) != 2 || list[0].Name() != "mail.@20150625T085003.c" || list[1].Name() != "mail.current" ||
		!list[1].Mode().IsRegular() || list[0].Size() != list[1].Size() {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestDocumentsAreFilesOfTheirOwn(t *testing.T) {
	conf := logs.NewSubscription("config_history", logs.ConfigHistory.Spec())
	d := newDesk(t, 0, nil, conf)
	d.WriteDocument(logs.ConfigHistory, []byte("<one/>\n"))
	d.clock.Advance(time.Minute)
	d.WriteDocument(logs.ConfigHistory, []byte("<two/>\n"))
	d.want(d.names("config_history"), []string{"config_history.@20150625T085003.s", "config_history.@20150625T085103.c"})
	d.want(d.read("config_history/config_history.@20150625T085003.s"), "<one/>\n")
	d.want(d.read("config_history/config_history.current"), "<two/>\n")
}

func TestReconfiguring(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "one")
	renamed := mailLogs()
	renamed.File = "post"
	system := logs.NewSubscription("system_logs", logs.System.Spec())
	if err := d.Configure([]logs.Subscription{renamed, system}); err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "two")
	d.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "three"})
	d.want(d.names("mail_logs"), []string{"mail.@20150625T085003.s", "post.@20150625T085003.c"})
	d.want(d.names("system_logs"), []string{"system.@20150625T085003.c"})
	if err := d.Configure([]logs.Subscription{renamed}); err != nil {
		t.Fatal(err)
	}
	d.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "nobody takes this"})
	if _, err := d.Files(t.Context(), "system_logs"); !errors.Is(err, logs.ErrNoSubscription) {
		t.Errorf("a removed log: %v", err)
	}
	const ending = "Info: three\nThu Jun 25 08:50:03 2015 Info: End Logfile\n" // and nobody keeps it from being removed
	if got := d.read("system_logs/system.@20150625T085003.s"); !strings.HasSuffix(got, ending) {
		t.Errorf("the files of a removed log: %q", got)
	}
	if err := d.Configure([]logs.Subscription{renamed, system}); err != nil { // and again
		t.Fatal(err)
	}
	d.Write(logs.Entry{Type: logs.System, Level: logs.Information, Text: "four"})
	const at = "Thu Jun 25 08:50:03 2015 Info: "
	d.want(d.read("system_logs/system.@20150625T085004.c"), header+at+"four\n")
	d.want(d.names("system_logs"), []string{"system.@20150625T085003.s", "system.@20150625T085004.c"})
}

// What a log of this name left under another is finished: it has one current file.
func TestALogThatComesBackUnderAnotherFileName(t *testing.T) {
	d := newDesk(t, 0, nil)
	d.mail(logs.Information, "one")
	if err := d.Configure(nil); err != nil {
		t.Fatal(err)
	}
	renamed := mailLogs()
	renamed.File = "post"
	if err := d.Configure([]logs.Subscription{renamed}); err != nil {
		t.Fatal(err)
	}
	d.mail(logs.Information, "two")
	d.want(d.names("mail_logs"), []string{"mail.@20150625T085003.s", "post.@20150625T085003.c"})
}

// Who wants to read what was written does not wait for what is written meanwhile, without
// end as here: each file that is removed is worth two lines that fill another.
func TestFlushEndsWhileALogIsWritten(t *testing.T) {
	conf := mailLogs()
	conf.MaxSize, conf.MaxFiles, conf.Alert = logs.MinSize, 1, true
	var d *desk
	var busy atomic.Bool
	fill := func() {
		d.mail(logs.Information, "%060000d", 0)
		d.mail(logs.Information, "%060000d", 0)
	}
	d = newDesk(t, 0, func(o *logs.Options) {
		o.OnProblem = func(logs.Problem) {
			if busy.Load() {
				fill()
			}
		}
	}, conf)
	busy.Store(true)
	defer busy.Store(false)
	fill()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := d.Flush(ctx); err != nil {
		t.Error(err)
	}
}

// stick lets the disk take ever so long: the drainer of mail_logs waits in the middle of a
// roll-over, where a saved file is removed, until free is called.
func (d *desk) stick() (free func()) {
	d.t.Helper()
	stuck, goOn := make(chan struct{}), make(chan struct{})
	d.mu.Lock()
	d.onTrouble = sync.OnceFunc(func() {
		close(stuck)
		<-goOn
	})
	d.mu.Unlock()
	d.mail(logs.Information, "before")
	d.flush()
	rolled := make(chan error, 1)
	go func() { rolled <- d.RollOver(d.t.Context(), "mail_logs") }()
	<-stuck
	return func() {
		close(goOn)
		if err := <-rolled; err != nil {
			d.t.Error(err)
		}
	}
}

// narrow keeps one saved file, and tells of the one that makes room for it.
func narrow() logs.Subscription {
	conf := mailLogs()
	conf.MaxFiles, conf.Alert = 1, true
	return conf
}

func TestWhatTheBufferCannotTakeIsCounted(t *testing.T) {
	d := newDesk(t, 0, func(o *logs.Options) { o.Buffer = 4 << 10 }, narrow())
	free := d.stick()
	const n = 1000
	for i := range n {
		d.mail(logs.Information, "%d", i)
	}
	lost := d.LostLines("mail_logs")
	free()
	if lost == 0 {
		t.Fatal("all lines found room: nothing is tested")
	}
	d.flush()
	d.mail(logs.Information, "the end")

	const stamp = "Thu Jun 25 08:50:03 2015 "
	want := header
	for i := range n - lost {
		want += fmt.Sprintf(stamp+"Info: %d\n", i)
	}
	want += fmt.Sprintf(stamp+"Warning: %d log lines were lost: the disk was too slow.\n"+stamp+"Info: the end\n", lost)
	d.want(d.read("mail_logs/"+d.names("mail_logs")[0]), want)
}

func TestManyWriters(t *testing.T) {
	d := newDesk(t, 0, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 500 {
				d.mail(logs.Information, "writer %d line %d", i, k)
			}
		})
	}
	wg.Wait()
	text := d.read("mail_logs/mail.current")
	d.want(strings.Count(text, "\n"), 3+8*500)
	for i := range 8 {
		next := 0
		for line := range strings.Lines(text) {
			var w, k int
			if _, err := fmt.Sscanf(line[24:], " Info: writer %d line %d", &w, &k); err == nil && w == i {
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
	hub, err := logs.New(logs.Options{Files: store, Clock: c, Product: seed, Buffer: 1 << 30}, []logs.Subscription{conf})
	if err != nil {
		b.Fatal(err)
	}
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
