package commands

import (
	"slices"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/shell"
)

// anyPush reports whether lines of a running subscription are pushed.
func anyPush(env *shell.Env) bool {
	return slices.ContainsFunc(runningLogs(env), func(s logs.Subscription) bool { return s.Method == logs.Syslog })
}

// printPushes shows how the pushes to syslog servers fare.
func printPushes(env *shell.Env) {
	for _, s := range runningLogs(env) {
		p, ok := env.Box.Logs.PushStats(s.Name)
		if !ok {
			continue
		}
		state := "Not connected"
		switch {
		case s.Push.Protocol == "udp":
			state = "Datagrams"
		case p.Connected != "":
			state = "Connected to " + p.Connected
		}
		trouble := p.LastTrouble
		if trouble == "" {
			trouble = "None"
		}
		env.Printf("\nLog subscription: %s\n", s.Name)
		for _, row := range []struct {
			what  string
			value any
		}{
			{"Syslog server", s.Push.Host}, {"State", state},
			{"Messages waiting", p.Waiting}, {"Messages sent", p.Sent}, {"Messages sent again", p.Again},
			{"Messages lost in a broken connection", p.Lost}, {"Messages dropped for want of room", p.Dropped},
			{"Messages that servers may have lost, at most", p.InDoubt}, {"Of them at the last break", p.LastInDoubt},
			{"Connections that the server closed", p.Breaks}, {"Connections that failed", p.Failures},
			{"Last trouble", trouble},
		} {
			env.Printf("  %-45s %v\n", row.what+":", row.value)
		}
	}
}
