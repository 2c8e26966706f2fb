package commands

import (
	"cmp"
	"context"
	"slices"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/shell"
)

// anyPush reports whether a running subscription is pushed.
func anyPush(env *shell.Env) bool {
	return slices.ContainsFunc(committedLogs(env), func(s logs.Subscription) bool {
		return s.Method != logs.Manual
	})
}

// A statusRow is a line of a push's status.
type statusRow struct {
	label string
	value any
}

// printPushes prints the status of each push.
func printPushes(_ context.Context, env *shell.Env) error {
	for _, s := range committedLogs(env) {
		var rows []statusRow
		if p, ok := env.Appliance.Logs.PushStats(s.Name); ok {
			rows = syslogRows(s, p)
		} else if p, ok := env.Appliance.Logs.UploadStats(s.Name); ok {
			rows = uploadRows(env, s, p)
		} else {
			continue
		}
		env.Printf("\nLog subscription: %s\n", s.Name)
		for _, row := range rows {
			env.Printf("  %-45s %v\n", row.label+":", row.value)
		}
	}
	return nil
}

func syslogRows(s logs.Subscription, p syslog.Stats) []statusRow {
	state := "Not connected"
	switch {
	case s.Push.Protocol == "udp":
		state = "Datagrams"
	case p.Connected != "":
		state = "Connected to " + p.Connected
	}
	return []statusRow{
		{"Syslog server", s.Push.Host}, {"State", state},
		{"Messages waiting", p.Waiting}, {"Messages sent", p.Sent}, {"Messages sent again", p.Resent},
		{"Messages lost in a broken connection", p.Lost},
		{"Messages dropped because the buffer was full", p.Dropped},
		{"Messages that servers may have lost, at most", p.InDoubt},
		{"Of them at the last break", p.LastInDoubt},
		{"Of these, not read by the server, at most", p.LastUnread},
		{"Connections that the server closed", p.Breaks}, {"Connections that failed", p.Failures},
		{"Last error", cmp.Or(p.LastError, "None")},
	}
}

func uploadRows(env *shell.Env, s logs.Subscription, p upload.Stats) []statusRow {
	return []statusRow{
		{methodTitle(env, s.Method) + " to", s.Remote.Host},
		{"Files waiting", p.Waiting}, {"Files transferred", p.Uploaded},
		{"Attempts that failed", p.Failures},
		{"Last error", cmp.Or(p.LastError, "None")},
	}
}
