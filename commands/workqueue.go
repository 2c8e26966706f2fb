package commands

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "workqueue",
	Summary: "Display and change the status of the work queue.",
	Help:    "workqueue status|pause|resume\nworkqueue rate [seconds]",
	Source:  "cli.md",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 1 && strings.EqualFold(env.Args[0], "rate") {
			return workQueueRateInline(ctx, env)
		}
		if len(env.Args) > 0 {
			return runInline(ctx, env.Args, workQueueMenu(env))
		}
		if env.Inline {
			printWorkQueue(env)
			return nil
		}
		return env.Menu(ctx, func() shell.Menu { return workQueueMenu(env) })
	},
})

func workQueueMenu(env *shell.Env) shell.Menu {
	paused := env.Appliance.MTA.PausedBy() != nil
	return shell.Menu{
		Header: func() { printWorkQueue(env) },
		Items: []shell.Item{
			{Key: "STATUS", Text: "Display work queue status.", Run: func(context.Context) error {
				if env.Inline { // the menu prints the status again by itself
					printWorkQueue(env)
				}
				return nil
			}},
			{Key: "PAUSE", Text: "Pause the work queue.", Hidden: paused, Run: withEnv(env, pauseWorkQueue)},
			{Key: "RESUME", Text: "Resume the work queue.", Hidden: !paused,
				Run: func(context.Context) error {
					env.Appliance.MTA.ResumeWorkQueue()
					if env.Inline {
						printWorkQueue(env)
					}
					return nil
				}},
			{Key: "RATE", Text: "Display work queue statistics over time.",
				Run: withEnv(env, workQueueRate)},
		},
	}
}

func printWorkQueue(env *shell.Env) {
	status := "Operational"
	if p := env.Appliance.MTA.PausedBy(); p != nil {
		status = "Paused by " + p.By
		if p.Reason != "" {
			status += ": " + p.Reason
		}
	}
	env.Printf("Status:   %s\nMessages: %d\n", status, env.Appliance.MTA.Pipeline.Status().Waiting)
}

func pauseWorkQueue(ctx context.Context, env *shell.Env) error {
	reason := ""
	if !env.Inline {
		sure, err := env.Confirm(ctx,
			"Manually pause work queue?  This will only affect unprocessed messages.", false)
		if err != nil || !sure {
			return err
		}
		if reason, err = env.Ask(ctx, "Reason for pausing work queue:", "", nil); err != nil {
			return err
		}
	}
	env.Appliance.MTA.PauseWorkQueue(mta.PauseInfo{By: env.Account.Name, Reason: mailText(reason)})
	if env.Inline {
		printWorkQueue(env)
	}
	return nil
}

func workQueueRate(ctx context.Context, env *shell.Env) error {
	seconds := 10
	if !env.Inline {
		err := env.Form(ctx, shell.Number(&seconds, "Enter the number of seconds between displays.", 1, 3600))
		if err != nil {
			return err
		}
	}
	return showWorkQueueRate(ctx, env, time.Duration(seconds)*time.Second)
}

func workQueueRateInline(ctx context.Context, env *shell.Env) error {
	n, err := strconv.Atoi(env.Args[1])
	switch {
	case err != nil || n < 1 || n > 3600:
		return shell.InvalidArgumentf(printable(env.Args[1]),
			"The number of seconds must be an integer from 1 to 3600.")
	case len(env.Args) > 2:
		return shell.InvalidArgumentf(printable(env.Args[2]), "No more arguments are expected.")
	}
	return showWorkQueueRate(ctx, env, time.Duration(n)*time.Second)
}

// showWorkQueueRate prints a line about the work queue at each interval, until the user interrupts
// it.
func showWorkQueueRate(ctx context.Context, env *shell.Env, interval time.Duration) error {
	env.Printf("Type Ctrl-C to return to the main prompt.\n\n%-10s %8s %8s %8s\n",
		"Time", "Pending", "In", "Out")
	before := env.Appliance.MTA.Pipeline.Status()
	for {
		now := env.Appliance.MTA.Pipeline.Status()
		env.Printf("%-10s %8d %8d %8d\n", env.Appliance.Now().Format(time.TimeOnly), now.Waiting,
			now.In-before.In, now.Out-before.Out)
		before = now
		if err := env.Appliance.Clock.Sleep(ctx, interval); err != nil {
			return err
		}
	}
}
