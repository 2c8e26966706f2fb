package alert_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/logs"
	smtp "github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/product"
)

// An office is a desk with what it works with.
type office struct {
	*alert.Desk
	t        *testing.T
	file     string
	clock    *clock.Fake
	settings alert.Settings
	version  product.Version

	mu      sync.Mutex
	refuse  error // what Submit returns
	lose    error // what becomes of letters
	letters []smtp.InternalMessage
	log     []string
}

var began = time.Date(2015, 3, 10, 8, 0, 0, 0, time.UTC)

// newOffice opens a desk that writes to joe@example.com, unless change says otherwise.
func newOffice(t *testing.T, change func(*alert.Settings)) *office {
	t.Helper()
	o := &office{
		t: t, file: filepath.Join(t.TempDir(), "state", "alerts"), clock: clock.NewFake(began), settings: alert.DefaultSettings(),
		version: product.Version{Major: 8, Patch: 1, Build: 23},
	}
	o.settings.Recipients = []alert.Recipient{{Address: "joe@example.com"}}
	if change != nil {
		change(&o.settings)
	}
	o.open()
	return o
}

func (o *office) open() {
	o.t.Helper()
	desk, err := alert.Open(alert.Options{
		Clock: o.clock, Rand: entropy.Seeded(1).Stream("alerts"),
		Product:  product.Facts{Model: "C100V", Serial: "A4BADB4712A9-511AA1E", Version: o.version},
		Hostname: func() string { return "mail.example.com" },
		Zone:     func() *time.Location { return time.FixedZone("CEST", 7200) },
		Settings: func() alert.Settings { return o.settings },
		File:     o.file,
		Submit:   o.submit,
		Log: func(l logs.Level, text string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.log = append(o.log, l.String()+": "+text)
		},
		Report: func() string { return "Up since: yesterday\n" },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		o.t.Fatal(err)
	}
	if err := desk.Start(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	o.Desk = desk
	o.t.Cleanup(o.close)
}

func (o *office) close() {
	if err := o.Stop(o.t.Context()); err != nil {
		o.t.Error(err)
	}
}

func (o *office) submit(l smtp.InternalMessage, done func(error)) error {
	o.mu.Lock()
	refuse, lose := o.refuse, o.lose
	if refuse == nil {
		o.letters = append(o.letters, l)
	}
	o.mu.Unlock()
	if refuse == nil {
		done(lose)
	}
	return refuse
}

// sent are the letters so far: how long after the beginning, and how many were held
// back before.
func (o *office) sent() (out []string) {
	o.t.Helper()
	for _, l := range o.letters {
		m := o.parse(l)
		date, err := m.Header.Date()
		if err != nil {
			o.t.Fatal(err)
		}
		held := 0
		if _, rest, ok := strings.Cut(string(l.Data), "\r\nLast message occurred "); ok {
			fmt.Sscan(rest, &held)
		}
		out = append(out, fmt.Sprintf("%v: %d", date.Sub(began), held))
	}
	return out
}

func (o *office) parse(l smtp.InternalMessage) *mail.Message {
	o.t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(string(l.Data)))
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

const trouble = "Log Error: Subscription Mail_Log: Network error while sending log data to syslog server"

func TestRepeatsAreHeldBackForGrowingIntervals(t *testing.T) {
	for name, c := range map[string]struct {
		initial, maximum int
		every, until     time.Duration
		want             []string
	}{
		// logs.md 4.5: intervals of 5, 15, 35, 75 seconds, one after the other.
		"the guide's example": {5, 3600, time.Second, 130 * time.Second, []string{"0s: 0", "5s: 4", "20s: 15", "55s: 35", "2m10s: 75"}},
		"with a maximum":      {5, 60, time.Second, 3 * time.Minute, []string{"0s: 0", "5s: 4", "20s: 15", "55s: 35", "1m55s: 60", "2m55s: 60"}},
		"the defaults":        {300, 3600, time.Minute, 4 * time.Hour, []string{"0s: 0", "5m0s: 4", "20m0s: 15", "55m0s: 35", "1h55m0s: 60", "2h55m0s: 60", "3h55m0s: 60"}},
		"nothing held back":   {0, 3600, 10 * time.Second, 30 * time.Second, []string{"0s: 0", "10s: 0", "20s: 0", "30s: 0"}},
		"an initial above":    {60, 60, 20 * time.Second, 2 * time.Minute, []string{"0s: 0", "1m0s: 2", "2m0s: 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, func(s *alert.Settings) { s.InitialInterval, s.MaximumInterval = c.initial, c.maximum })
			o.Raise(alert.System, alert.Critical, trouble)
			for at := c.every; at <= c.until; at += c.every {
				o.clock.Advance(c.every)
				o.Raise(alert.System, alert.Critical, trouble)
			}
			if diff := cmp.Diff(c.want, o.sent()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAQuietIntervalEndsARow(t *testing.T) {
	o := newOffice(t, nil)
	o.Raise(alert.System, alert.Critical, trouble)
	o.clock.Advance(time.Minute)
	o.Raise(alert.System, alert.Critical, trouble)
	o.clock.Advance(time.Hour) // 300 s: one was held; 900 s more: none was
	o.Raise(alert.System, alert.Critical, trouble)
	o.clock.Advance(time.Hour)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 1", "1h1m0s: 0"}, o.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestAlertsThatDifferAreNoRepeats(t *testing.T) {
	o := newOffice(t, nil)
	o.Raise(alert.System, alert.Critical, trouble)
	o.Raise(alert.System, alert.Warning, trouble)
	o.Raise(alert.Hardware, alert.Critical, trouble)
	o.Raise(alert.System, alert.Critical, trouble+"!")
	if len(o.letters) != 4 {
		t.Errorf("%d letters, want 4", len(o.letters))
	}
}

func TestAStormOfAlertsThatDiffer(t *testing.T) {
	o := newOffice(t, nil)
	for i := range 5000 {
		o.Raise(alert.System, alert.Critical, fmt.Sprint(i))
	}
	o.Raise(alert.System, alert.Critical, "0")
	if len(o.letters) != 5000 {
		t.Errorf("%d letters, want one for each text", len(o.letters))
	}
	if n := len(o.Alerts()); n != 50 {
		t.Errorf("%d alerts are stored, want 50", n)
	}
}

func TestHoldingBackCanBeSwitchedOff(t *testing.T) {
	o := newOffice(t, nil)
	o.Raise(alert.System, alert.Critical, trouble)
	o.Raise(alert.System, alert.Critical, trouble)
	o.settings.InitialInterval = 0
	o.clock.Advance(5 * time.Minute)
	o.Raise(alert.System, alert.Critical, trouble)
	o.Raise(alert.System, alert.Critical, trouble)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 1", "5m0s: 0", "5m0s: 0"}, o.sent()); diff != "" {
		t.Error(diff)
	}
}

// Who changes the intervals need not wait for the end of the old ones.
func TestOtherIntervalsCountAtOnce(t *testing.T) {
	for initial, want := range map[int][]string{
		0:  {"0s: 0", "1m0s: 2", "1m0s: 0"},
		10: {"0s: 0", "1m0s: 2", "1m10s: 1"},
	} {
		o := newOffice(t, nil)
		o.Raise(alert.System, alert.Critical, trouble)
		o.Raise(alert.System, alert.Critical, trouble)
		o.settings.InitialInterval = initial
		o.clock.Advance(time.Minute)
		o.Raise(alert.System, alert.Critical, trouble)
		o.Raise(alert.System, alert.Critical, trouble)
		o.clock.Advance(10 * time.Second)
		if diff := cmp.Diff(want, o.sent()); diff != "" {
			t.Errorf("initial %d: %s", initial, diff)
		}
	}
}

// Who changes them while an interval goes on finds its repeats told at its end, and the
// new ones from then on.
func TestOtherIntervalsCountFromTheNext(t *testing.T) {
	o := newOffice(t, nil)
	o.Raise(alert.System, alert.Critical, trouble)
	o.Raise(alert.System, alert.Critical, trouble)
	o.settings.InitialInterval = 600
	o.clock.Advance(5 * time.Minute)
	o.Raise(alert.System, alert.Critical, trouble)
	o.clock.Advance(10 * time.Minute)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 1", "15m0s: 1"}, o.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestRecipientsGetWhatTheyWant(t *testing.T) {
	o := newOffice(t, func(s *alert.Settings) {
		s.Recipients = []alert.Recipient{
			{Address: "all@example.com"},
			{Address: "system@example.com", Classes: []alert.Class{alert.System}},
			{Address: "grave@example.com", Severities: []alert.Severity{alert.Critical, alert.Warning}},
			{Address: "both@example.com", Classes: []alert.Class{alert.Updater, alert.AntiVirus}, Severities: []alert.Severity{alert.Information}},
		}
	})
	for _, c := range []struct {
		class    alert.Class
		severity alert.Severity
		want     string
	}{
		{alert.System, alert.Critical, "all system grave"},
		{alert.System, alert.Information, "all system"},
		{alert.AntiVirus, alert.Warning, "all grave"},
		{alert.AntiVirus, alert.Information, "all both"},
		{alert.Harvest, alert.Information, "all"},
	} {
		o.letters = nil
		o.Raise(c.class, c.severity, "text")
		var got []string
		for _, l := range o.letters {
			got = append(got, strings.TrimSuffix(l.To, "@example.com"))
			if to := o.parse(l).Header.Get("To"); to != l.To {
				t.Errorf("the header says %s, the envelope %s", to, l.To)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s/%s goes to %v, want %s", c.class, c.severity, got, c.want)
		}
	}
}

func TestWhatWasSentIsLogged(t *testing.T) {
	o := newOffice(t, func(s *alert.Settings) { s.Recipients[0].Address = "alerts@ironport.com" })
	o.Raise(alert.System, alert.Critical, "Log Error: Subscription NNNNN: Network error while sending log data to syslog server")
	o.Raise(alert.AntiVirus, alert.Information, "up to date")
	want := []string{
		// A4, with a subscription of five letters (A26).
		`Info: A System/Critical alert was sent to alerts@ironport.com with subject "Critical <System> mail.example.com: Log Error: Subscription NNNNN: Network error while sending l...".`,
		`Info: A Anti-Virus/Info alert was sent to alerts@ironport.com with subject "Info <Anti-Virus> mail.example.com: up to date".`,
	}
	if diff := cmp.Diff(want, o.log); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasNotSentIsLogged(t *testing.T) {
	const want = `Critical: Error while sending alert: Unable to send System/Warning alert to joe@example.com with subject "Warning <System> mail.example.com: text".`
	for name, fail := range map[string]func(*office){
		"given up": func(o *office) { o.lose = errors.New("no") },
		"refused":  func(o *office) { o.refuse = smtp.ErrFull },
	} {
		o := newOffice(t, nil)
		fail(o)
		o.Raise(alert.System, alert.Warning, "text")
		if diff := cmp.Diff([]string{want}, o.log); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNobodyWantsToKnow(t *testing.T) {
	o := newOffice(t, func(s *alert.Settings) { s.Recipients = nil })
	o.Raise(alert.System, alert.Critical, trouble)
	if len(o.letters) != 0 || len(o.log) != 0 {
		t.Errorf("letters %v, log %v", o.letters, o.log)
	}
	if len(o.Alerts()) != 1 {
		t.Error("the alert is not stored")
	}
}

func TestAutoSupportGetsACopyOfEveryAlert(t *testing.T) {
	o := newOffice(t, func(s *alert.Settings) { s.AutoSupport, s.Recipients = true, nil })
	o.Raise(alert.Updater, alert.Information, "text")
	o.settings.Recipients = []alert.Recipient{{Address: "Alerts@ironport.com"}}
	o.Raise(alert.Updater, alert.Information, "another")
	if len(o.letters) != 2 || o.letters[0].To != alert.VendorAddress || o.letters[1].To != "Alerts@ironport.com" {
		t.Errorf("letters %+v, want one each time", o.letters)
	}
}

func TestAutoSupportReportsEachWeek(t *testing.T) {
	o := newOffice(t, func(s *alert.Settings) {
		s.Recipients = append(s.Recipients, alert.Recipient{Address: "no@example.com", Severities: []alert.Severity{alert.Critical}})
	})
	o.clock.Advance(7 * 24 * time.Hour)
	if len(o.letters) != 0 {
		t.Fatal("a report although AutoSupport is off")
	}
	o.settings.AutoSupport = true
	o.clock.Advance(3 * 24 * time.Hour)
	o.close()
	o.open()
	o.clock.Advance(4*24*time.Hour - time.Second)
	if len(o.letters) != 0 {
		t.Fatal("a report too early")
	}
	o.clock.Advance(time.Second)
	if len(o.letters) != 2 || o.letters[0].To != alert.VendorAddress || o.letters[1].To != "joe@example.com" {
		t.Fatalf("letters %+v", o.letters)
	}
	if want := "AutoSupport from Cisco IronPort C100V, mail.example.com"; o.letters[1].Subject != want {
		t.Errorf("subject %s", o.letters[1].Subject)
	}
	_, text, _ := strings.Cut(string(o.letters[1].Data), "\r\n\r\n")
	if want := "Version: 8.0.1-023\r\nSerial Number: A4BADB4712A9-511AA1E\r\nUp since: yesterday\r\n"; text != want {
		t.Errorf("text %q", text)
	}
	o.settings.AutoSupportCopy = false
	o.clock.Advance(7 * 24 * time.Hour)
	if len(o.letters) != 3 {
		t.Errorf("%d letters, want one more", len(o.letters))
	}
}

func TestTheNewestAlertsSurviveARestart(t *testing.T) {
	o := newOffice(t, func(s *alert.Settings) { s.StoredAlerts = 3 })
	for i := range 5 {
		o.Raise(alert.System, alert.Warning, fmt.Sprint("text ", i))
		o.clock.Advance(time.Second)
	}
	o.Raise(alert.System, alert.Warning, "text 4")
	o.clock.Advance(5 * time.Minute)
	o.close()
	o.open()
	var got []string
	for _, a := range o.Alerts() {
		held := 0
		if a.Repeats != nil {
			held = a.Repeats.Count
		}
		got = append(got, fmt.Sprintf("%s %s/%s %s %d", a.Time.Sub(began), a.Class, a.Severity, a.Text, held))
	}
	want := []string{"5m4s System/Warning text 4 1", "4s System/Warning text 4 0", "3s System/Warning text 3 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAfterStopNothingIsRaised(t *testing.T) {
	o := newOffice(t, nil)
	o.Raise(alert.System, alert.Critical, trouble)
	o.Raise(alert.System, alert.Critical, trouble)
	o.close()
	o.clock.Advance(time.Hour)
	o.Raise(alert.System, alert.Critical, "another")
	if len(o.letters) != 1 {
		t.Errorf("%d letters, want 1", len(o.letters))
	}
}

func TestManyRaiseAtOnce(t *testing.T) {
	o := newOffice(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				o.Raise(alert.System, alert.Critical, trouble)
			}
		})
	}
	all.Wait()
	o.clock.Advance(5 * time.Minute)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 799"}, o.sent()); diff != "" {
		t.Error(diff)
	}
}
