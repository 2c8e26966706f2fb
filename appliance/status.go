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

// statusFigures returns the figures of a status line. Those of features that the appliance does
// not have are 0.
func (a *Appliance) statusFigures() string {
	used, quota := a.Files.Usage()
	dns := a.Resolver.Stats()
	load, cpu := a.load.read(a.loadStart)
	memory := processMemory()
	decimal := func(n int64) string { return strconv.FormatInt(n, 10) }
	figures := map[string]string{
		"CPULd":   strconv.Itoa(load),
		"TotalLd": strconv.Itoa(load),
		"CPUTTm":  decimal(int64(cpu / time.Second)),
		"CPUETm":  decimal(int64(a.Clock.Since(a.started) / time.Second)),
		"RAMUsd":  decimal(memory),
		"DnsReq":  strconv.FormatUint(dns.Requests, 10),
		"NetReq":  strconv.FormatUint(dns.Network, 10),
		"CchHit":  strconv.FormatUint(dns.Hits, 10),
		"CchMis":  strconv.FormatUint(dns.Misses, 10),
		"CchEct":  strconv.FormatUint(dns.Exceptions, 10),
		"CchExp":  strconv.FormatUint(dns.Expired, 10),
	}
	if all := int64(a.Product.MemoryMB) << 20; all > 0 {
		figures["RAMUtil"] = decimal(min(100*memory/all, 100))
	}
	if quota > 0 {
		free := max(quota-used, 0)
		figures["LogUsd"] = decimal(used * 100 / quota)
		figures["LogAvail"] = logs.FormatDiskSpace(free)
		figures["QKFre"] = decimal(free >> 10) // mail is kept on the same disk
	}
	return logs.StatusLine(a.Product.Version, figures)
}

// SupportReport returns the part of AutoSupport's weekly report about the appliance's state.
func (a *Appliance) SupportReport() string {
	up := a.Clock.Since(a.started)
	return fmt.Sprintf("Up since: %s (%dd %dh %02dm %02ds)\nStatus: %s\n",
		a.Started().In(a.Zone()).Format("Mon Jan _2 15:04:05 2006 MST"),
		up/(24*time.Hour), up/time.Hour%24, up/time.Minute%60, up/time.Second%60, a.statusFigures())
}
