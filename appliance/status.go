package appliance

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/metrics"
)

// A statusWriter writes a status line to the status log and the mail log (logs.md 3.4), as often as
// the committed settings say.
type statusWriter struct {
	clock   clock.Clock
	logs    *logs.Hub
	config  *config.Store
	figures func() string
	timers  clock.Group

	mu        sync.Mutex
	stopped   bool
	stopTimer func() bool // of the next line; nil before start
}

var _ config.Applier = (*statusWriter)(nil)

// start schedules the first line. After stop it does nothing.
func (w *statusWriter) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.schedule()
}

// stop ends the lines. It may be called more than once and without start.
func (w *statusWriter) stop() {
	w.mu.Lock()
	w.stopped = true
	if w.stopTimer != nil {
		w.stopTimer()
	}
	w.mu.Unlock()
	w.timers.Wait()
}

// schedule sets the timer of the next line, in place of the one that is set. It is called with mu
// held.
func (w *statusWriter) schedule() {
	if w.stopped {
		return
	}
	if w.stopTimer != nil {
		w.stopTimer()
	}
	interval := time.Duration(logs.General.Get(w.config.Committed()).MetricsInterval) * time.Second
	w.stopTimer = w.timers.AfterFunc(w.clock, interval, w.write)
}

// write writes a line and schedules the next one.
func (w *statusWriter) write() {
	text := "Status: " + w.figures()
	for _, log := range []LogType{logs.Status, logs.Mail} {
		w.logs.Write(logs.Entry{Type: log, Level: Information, Text: text})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.schedule()
}

func (*statusWriter) Apply(context.Context, *config.Config, *config.Config) error { return nil }

// Done reschedules the next line if the interval has changed.
func (w *statusWriter) Done(_ context.Context, before, next *config.Config) {
	if logs.General.Get(before).MetricsInterval == logs.General.Get(next).MetricsInterval {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopTimer != nil {
		w.schedule()
	}
}

// statusCounters are the tags of the counters in a status line.
func statusCounters() map[string]metrics.Counter {
	return map[string]metrics.Counter{
		"InjMsg":     metrics.InjectedMessages,
		"InjRcp":     metrics.InjectedRecipients,
		"GenBncRcp":  metrics.GeneratedBounces,
		"RejRcp":     metrics.RejectedRecipients,
		"DrpMsg":     metrics.DroppedMessages,
		"SftBncEvnt": metrics.SoftBounces,
		"CmpRcp":     metrics.CompletedRecipients,
		"HrdBncRcp":  metrics.HardBounces,
		"DnsHrdBnc":  metrics.DNSHardBounces,
		"5XXHrdBnc":  metrics.FiveXXHardBounces,
		"FltrHrdBnc": metrics.FilterHardBounces,
		"ExpHrdBnc":  metrics.ExpiredHardBounces,
		"OtrHrdBnc":  metrics.OtherHardBounces,
		"DlvRcp":     metrics.DeliveredRecipients,
		"DelRcp":     metrics.DeletedRecipients,
		"GlbUnsbHt":  metrics.GlobalUnsubscribeHits,
		"InjBytes":   metrics.InjectedBytes,
	}
}

// statusFigures returns the figures of a status line. Those of features that the appliance does
// not have are 0. Counters about mail are those of the lifetime, like the identifiers beside them:
// no public text says which column the line has.
func (a *Appliance) statusFigures() string {
	f := a.Figures()
	dns := a.Resolver.Stats()
	values := map[string]string{
		"LogAvail": logs.FormatDiskSpace(f.LogFree),
	}
	for tag, n := range map[string]uint64{
		"CPULd": uint64(f.CPU), "TotalLd": uint64(f.CPU),
		"CPUTTm": uint64(f.CPUTime / time.Second), "CPUETm": uint64(f.Uptime / time.Second),
		"RAMUsd": uint64(f.Memory), "RAMUtil": uint64(f.RAM), "LogUsd": uint64(f.LogUsed),
		"QKUsd": uint64(f.Queue.BytesUsed >> 10), "QKFre": uint64(f.Queue.BytesFree >> 10),
		"CrtMID": f.MID, "CrtICID": f.ICID, "CrtDCID": f.DCID,
		"ActvRcp": uint64(f.Queue.Recipients), "UnatmptRcp": uint64(f.Queue.Unattempted),
		"AtmptRcp": uint64(f.Queue.Attempted),
		"CrtCncIn": uint64(f.ConnectionsIn), "CrtCncOut": uint64(f.ConnectionsOut),
		"WorkQ": uint64(f.WorkQueue), "DstInMem": uint64(f.Destinations),
		"ResCon": uint64(f.Conservation),
		"DnsReq": dns.Requests, "NetReq": dns.Network, "CchHit": dns.Hits, "CchMis": dns.Misses,
		"CchEct": dns.Exceptions, "CchExp": dns.Expired,
	} {
		values[tag] = strconv.FormatUint(n, 10)
	}
	for tag, c := range statusCounters() {
		values[tag] = strconv.FormatUint(f.Counter(c).Lifetime, 10)
	}
	return logs.StatusLine(a.Product.Version, values)
}

// SupportReport returns the part of AutoSupport's weekly report about the appliance's state.
func (a *Appliance) SupportReport() string {
	up := a.Clock.Since(a.started)
	return fmt.Sprintf("Up since: %s (%dd %dh %02dm %02ds)\nStatus: %s\n",
		a.Started().In(a.Zone()).Format("Mon Jan _2 15:04:05 2006 MST"),
		up/(24*time.Hour), up/time.Hour%24, up/time.Minute%60, up/time.Second%60, a.statusFigures())
}
