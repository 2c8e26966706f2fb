package box_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
	"github.com/esasim/esasim/fixtures"
)

// maildayLines are lines that the mail log of a mailday has, whatever the machine's speed.
var maildayLines = []*regexp.Regexp{
	// The outage of the supplier.
	regexp.MustCompile(`Connection Error: DCID \d+ domain: supplier\.example IP: 203\.0\.113\.40 port: 25 details: `),
	regexp.MustCompile(`REJECT SG \S+ match sbrs\[-10\.0:-3\.0\] SBRS -9\.5 country Netherlands`),
	regexp.MustCompile(`To: <\S+@victim\.example> Rejected by RAT`),
	regexp.MustCompile(`ICID \d+ TLS success protocol`),
	regexp.MustCompile(`DCID \d+ TLS success protocol`),
	regexp.MustCompile(`RELAY SG RELAYLIST match`),
	regexp.MustCompile(`Delayed: DCID \d+ MID \d+ to RID \d+ - 4\.1\.0 - .*Greylisted`),
	regexp.MustCompile(`Bounced: DCID \d+ MID \d+ to RID \d+ - 5\.1\.0 - .*User unknown`),
}

// mailday is topology mailday without traffic from 10:40 on. The supplier's outage lasts until the
// end: on a slow machine, mail for the supplier may not be tried before it would be over.
func mailday(t *testing.T) *topology.Topology {
	t.Helper()
	file, data, _ := fixtures.Topology("mailday")
	topo, err := box.LoadTopology(file, data)
	if err != nil {
		t.Fatal(err)
	}
	const end = 10*60 + 40
	for i := range topo.Traffic.Flows {
		f := &topo.Traffic.Flows[i]
		f.Rates = map[topology.TimeOfDay]topology.MailRate{0: f.RateAt(10 * 60), end: 0}
		f.Rate = 0
	}
	for i := range topo.Traffic.Outages {
		topo.Traffic.Outages[i].For = 23 * time.Hour
	}
	return topo
}

// A playedDay is what was left of a mailday from 10:00 to 10:40.
type playedDay struct {
	flows []traffic.FlowState
	lines []string // of the mail log
	now   metrics.Snapshot
}

// playMailday plays 40 minutes of mailday, which take four seconds or, on a slow machine, longer, and
// goes on until the log has maildayLines. What the run has left has no contradiction.
func playMailday(t *testing.T) playedDay {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	day := &heldClock{start: time.Date(2026, 3, 2, 10, 0, 0, 0, berlin)}
	b, err := box.New(box.Options{
		Topology: mailday(t), Dir: dir, NoDoors: true, Clock: day, ClockRate: 600,
		HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	run := watchRun(b)
	if err := b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := run.tap(); err != nil {
		t.Fatal(err)
	}
	day.release()
	for done := false; !done; {
		done = true
		for _, f := range b.Traffic().Flows() {
			done = done && f.Played > 45 && f.Summary.Done == f.Summary.Offered
		}
		if clock.System().Sleep(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("the traffic does not end: %+v", b.Traffic().Flows())
		}
	}
	for _, want := range maildayLines {
		for !want.MatchString(strings.Join(logLines(t, dir), "\n")) {
			if clock.System().Sleep(ctx, 100*time.Millisecond) != nil {
				t.Fatalf("the mail log has no line %s", want)
			}
		}
	}
	// A connection that is being opened when the appliance stops has a number and no line.
	if r, err := b.Run(ctx, box.Command{Line: "suspenddel 3600"}); err != nil || r.Status != 0 {
		t.Fatalf("suspend deliveries: %+v, %v", r, err)
	}
	if err := b.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	left, err := run.finish(dir)
	if err != nil {
		t.Fatal(err)
	}
	report := left.Check()
	t.Logf("%d events, %d frames", report.Events, report.Frames)
	if err := contradictions(report); err != nil {
		t.Error(err)
	}
	return playedDay{b.Traffic().Flows(), logLines(t, dir), b.Appliance().Metrics.Snapshot()}
}

// logLines returns the lines of the mail log of the appliance in a directory.
func logLines(t *testing.T, dir string) (lines []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "files", "data", "pub", "mail_logs", "mail_logs.@*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("files of the mail log: %q, %v", names, err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// A day of mail at a high rate is logged in the order of time and without gaps, and the counters
// agree with the log.
func TestMailday(t *testing.T) {
	p := playMailday(t)
	checkOrder(t, p.lines)
	checkCounters(t, p)
	checkNumbers(t, p.lines)
	if again := playMailday(t); !t.Failed() {
		for i, f := range p.flows {
			if g := again.flows[i].Summary; g.Digest != f.Summary.Digest || g.Offered != f.Summary.Offered {
				t.Errorf("the second run of %s offers %d messages, %s, the first one %d, %s",
					f.Name, g.Offered, g.Digest, f.Summary.Offered, f.Summary.Digest)
			}
		}
	}
}

// checkOrder checks that the times of the lines do not fall.
func checkOrder(t *testing.T, lines []string) {
	t.Helper()
	last := time.Time{}
	for _, line := range lines {
		at, err := time.Parse("Mon Jan _2 15:04:05 2006", line[:min(24, len(line))])
		if err != nil {
			t.Fatalf("a line without a time: %q", line)
		}
		if at.Before(last) {
			t.Errorf("after a line of %v there is %q", last, line)
		}
		last = at
	}
}

// count returns the number of lines that match a pattern.
func count(lines []string, pattern string) (n uint64) {
	re := regexp.MustCompile(pattern)
	for _, line := range lines {
		if re.MatchString(line) {
			n++
		}
	}
	return n
}

// checkCounters compares what the log tells with the counters, and with what the clients saw.
func checkCounters(t *testing.T, p playedDay) {
	t.Helper()
	aborted := map[string]bool{}
	for _, m := range regexp.MustCompile(`Message aborted (MID \d+) Receiving`).FindAllStringSubmatch(strings.Join(p.lines, "\n"), -1) {
		aborted[m[1]] = true
	}
	var injected, delivered, accepted, refused uint64
	for _, line := range p.lines {
		if m := regexp.MustCompile(` (MID \d+) ICID \d+ RID \d+ To: `).FindStringSubmatch(line); m != nil && !aborted[m[1]] {
			injected++
		}
		if m := regexp.MustCompile(` Message done DCID \d+ MID \d+ to RID \[(.*)\]`).FindStringSubmatch(line); m != nil {
			delivered += uint64(1 + strings.Count(m[1], ","))
		}
	}
	for _, f := range p.flows {
		accepted += uint64(f.Summary.Accepted)
		refused += uint64(f.Summary.RefusedRecipients)
		if f.Summary.Failed > 0 {
			t.Errorf("%s: %d messages failed: %v", f.Name, f.Summary.Failed, f.Summary.Errors)
		}
	}
	ready, generated := count(p.lines, ` MID \d+ ready \d+ bytes`), count(p.lines, ` MID \d+ was generated for bounce of `)
	for what, c := range map[string]struct {
		logged  uint64
		counter metrics.Counter
	}{
		"messages":             {ready, metrics.InjectedMessages},
		"accepted messages":    {accepted + generated, metrics.InjectedMessages},
		"recipients":           {injected, metrics.InjectedRecipients},
		"delivered recipients": {delivered, metrics.DeliveredRecipients},
		"bounces":              {count(p.lines, ` (Bounced: DCID|Double bounce: MID) \d+ `), metrics.HardBounces},
		"delays":               {count(p.lines, ` Delayed: DCID \d+ MID`), metrics.SoftBounces},
		"generated bounces":    {generated, metrics.GeneratedBounces},
		"rejected recipients":  {count(p.lines, ` To: <\S+> Rejected by `), metrics.RejectedRecipients},
		"refused recipients":   {refused, metrics.RejectedRecipients},
	} {
		if got := p.now.Counter(c.counter).Lifetime; got != c.logged {
			t.Errorf("%s: the log and the clients say %d, the counter %s %d", what, c.logged, c.counter.Key(), got)
		}
	}
	if accepted == 0 || delivered == 0 || refused == 0 {
		t.Errorf("%d messages accepted, %d recipients delivered to, %d refused", accepted, delivered, refused)
	}
}

// checkNumbers checks that every connection and message has its lines, so that none was lost.
func checkNumbers(t *testing.T, lines []string) {
	t.Helper()
	if n := count(lines, `log lines were lost`); n > 0 {
		t.Errorf("%d lines say that lines were lost", n)
	}
	text := strings.Join(lines, "\n") + "\n"
	for what, patterns := range map[string][2]string{
		"ICID": {` New SMTP ICID %d interface `, ` ICID %d close\n`},
		"MID":  {` Start MID %d ICID `, ` MID %d (ICID \d+ From: |.*Rejected)`},
		"DCID": {` (New SMTP|Connection Error:) DCID %d `, ` DCID %d[ :]`},
	} {
		last := 0
		for _, m := range regexp.MustCompile(` (?:Start|New SMTP|Connection Error:) `+what+` (\d+)`).FindAllStringSubmatch(text, -1) {
			n, _ := strconv.Atoi(m[1])
			last = max(last, n)
		}
		if last == 0 {
			t.Errorf("there is no %s", what)
		}
		for n := 1; n <= last; n++ {
			for _, pattern := range patterns {
				if !regexp.MustCompile(fmt.Sprintf(pattern, n)).MatchString(text) {
					t.Errorf("of %s %d of %d there is no line %s", what, n, last, pattern)
				}
			}
		}
	}
}
