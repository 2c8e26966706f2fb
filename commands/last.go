package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "last",
	Summary: "Show who logged in recently.",
	Help:    "The newest login is listed first. Restarts of the system are listed, too.",
	Source:  "public",
	Mode:    shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		const form = "Mon Jan _2 15:04"
		zone := env.Appliance.Zone()
		t := shell.Table{
			Headings: []string{"Username", "Remote Host", "Login Time", "Logout Time", "Total Time"},
		}
		for _, r := range env.Appliance.Logins.History() {
			if r.Event != users.LoggedIn {
				t.Add(string(r.Event), "", "", r.LoginTime.In(zone).Format(form))
				continue
			}
			from := "console"
			if r.ClientAddr.IsValid() {
				from = r.ClientAddr.String()
			}
			in := r.LoginTime.In(zone).Format(form)
			switch {
			case r.Open:
				total := env.Appliance.Clock.Now().Sub(r.LoginTime)
				t.Add(r.Account, from, in, "still logged in", totalTime(total))
			case r.LogoutTime.IsZero(): // the system stopped without a shutdown
				t.Add(r.Account, from, in, "unknown")
			default:
				out := r.LogoutTime.In(zone).Format(form)
				t.Add(r.Account, from, in, out, totalTime(r.LogoutTime.Sub(r.LoginTime)))
			}
		}
		t.Print(env.Pager(ctx))
		return nil
	},
})

// totalTime formats a duration as 21m, 1h 59m or 2d 3h 0m.
func totalTime(d time.Duration) string {
	minutes := int(max(d, 0) / time.Minute)
	switch {
	case minutes < 60:
		return fmt.Sprintf("%dm", minutes)
	case minutes < 24*60:
		return fmt.Sprintf("%dh %dm", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%dd %dh %dm", minutes/60/24, minutes/60%24, minutes%60)
}
