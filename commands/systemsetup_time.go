package commands

import (
	"context"
	"slices"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/fixtures"
	"github.com/esasim/esasim/shell"
)

// askTime asks for the time zone and for NTP.
func (w *setupWizard) askTime(ctx context.Context) error {
	w.env.Printf("You will now configure system time settings.\n")
	zones, _ := fixtures.Zones()
	zone, err := chooseZone(ctx, w.env, zones, appliance.TimeZone.Get(w.env.Draft))
	if err != nil {
		return err
	}
	appliance.TimeZone.Set(w.env.Draft, zone)
	return editSection(w.env, ntp.NTP, func(s *ntp.Settings) error {
		use, server := len(s.Servers) > 0, "time.ironport.com"
		if use {
			server = s.Servers[0]
		}
		if err := w.env.Form(ctx,
			shell.YesNo(&use, "Do you wish to use NTP to set system time?"),
			shell.When(func() bool { return use }, shell.Text(&server,
				"Please enter the fully qualified hostname or IP address of your NTP server.",
				ntp.CheckServer)),
		); err != nil {
			return err
		}
		switch {
		case !use:
			s.Servers = nil
		case !slices.Contains(s.Servers, server):
			s.Servers = []string{server}
		}
		return nil
	})
}
