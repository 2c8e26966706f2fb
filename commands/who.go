package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "who",
	Summary: "List who is logged in.",
	Help:    "Logins over SSH, SFTP, SCP and FTP and on the serial console are listed.",
	Source:  "invented, after public samples",
	Mode:    shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		t := shell.Table{
			Headings: []string{"Username", "Role", "Login Time", "Idle Time", "Remote Host", "What"},
		}
		for _, s := range env.Appliance.Sessions() {
			from := "console"
			if s.ClientAddr.IsValid() {
				from = s.ClientAddr.String()
			}
			in := s.LoginTime.In(env.Appliance.Zone()).Format("03:04PM")
			t.Add(s.Account, s.Role.String(), in, idleTime(s.Idle), from, s.Service)
		}
		t.Print(env)
		return nil
	},
})

// idleTime formats a duration as 0s, 12m or 1h 59m.
func idleTime(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	}
	return fmt.Sprintf("%dh %dm", int(d/time.Hour), int(d/time.Minute)%60)
}
