package alert_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
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
	"github.com/esasim/esasim/appliance/product"
)

// A harness is a desk with a clock and a mail system that keeps the messages.
type harness struct {
	*alert.Desk
	t         *testing.T
	file      string
	clock     *clock.Fake
	settings  alert.Settings
	version   product.Version
	installed time.Time

	mu          sync.Mutex
	submitError error // returned by Submit
	messages    []alert.Message
	log         []string
}

var startTime = time.Date(2015, 3, 10, 8, 0, 0, 0, time.UTC)

// newHarness opens a desk that sends alerts to joe@example.com, unless change says otherwise.
func newHarness(t *testing.T, change func(*alert.Settings)) *harness {
	t.Helper()
	h := &harness{
		t: t, file: filepath.Join(t.TempDir(), "state", "alerts"), clock: clock.NewFake(startTime),
		settings: alert.DefaultSettings(),
		version:  product.Version{Major: 8, Patch: 1, Build: 23},
	}
	h.settings.Recipients = []alert.Recipient{{Address: "joe@example.com"}}
	if change != nil {
		change(&h.settings)
	}
	h.open()
	return h
}

func (h *harness) open() {
	h.t.Helper()
	desk := alert.Open(alert.Options{
		Clock: h.clock, Rand: entropy.Seeded(1).Stream("alerts"),
		Product: product.Facts{Model: "C100V", Serial: "A4BADB4712A9-511AA1E", Version: h.version,
			Installed: h.installed},
		Hostname: func() string { return "mail.example.com" },
		Zone:     func() *time.Location { return time.FixedZone("CEST", 7200) },
		Settings: func() alert.Settings { return h.settings },
		File:     h.file,
		Submit:   h.submit,
		Log: func(_ uint64, l logs.Level, text string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.log = append(h.log, l.String()+": "+text)
		},
		Report: func() string { return "Up since: yesterday\n" },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err := desk.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.Desk = desk
	h.t.Cleanup(h.close)
}

func (h *harness) close() {
	if err := h.Stop(h.t.Context()); err != nil {
		h.t.Error(err)
	}
}

func (h *harness) submit(m alert.Message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.submitError == nil {
		h.messages = append(h.messages, m)
	}
	return h.submitError
}

// sent returns, for each message so far, how long after startTime it was sent and how many
// repeats it mentions.
func (h *harness) sent() (out []string) {
	h.t.Helper()
	for _, m := range h.messages {
		date, err := h.parse(m).Header.Date()
		if err != nil {
			h.t.Fatal(err)
		}
		repeats := 0
		if _, rest, ok := strings.Cut(string(m.Data), "\r\nLast message occurred "); ok {
			fmt.Sscan(rest, &repeats)
		}
		out = append(out, fmt.Sprintf("%v: %d", date.Sub(startTime), repeats))
	}
	return out
}

func (h *harness) parse(m alert.Message) *mail.Message {
	h.t.Helper()
	parsed, err := mail.ReadMessage(strings.NewReader(string(m.Data)))
	if err != nil {
		h.t.Fatal(err)
	}
	return parsed
}

const errorText = "Log Error: Subscription Mail_Log: Network error while sending log data to syslog server"

func TestRepeatsAreHeldBackForGrowingIntervals(t *testing.T) {
	for name, c := range map[string]struct {
		initial, maximum int
		every, until     time.Duration
		want             []string
	}{
		// logs.md 4.5: intervals of 5, 15, 35, 75 seconds, one after the other.
		"the guide's example": {5, 3600, time.Second, 130 * time.Second,
			[]string{"0s: 0", "5s: 4", "20s: 15", "55s: 35", "2m10s: 75"}},
		"with a maximum": {5, 60, time.Second, 3 * time.Minute,
			[]string{"0s: 0", "5s: 4", "20s: 15", "55s: 35", "1m55s: 60", "2m55s: 60"}},
		"the defaults": {300, 3600, time.Minute, 4 * time.Hour,
			[]string{
				"0s: 0", "5m0s: 4",
				"20m0s: 15", "55m0s: 35", "1h55m0s: 60", "2h55m0s: 60", "3h55m0s: 60",
			}},
		"no repeats held back": {0, 3600, 10 * time.Second, 30 * time.Second,
			[]string{"0s: 0", "10s: 0", "20s: 0", "30s: 0"}},
		"initial is maximum": {60, 60, 20 * time.Second, 2 * time.Minute,
			[]string{"0s: 0", "1m0s: 2", "2m0s: 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(s *alert.Settings) {
				s.InitialInterval, s.MaximumInterval = c.initial, c.maximum
			})
			h.Raise(alert.System, alert.Critical, errorText)
			for at := c.every; at <= c.until; at += c.every {
				h.clock.Advance(c.every)
				h.Raise(alert.System, alert.Critical, errorText)
			}
			if diff := cmp.Diff(c.want, h.sent()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestQuietIntervalEndsSeries(t *testing.T) {
	h := newHarness(t, nil)
	h.Raise(alert.System, alert.Critical, errorText)
	h.clock.Advance(time.Minute)
	h.Raise(alert.System, alert.Critical, errorText)
	h.clock.Advance(time.Hour) // one repeat in 300 s, none in the next 900 s
	h.Raise(alert.System, alert.Critical, errorText)
	h.clock.Advance(time.Hour)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 1", "1h1m0s: 0"}, h.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestDifferentAlertsAreNotRepeats(t *testing.T) {
	h := newHarness(t, nil)
	h.Raise(alert.System, alert.Critical, errorText)
	h.Raise(alert.System, alert.Warning, errorText)
	h.Raise(alert.Hardware, alert.Critical, errorText)
	h.Raise(alert.System, alert.Critical, errorText+"!")
	if len(h.messages) != 4 {
		t.Errorf("%d messages, want 4", len(h.messages))
	}
}

func TestManyDifferentAlerts(t *testing.T) {
	h := newHarness(t, nil)
	for i := range 5000 {
		h.Raise(alert.System, alert.Critical, fmt.Sprint(i))
	}
	h.Raise(alert.System, alert.Critical, "0")
	if len(h.messages) != 5000 {
		t.Errorf("%d messages, want one for each text", len(h.messages))
	}
	if n := len(h.Alerts()); n != 50 {
		t.Errorf("%d alerts are stored, want 50", n)
	}
}

func TestHoldingBackCanBeDisabled(t *testing.T) {
	h := newHarness(t, nil)
	h.Raise(alert.System, alert.Critical, errorText)
	h.Raise(alert.System, alert.Critical, errorText)
	h.settings.InitialInterval = 0
	h.clock.Advance(5 * time.Minute)
	h.Raise(alert.System, alert.Critical, errorText)
	h.Raise(alert.System, alert.Critical, errorText)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 1", "5m0s: 0", "5m0s: 0"}, h.sent()); diff != "" {
		t.Error(diff)
	}
}

// Changed intervals apply to the next alert of a series, before the present interval ends.
func TestChangedIntervalsApplyToNextAlert(t *testing.T) {
	for initial, want := range map[int][]string{
		0:  {"0s: 0", "1m0s: 2", "1m0s: 0"},
		10: {"0s: 0", "1m0s: 2", "1m10s: 1"},
	} {
		h := newHarness(t, nil)
		h.Raise(alert.System, alert.Critical, errorText)
		h.Raise(alert.System, alert.Critical, errorText)
		h.settings.InitialInterval = initial
		h.clock.Advance(time.Minute)
		h.Raise(alert.System, alert.Critical, errorText)
		h.Raise(alert.System, alert.Critical, errorText)
		h.clock.Advance(10 * time.Second)
		if diff := cmp.Diff(want, h.sent()); diff != "" {
			t.Errorf("initial %d: %s", initial, diff)
		}
	}
}

// If the intervals change during an interval and no alert follows, the repeats are sent at its
// end, and the new intervals apply from then on.
func TestChangedIntervalsApplyAfterPresentInterval(t *testing.T) {
	h := newHarness(t, nil)
	h.Raise(alert.System, alert.Critical, errorText)
	h.Raise(alert.System, alert.Critical, errorText)
	h.settings.InitialInterval = 600
	h.clock.Advance(5 * time.Minute)
	h.Raise(alert.System, alert.Critical, errorText)
	h.clock.Advance(10 * time.Minute)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 1", "15m0s: 1"}, h.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestRecipientsGetChosenClassesAndSeverities(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) {
		s.Recipients = []alert.Recipient{
			{Address: "all@example.com"},
			{Address: "system@example.com", Classes: []alert.Class{alert.System}},
			{Address: "grave@example.com", Severities: []alert.Severity{
				alert.Critical, alert.Warning,
			}},
			{
				Address: "both@example.com", Classes: []alert.Class{alert.Updater, alert.AntiVirus},
				Severities: []alert.Severity{alert.Information},
			},
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
		h.messages = nil
		h.Raise(c.class, c.severity, "text")
		var got []string
		for _, m := range h.messages {
			got = append(got, strings.TrimSuffix(m.To, "@example.com"))
			if to := h.parse(m).Header.Get("To"); to != m.To {
				t.Errorf("the header says %s, the envelope %s", to, m.To)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s/%s goes to %v, want %s", c.class, c.severity, got, c.want)
		}
	}
}

// TestMessagesSayWhatTheyAreAbout: the log lines about a message are made from its fields (A4, with
// a subscription of five letters, A26).
func TestMessagesSayWhatTheyAreAbout(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) { s.Recipients[0].Address = "alerts@ironport.com" })
	h.Raise(alert.System, alert.Critical,
		"Log Error: Subscription NNNNN: Network error while sending log data to syslog server")
	h.Raise(alert.AntiVirus, alert.Information, "up to date")
	want := []string{
		"System/Critical alert: Critical <System> mail.example.com: Log Error: Subscription NNNNN: " +
			"Network error while sending l...",
		"Anti-Virus/Info alert: Info <Anti-Virus> mail.example.com: up to date",
	}
	var got []string
	for _, m := range h.messages {
		got = append(got, m.About+": "+m.Subject)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(h.log) != 0 {
		t.Errorf("the desk logs %q", h.log)
	}
}

func TestRefusedAlertIsLogged(t *testing.T) {
	const want = `Critical: Error while sending alert: Unable to send System/Warning alert to joe@example.com with subject "Warning <System> mail.example.com: text".`
	h := newHarness(t, nil)
	h.submitError = errors.New("full")
	h.Raise(alert.System, alert.Warning, "text")
	if diff := cmp.Diff([]string{want}, h.log); diff != "" {
		t.Error(diff)
	}
}

func TestAlertWithoutRecipientIsStored(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) { s.Recipients = nil })
	h.Raise(alert.System, alert.Critical, errorText)
	if len(h.messages) != 0 || len(h.log) != 0 {
		t.Errorf("messages %v, log %v", h.messages, h.log)
	}
	if len(h.Alerts()) != 1 {
		t.Error("the alert is not stored")
	}
}

func TestAutoSupportGetsCopyOfEveryAlert(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) { s.AutoSupport, s.Recipients = true, nil })
	h.Raise(alert.Updater, alert.Information, "text")
	h.settings.Recipients = []alert.Recipient{{Address: "Alerts@ironport.com"}}
	h.Raise(alert.Updater, alert.Information, "another")
	if len(h.messages) != 2 || h.messages[0].To != alert.VendorAddress || h.messages[1].To != "Alerts@ironport.com" {
		t.Errorf("messages %+v, want one each time", h.messages)
	}
}

// A first start writes no file, and a process that was killed comes to the same date of the report:
// a week after the installation.
func TestFirstReportIsDueAWeekAfterInstallation(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) { s.AutoSupport = true })
	if _, err := os.Stat(h.file); !os.IsNotExist(err) {
		t.Errorf("the start has written a file (%v)", err)
	}
	h.installed = startTime
	h.clock.Advance(24 * time.Hour)
	killed := h.Desk
	h.open()
	killed.Stop(t.Context())
	h.clock.Advance(6*24*time.Hour - time.Second)
	if len(h.messages) != 0 {
		t.Fatal("the report is too early")
	}
	h.clock.Advance(time.Second)
	if len(h.messages) == 0 {
		t.Fatal("the report is too late")
	}
}

func TestAutoSupportReportsWeekly(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) {
		s.Recipients = append(s.Recipients, alert.Recipient{
			Address: "no@example.com", Severities: []alert.Severity{alert.Critical},
		})
	})
	h.clock.Advance(7 * 24 * time.Hour)
	if len(h.messages) != 0 {
		t.Fatal("there is a report although AutoSupport is off")
	}
	h.settings.AutoSupport = true
	h.clock.Advance(3 * 24 * time.Hour)
	h.close()
	h.open()
	h.clock.Advance(4*24*time.Hour - time.Second)
	if len(h.messages) != 0 {
		t.Fatal("the report is too early")
	}
	h.clock.Advance(time.Second)
	if len(h.messages) != 2 || h.messages[0].To != alert.VendorAddress || h.messages[1].To != "joe@example.com" {
		t.Fatalf("messages %+v", h.messages)
	}
	if want := "AutoSupport from Cisco IronPort C100V, mail.example.com"; h.messages[1].Subject != want {
		t.Errorf("subject %s", h.messages[1].Subject)
	}
	_, text, _ := strings.Cut(string(h.messages[1].Data), "\r\n\r\n")
	if want := "Version: 8.0.1-023\r\nSerial Number: A4BADB4712A9-511AA1E\r\nUp since: yesterday\r\n"; text != want {
		t.Errorf("text %q", text)
	}
	h.settings.AutoSupportCopy = false
	h.clock.Advance(7 * 24 * time.Hour)
	if len(h.messages) != 3 {
		t.Errorf("%d messages, want one more", len(h.messages))
	}
}

func TestNewestAlertsSurviveRestart(t *testing.T) {
	h := newHarness(t, func(s *alert.Settings) { s.StoredAlerts = 3 })
	for i := range 5 {
		h.Raise(alert.System, alert.Warning, fmt.Sprint("text ", i))
		h.clock.Advance(time.Second)
	}
	h.Raise(alert.System, alert.Warning, "text 4")
	h.clock.Advance(5 * time.Minute)
	h.close()
	h.open()
	var got []string
	for _, a := range h.Alerts() {
		repeats := 0
		if a.Repeats != nil {
			repeats = a.Repeats.Count
		}
		got = append(got, fmt.Sprintf("%s %s/%s %s %d", a.Time.Sub(startTime), a.Class, a.Severity,
			a.Text, repeats))
	}
	want := []string{
		"5m4s System/Warning text 4 1", "4s System/Warning text 4 0", "3s System/Warning text 3 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAlertsAfterStopAreDropped(t *testing.T) {
	h := newHarness(t, nil)
	h.Raise(alert.System, alert.Critical, errorText)
	h.Raise(alert.System, alert.Critical, errorText)
	h.close()
	h.clock.Advance(time.Hour)
	h.Raise(alert.System, alert.Critical, "another")
	if len(h.messages) != 1 {
		t.Errorf("%d messages, want 1", len(h.messages))
	}
}

func TestConcurrentRaise(t *testing.T) {
	h := newHarness(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				h.Raise(alert.System, alert.Critical, errorText)
			}
		})
	}
	all.Wait()
	h.clock.Advance(5 * time.Minute)
	if diff := cmp.Diff([]string{"0s: 0", "5m0s: 799"}, h.sent()); diff != "" {
		t.Error(diff)
	}
}
