package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
)

type (
	// A LogType names one of the appliance's own logs.
	LogType = logs.Type
	// A Level is the severity of an entry.
	Level = logs.Level
)

// The logs that callers write to, and the levels.
const (
	AuthenticationLog = logs.Authentication
	CLILog            = logs.CLI
	FTPLog            = logs.FTP
	GUILog            = logs.GUI
	MailLog           = logs.Mail
	NTPLog            = logs.NTP
	SystemLog         = logs.System

	Critical    = logs.Critical
	Warning     = logs.Warning
	Information = logs.Information
	Debug       = logs.Debug
	Trace       = logs.Trace
)

// Log writes an entry. It does not block.
func (a *Appliance) Log(log LogType, level Level, text string) {
	a.Logs.Write(logs.Entry{Type: log, Level: level, Text: text})
	a.logToOperator(log, level, text)
}

// LogNow is like LogEvent, but the line is usually in its file when LogNow returns: see logs.Hub.WriteNow.
func (a *Appliance) LogNow(cause uint64, log LogType, level Level, text string) {
	a.Logs.WriteNow(logs.Entry{Type: log, Level: level, Text: text, Cause: cause})
	a.logToOperator(log, level, text)
}

// LogEvent is like Log for an entry that tells an event: cause is the event's number.
func (a *Appliance) LogEvent(cause uint64, log LogType, level Level, text string) {
	a.Logs.Write(logs.Entry{Type: log, Level: level, Text: text, Cause: cause})
	a.logToOperator(log, level, text)
}

// publishLine publishes the event that a line is written, and writes it before another event happens:
// the lines of a log are in the order of their events.
func (a *Appliance) publishLine(e logs.Entry, write func()) {
	line := logs.LineWritten{Log: e.Type, Level: e.Level.String(), Text: e.Text}
	if e.Follows {
		events.Follow(a.Events, e.Cause, line)
		write()
	} else {
		events.PublishThen(a.Events, e.Cause, line, write)
	}
}

// logToOperator copies an entry to the program's log, for the person who runs the program. The
// input of administrators is private and left out.
func (a *Appliance) logToOperator(log LogType, level Level, text string) {
	if log == CLILog {
		return
	}
	to := slog.LevelInfo
	switch level {
	case Critical, Warning:
		to = slog.LevelWarn
	case Debug, Trace:
		to = slog.LevelDebug
	}
	a.Logger.Log(context.Background(), to, text, "log", string(log))
}

// openLogs makes the hub and the appliers that follow it.
func (a *Appliance) openLogs(open *logs.OpenFiles) {
	a.Logs = logs.New(logs.Options{
		Files:       a.Files,
		Clock:       a.Clock,
		Product:     a.Product,
		Zone:        a.Zone,
		Hostname:    a.Hostname,
		NewPusher:   a.openPush,
		NewUploader: a.openUpload,
		OnProblem:   a.reportLogProblem,
		OnWrite:     a.publishLine,
		OrderDir:    filepath.Join(a.state, "logs"),
		OpenFiles:   open,
		Logger:      a.Logger,
	}, logs.Section.Get(a.Config.Committed()).List)
	a.Config.AddApplier(a.Logs)
	buffers := pushBuffers{filepath.Join(a.state, pushBufferDir), a.Logger}
	if err := buffers.removeUnused(logs.Section.Get(a.Config.Committed())); err != nil {
		a.Logger.Warn("buffers of logs that are no longer pushed could not be removed", "err", err)
	}
	a.Config.AddApplier(buffers)
	a.status = &statusWriter{clock: a.Clock, logs: a.Logs, config: a.Config, figures: a.statusFigures}
	a.Config.AddApplier(a.status)
	a.Config.AddApplier(commitLogger{a.Config, a.Logs, a.FileHeader, a.Logger})
}

// reportLogProblem writes a log's problem to the mail log or the system log, and raises an alert
// (A7). A failed push is in the mail log already.
func (a *Appliance) reportLogProblem(p logs.Problem) {
	switch p.Kind {
	case logs.PushFailed:
		a.logToOperator(MailLog, Critical, p.Text)
		a.raise("log", alert.System, alert.Critical, p.Text)
	case logs.WriteFailed:
		a.Log(MailLog, Critical, p.Text)
		a.raise("log", alert.System, alert.Critical, p.Text)
	case logs.FilesRemoved:
		a.Log(SystemLog, Information, p.Text)
		a.raise("log", alert.System, alert.Information, p.Text)
	}
}

// pushBufferDir is the folder of the state directory with the lines that wait to be pushed to
// syslog servers: a folder for each log subscription.
const pushBufferDir = "syslog"

// pushBuffers removes the buffers of subscriptions that no longer push: a log that is created
// later under the same name must not send the old lines. As an applier it comes after the hub,
// which ends the pushes.
type pushBuffers struct {
	dir    string
	logger *slog.Logger
}

func (pushBuffers) Apply(context.Context, *config.Config, *config.Config) error { return nil }

func (p pushBuffers) Done(_ context.Context, _, next *config.Config) {
	if err := p.removeUnused(logs.Section.Get(next)); err != nil {
		p.logger.Error("the buffer of a syslog push could not be removed", "err", err)
	}
}

// removeUnused removes the buffers that no subscription of the list uses.
func (p pushBuffers) removeUnused(list logs.Subscriptions) error {
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for buffers of syslog pushes: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if sub := list.Find(e.Name()); sub == nil || sub.Method != logs.Syslog || sub.Push.Buffer == 0 {
			errs = append(errs, os.RemoveAll(filepath.Join(p.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
