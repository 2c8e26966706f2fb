package appliance_test

import (
	"errors"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
)

func TestAdminAccessIsTheCommittedOne(t *testing.T) {
	app, err := appliance.New(appliance.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Stop(t.Context())
	if got := app.AdminAccess().CLIIdle(); got != 30*time.Minute {
		t.Errorf("sessions of a new appliance may be idle for %v", got)
	}
	d := app.Config.NewDraft()
	v := users.Access.Get(d)
	v.CLITimeout = 10
	users.Access.Set(d, v)
	if got := app.AdminAccess().CLIIdle(); got != 30*time.Minute {
		t.Errorf("before the commit it is %v", got)
	}
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	if got := app.AdminAccess().CLIIdle(); got != 10*time.Minute {
		t.Errorf("after the commit it is %v", got)
	}
}

func TestTimeZones(t *testing.T) {
	s := config.NewStore()
	for zone, good := range map[string]bool{
		"America/Los_Angeles": true, "Etc/GMT": true,
		"": false, "Local": false, "Mars/Olympus": false, "../etc/passwd": false,
	} {
		d := s.NewDraft()
		appliance.TimeZone.Set(d, zone)
		_, err := s.Commit(t.Context(), d, config.CommitInfo{})
		var invalid *config.InvalidError
		accepted := err == nil || errors.Is(err, config.ErrNoChanges)
		if accepted != good || !good && !errors.As(err, &invalid) {
			t.Errorf("%q: %v", zone, err)
		}
	}
}
