package commands

import (
	"cmp"
	"slices"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/shell"
)

// anyPush reports whether a running subscription is pushed.
func anyPush(env *shell.Env) bool {
	return slices.ContainsFunc(runningLogs(env), func(s logs.Subscription) bool { return s.Method != logs.Manual })
}

// A pushRow is a line of a push's status.
type pushRow struct {
	what  string
	value any
}

// printPushes shows how the pushes fare.
func printPushes(env *shell.Env) {
	for _, s := range runningLogs(env) {
		var rows []pushRow
		if p, ok := env.Appliance.Logs.PushStats(s.Name); ok {
			rows = syslogRows(s, p)
		} else if p, ok := env.Appliance.Logs.UploadStats(s.Name); ok {
			rows = carryRows(env, s, p)
		} else {
			continue
		}
		env.Printf("\nLog subscription: %s\n", s.Name)
		for _, row := range rows {
			env.Printf("  %-45s %v\n", row.what+":", row.value)
		}
	}
}

func syslogRows(s logs.Subscription, p syslog.Stats) []pushRow {
	state := "Not connected"
	switch {
	case s.Push.Protocol == "udp":
		state = "Datagrams"
	case p.Connected != "":
		state = "Connected to " + p.Connected
	}
	return []pushRow{
		{"Syslog server", s.Push.Host}, {"State", state},
		{"Messages waiting", p.Waiting}, {"Messages sent", p.Sent}, {"Messages sent again", p.Resent},
		{"Messages lost in a broken connection", p.Lost}, {"Messages dropped for want of room", p.Dropped},
		{"Messages that servers may have lost, at most", p.InDoubt}, {"Of them at the last break", p.LastInDoubt},
		{"Connections that the server closed", p.Breaks}, {"Connections that failed", p.Failures},
		{"Last trouble", cmp.Or(p.LastError, "None")},
	}
}

func carryRows(env *shell.Env, s logs.Subscription, p upload.Stats) []pushRow {
	return []pushRow{
		{methodTitle(env, s.Method) + " to", s.Remote.Host},
		{"Files waiting", p.Waiting}, {"Files transferred", p.Uploaded},
		{"Attempts that failed", p.Failures},
		{"Last trouble", cmp.Or(p.LastError, "None")},
	}
}
