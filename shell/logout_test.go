package shell_test

import (
	"context"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/shell"
)

// A command that stops the server and ends its own session, as reboot does, has done what it was
// asked to do: the client receives the exit status 0 even if the stop reaches the session first.
func TestCommandThatStopsTheServerSucceeds(t *testing.T) {
	for _, tc := range []struct {
		name, line, input string // without a line, a shell reads the input
		terminal          bool
	}{
		{name: "command line", line: "say a; off; say b"},
		{name: "command line with a terminal", line: "say a; off; say b", terminal: true},
		{name: "piped commands", input: "say a\noff\nsay b\n"},
		{name: "terminal", input: "say a\roff\rsay b\r", terminal: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app, _ := newAppliance(t)
			var s *shell.Server
			stopped := make(chan error, 1)
			off := command("off", func(ctx context.Context, env *shell.Env) error {
				stopCtx, cancel := context.WithTimeout(context.Background(), maxWait)
				go func() {
					defer cancel()
					stopped <- s.Stop(appliance.WithStopReason(stopCtx, appliance.ReasonReboot))
				}()
				<-ctx.Done()
				env.Printf("Goodbye.\n")
				return shell.ErrLogout
			})
			s = startServer(t, app, nil, sayCommand, off)
			c := newShellClient(t, dial(t, s))
			if tc.terminal {
				if err := c.RequestPty("vt100", 24, 80, nil); err != nil {
					t.Fatal(err)
				}
			}
			start := c.Shell
			if tc.line != "" {
				start = func() error { return c.Start(tc.line) }
			}
			if err := start(); err != nil {
				t.Fatal(err)
			}
			c.typeKeys(tc.input)
			out := c.readAll()
			if err := c.Wait(); err != nil {
				t.Errorf("the client receives %v; the output is %q", err, out)
			}
			if !strings.HasSuffix(strings.TrimSpace(out), "Goodbye.") {
				t.Errorf("the output is %q", out)
			}
			if err := <-stopped; err != nil {
				t.Error("stop:", err)
			}
		})
	}
}
