package commands

import (
	"context"
	"fmt"
	"strconv"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "packetcapture",
	Summary: "Capture the packets that pass the appliance's interfaces.",
	Help: "packetcapture [start | stop | status | setup]\n\n" +
		"Only one capture runs at a time. It ends with the session that started it. Captures are\n" +
		"kept in the directory diagnostic: fetch them with SFTP, SCP or FTP.\n\n" +
		"SETUP limits a capture to ports and to addresses of clients and servers (a predefined\n" +
		"filter), or by an expression in the syntax of tcpdump (a custom filter). A port is TCP\n" +
		"unless /udp is added: 53 is TCP, 53/udp is UDP, and 53/any is both.\n\n" +
		foldHelp(capture.Warning),
	Source: "B9 to B22 (operations, rules), B24 (menu words), B31 (warning); " +
		"invented (inline form, questions of SETUP, refusals)",
	Roles: []users.Role{users.Administrator, users.Operator},
	Since: product.Version{Major: 7}, // B4
	Mode:  shell.MachineMode,
	Batch: true,
	Run: func(ctx context.Context, env *shell.Env) error {
		if len(env.Args) > 0 {
			return packetCaptureInline(ctx, env)
		}
		return env.Menu(ctx, func() shell.Menu {
			status := env.Appliance.Captures.Status(capture.CLI)
			return shell.Menu{
				Header: func() { showCapture(env, status) },
				Items: []shell.Item{
					{Key: "START", Text: "Start packet capture.",
						Unlisted: status.Running, Run: withEnv(env, startCapture)},
					{Key: "STOP", Text: "Stop packet capture.",
						Unlisted: !status.Running, Run: withEnv(env, stopCapture)},
					{Key: "STATUS", Text: "Display current capture status.",
						Unlisted: !status.Running, Run: func(context.Context) error {
							return nil // the status is in the menu's header, which is shown again
						}},
					{Key: "SETUP", Text: "Change packet capture settings.", Run: withEnv(env, setUpCapture)},
				},
			}
		})
	},
})

// packetCaptureInline runs the operation that the argument names.
func packetCaptureInline(ctx context.Context, env *shell.Env) error {
	return runInline(ctx, env.Args, shell.Menu{Items: []shell.Item{
		{Key: "START", Run: func(ctx context.Context) error {
			if err := startCapture(ctx, env); err != nil {
				return err
			}
			env.Printf("File Name: %s\n", env.Appliance.Captures.Status(capture.CLI).File)
			env.PrintWrapped("The capture ends with this session.")
			return nil
		}},
		{Key: "STOP", Run: func(ctx context.Context) error {
			if err := stopCapture(ctx, env); err != nil {
				return err
			}
			s := env.Appliance.Captures.Status(capture.CLI)
			env.Printf("File Name: %s (Size = %dK)\n", s.File, s.Size>>10)
			return nil
		}},
		{Key: "STATUS", Run: func(context.Context) error {
			showCapture(env, env.Appliance.Captures.Status(capture.CLI))
			return nil
		}},
		{Key: "SETUP", Run: withEnv(env, setUpCapture)},
	}})
}

// showCapture prints the state of the command line's capture. Captures that were started
// elsewhere are not shown (B21).
func showCapture(env *shell.Env, s capture.Status) {
	settings, file := s.Settings, "File Name"
	if s.Running {
		env.Printf("\nStatus: Capture in progress (Duration = %s)\n", capture.FormatDuration(s.Elapsed))
	} else {
		settings, file = env.Appliance.Captures.Settings(), "Last Capture"
		env.Printf("\nStatus: No packet capture in progress\n")
		if s.Reason != capture.NotEnded && s.Reason != capture.ByUser {
			env.PrintWrapped(fmt.Sprintf("The last capture ended: %v.", s.Reason))
		}
	}
	if s.File != "" {
		env.Printf("%s: %s (Size = %dK)\n", file, s.File, s.Size>>10)
	}
	if s.Dropped > 0 {
		env.Printf("Packets Dropped: %d\n", s.Dropped)
	}
	env.Printf("\nCurrent Settings:\n")
	for _, row := range settings.Rows() {
		env.Printf("  %-25s %s\n", row[0]+":", row[1])
	}
}

// startCapture starts a capture that ends with the session at the latest (B10).
func startCapture(_ context.Context, env *shell.Env) error {
	owner := capture.Owner{Side: capture.CLI}
	if env.Login != nil {
		owner.Session = strconv.Itoa(env.Login.ID())
	}
	if _, err := env.Appliance.Captures.Start(env.SessionContext, owner); err != nil {
		return filterRefusal(err)
	}
	env.Printf("Success - Packet Capture has started\n")
	return nil
}

func stopCapture(_ context.Context, env *shell.Env) error {
	s, err := env.Appliance.Captures.Stop(capture.CLI)
	switch {
	case err != nil:
		return err
	case s.Reason != capture.ByUser: // it ended at the same moment
		env.Printf("Packet Capture has ended: %v.\n", s.Reason)
		return nil
	}
	env.Printf("Success - Packet Capture has stopped\n")
	return nil
}
