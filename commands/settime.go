package commands

import (
	"context"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "settime",
	Summary: "Set the system clock.",
	Help:    "settime [MM/DD/YYYY HH:MM:SS]",
	Source:  "public (form of the time), invented (texts)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		const form = "01/02/2006 15:04:05"
		var to time.Time
		parse := func(s string) (err error) {
			to, err = time.ParseInLocation(form, s, env.Appliance.Zone())
			if err != nil || to.Year() < appliance.MinYear || to.Year() > appliance.MaxYear {
				return refusal.Newf("The time must be given in the format MM/DD/YYYY HH:MM:SS, "+
					"in the years from %d to %d.", appliance.MinYear, appliance.MaxYear)
			}
			return nil
		}
		if len(env.Args) > 0 {
			given := strings.Join(env.Args, " ")
			if err := parse(given); err != nil {
				return invalidArgument(given, err)
			}
		} else {
			env.Printf("WARNING: Changes to system time will take place immediately\n" +
				"and do not require the user to run the commit command.\n")
			env.Printf("Current time %s.\n", env.Appliance.Now().Format(form))
			const question = "Please enter the time in MM/DD/YYYY HH:MM:SS format."
			if _, err := env.Ask(ctx, question, "", func(s string) error {
				if s == "" {
					return nil
				}
				return parse(s)
			}); err != nil {
				return err
			}
			if to.IsZero() { // an empty answer leaves the time unchanged
				return nil
			}
		}
		if err := env.Appliance.SetTime(to); err != nil {
			return err
		}
		env.Appliance.Log(appliance.SystemLog, appliance.Information,
			"The system time was set to "+to.Format(form)+" by "+env.Account.Name+".")
		if !env.Inline {
			env.Printf("Time set to %s.\n", to.Format(form))
		}
		return nil
	},
})
