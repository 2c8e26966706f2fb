package appliance

import (
	"context"
	"log/slog"
)

// A LogType names one of the appliance's own logs.
type LogType string

// The logs that are written to. The names are those of the default subscriptions.
const (
	AuthenticationLog LogType = "authentication"
	AuditLog          LogType = "audit_logs"
	CLILog            LogType = "cli_logs"
	FTPLog            LogType = "ftpd_logs"
	SNTPLog           LogType = "sntpd_logs"
	SystemLog         LogType = "system_logs"
)

// A Level is how grave an entry is.
type Level int

// The levels of AsyncOS.
const (
	Critical Level = iota
	Warning
	Information
	Debug
	Trace
)

func (l Level) String() string {
	return [...]string{"Critical", "Warning", "Info", "Debug", "Trace"}[l]
}

// An Entry is a line of one of the appliance's logs.
type Entry struct {
	Log   LogType
	Level Level
	Text  string
}

// Log writes an entry. It does not block.
func (a *Appliance) Log(log LogType, level Level, text string) {
	a.journal(Entry{log, level, text})
}

// operatorJournal shows entries to whoever runs the program.
func operatorJournal(l *slog.Logger) func(Entry) {
	return func(e Entry) {
		level := slog.LevelInfo
		switch e.Level {
		case Critical, Warning:
			level = slog.LevelWarn
		case Debug, Trace:
			level = slog.LevelDebug
		}
		l.Log(context.Background(), level, e.Text, "log", string(e.Log))
	}
}
