package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// setUpListeners asks for the limits of all listeners together.
func setUpListeners(ctx context.Context, env *shell.Env) error {
	return editSection(env, listener.Section, func(s *listener.Settings) error {
		l := &s.Limits
		return env.Form(ctx,
			shell.Number(&l.Connections, "Enter the global limit for concurrent connections to be "+
				"allowed across\nall listeners.", 1, 1000),
			func(context.Context, shell.Dialogue) error {
				printLimitedPolicies(env, *s)
				return nil
			},
			shell.Number(&l.TLSConnections, "Enter the global limit for concurrent TLS connections to be "+
				"allowed across\nall listeners.", 0, 1000),
			func(context.Context, shell.Dialogue) error {
				if l.TLSConnections > l.Connections {
					env.Printf("Concurrent TLS connections value of %d will be limited to %d by the global\n"+
						"limit for concurrent connections.\n", l.TLSConnections, l.Connections)
				}
				return nil
			},
			shell.Number(&l.HeaderLines,
				"Enter the maximum number of message header lines. 0 indicates no limit.", 0, 100_000),
			periodField(&l.CounterReset,
				"Enter the rate at which injection control counters are reset.", 60),
			periodField(&l.UnsuccessfulTimeout,
				"Enter the timeout for unsuccessful inbound connections.", 1),
			periodField(&l.Total,
				"Enter the maximum connection time for inbound connections.", 1),
			stampedHostname,
		)
	})
}

// printLimitedPolicies names the policies that allow one client more connections than there may be.
func printLimitedPolicies(env *shell.Env, s listener.Settings) {
	for _, l := range s.Listeners {
		for _, p := range l.Hosts.Policies {
			if n := p.Parameters.MaxConnections; n != nil && *n > s.Limits.Connections {
				env.Printf("Listener %s Policy $%s max concurrency value of %d\n"+
					"will be limited to %d by this concurrency setting.\n",
					l.Name, p.Name, *n, s.Limits.Connections)
			}
		}
	}
}

// stampedHostname asks for the name in Received headers, which is that of the interface.
func stampedHostname(ctx context.Context, d shell.Dialogue) error {
	for {
		n, err := d.Choose(ctx, "What hostname should Received: headers be stamped with?", 1,
			"The hostname of the Virtual Gateway(tm) used for delivering the message",
			"The hostname of the interface the message is received on")
		if err != nil || n == 1 {
			return err
		}
		d.PrintWrapped("Virtual gateways are not simulated.")
	}
}

// periodField asks for a number of seconds, in a form such as 90s, 5m or 1h.
func periodField(seconds *int, question string, least int) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		const most = 86_400
		_, err := d.Ask(ctx, question, formatPeriod(*seconds), func(answer string) error {
			if answer == formatPeriod(*seconds) {
				return nil
			}
			span, err := time.ParseDuration(answer)
			if n := int(span / time.Second); err == nil && n >= least && n <= most {
				*seconds = n
				return nil
			}
			return refusal.Newf("The value must be a time from %s to %s, such as 90s, 5m or 1h.",
				formatPeriod(least), formatPeriod(most))
		})
		return err
	}
}

// formatPeriod writes a number of seconds in the largest unit that divides it.
func formatPeriod(seconds int) string {
	switch {
	case seconds%3600 == 0:
		return fmt.Sprintf("%dh", seconds/3600)
	case seconds%60 == 0:
		return fmt.Sprintf("%dm", seconds/60)
	}
	return fmt.Sprintf("%ds", seconds)
}
