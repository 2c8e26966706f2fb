package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "rate",
	Summary: "Monitor message throughput.",
	Help: "rate [seconds]\n\n" + foldHelp("Displays the connections, the recipients over the "+
		"lifetime and since the line before, and the size of the queue, at this interval until "+
		"Ctrl-C is pressed."),
	Source: "public (inline form), cli.md (questions, columns)",
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		seconds := defaultInterval
		var err error
		switch {
		case len(env.Args) > 1:
			err = shell.InvalidArgumentf(printable(env.Args[1]),
				"The only argument is the number of seconds.")
		case len(env.Args) == 1:
			seconds, err = intervalArgument(env.Args[0])
		case !env.Inline:
			err = env.Form(ctx, intervalQuestion(&seconds))
		}
		if err != nil {
			return err
		}
		return displayEvery(ctx, env, seconds, rateHeading, rateLine(env))
	},
})

const rateHeading = "  Time     Connections Recipients          Recipients          Queue\n" +
	"            In   Out   Received   Delta    Completed   Delta   K-Used"

// rateLine returns a function that prints a line. Its differences are to the line before.
func rateLine(env *shell.Env) func() {
	var received, completed uint64
	first := true
	return func() {
		f := env.Appliance.Figures()
		in := f.Counter(metrics.InjectedRecipients).Lifetime
		out := f.Counter(metrics.CompletedRecipients).Lifetime
		if first {
			first, received, completed = false, in, out
		}
		env.Printf(" %s %4d %5d %10d %7d %12d %7d %8d\n", f.Time.Format("15:04:05"),
			f.ConnectionsIn, f.ConnectionsOut, in, in-received, out, out-completed,
			f.Queue.BytesUsed>>10)
		received, completed = in, out
	}
}
