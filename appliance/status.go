package appliance

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
)

// A statusApplier has status lines written as often as the committed settings say.
type statusApplier struct{ appliance *Appliance }

func (statusApplier) Apply(context.Context, *config.Config, *config.Config) error { return nil }

func (s statusApplier) Done(_ context.Context, before, next *config.Config) {
	if logs.General.Get(before).MetricsInterval == logs.General.Get(next).MetricsInterval {
		return
	}
	s.appliance.mu.Lock()
	up := s.appliance.up
	s.appliance.mu.Unlock()
	if up {
		s.appliance.scheduleStatusLine()
	}
}

// scheduleStatusLine writes a status line to the status log and the mail log (logs.md 3.4) once
// the configured interval has passed, and schedules the next one. It replaces the earlier
// schedule, if there is one.
func (a *Appliance) scheduleStatusLine() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	if a.stopStatusLines != nil {
		a.stopStatusLines()
	}
	every := time.Duration(logs.General.Get(a.Config.Committed()).MetricsInterval) * time.Second
	a.stopStatusLines = a.Clock.AfterFunc(every, func() {
		text := "Status: " + a.statusFigures()
		for _, log := range []LogType{logs.Status, logs.Mail} {
			a.Logs.Write(logs.Entry{Type: log, Level: Information, Text: text})
		}
		a.scheduleStatusLine()
	})
}

// statusFigures returns the figures of a status line. Those of features that the appliance does
// not have are 0.
func (a *Appliance) statusFigures() string {
	used, quota := a.Files.Usage()
	dns := a.Resolver.Stats()
	figures := map[string]string{
		"CPUETm": strconv.FormatInt(int64(a.Clock.Since(a.started)/time.Second), 10),
		"DnsReq": strconv.FormatUint(dns.Requests, 10),
		"NetReq": strconv.FormatUint(dns.Network, 10),
		"CchHit": strconv.FormatUint(dns.Hits, 10),
		"CchMis": strconv.FormatUint(dns.Misses, 10),
		"CchEct": strconv.FormatUint(dns.Exceptions, 10),
		"CchExp": strconv.FormatUint(dns.Expired, 10),
	}
	if quota > 0 {
		figures["LogUsd"] = strconv.FormatInt(used*100/quota, 10)
		figures["LogAvail"] = logs.FormatDiskSpace(quota - used)
	}
	return logs.StatusLine(a.Product.Version, figures)
}

// SupportReport returns what AutoSupport's weekly report says about the appliance's state.
func (a *Appliance) SupportReport() string {
	up := a.Clock.Since(a.started)
	return fmt.Sprintf("Up since: %s (%dd %dh %02dm %02ds)\nStatus: %s\n",
		a.Started().In(a.Zone()).Format("Mon Jan _2 15:04:05 2006 MST"),
		up/(24*time.Hour), up/time.Hour%24, up/time.Minute%60, up/time.Second%60, a.statusFigures())
}
