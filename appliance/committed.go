package appliance

import (
	"time"
	_ "time/tzdata" // knows the zones on machines that have no time zone database

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
)

// Committed settings that so many callers ask for that their decoded values are kept.

// TimeZone is the section of the time zone: a name of the IANA time zone database.
var TimeZone = config.Define("timezone", "Etc/GMT", func(name string, _ *config.Config) error {
	_, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return refusal.Newf("%q is not a time zone: expected a name such as Europe/Berlin.", name)
	}
	return nil
}, config.In(config.System, 10))

// Hostname returns the committed host name.
func (a *Appliance) Hostname() string { return netconfig.Hostname.Get(a.Config.Committed()) }

// A zoneCache is the time zone of one configuration. Loading a zone takes long, and every log
// line needs it.
type zoneCache struct {
	*time.Location
	of   *config.Config
	name string
}

// Zone returns the committed time zone.
func (a *Appliance) Zone() *time.Location {
	committed := a.Config.Committed()
	if z := a.zone.Load(); z != nil && z.of == committed {
		return z.Location
	}
	name := TimeZone.Get(committed)
	next := &zoneCache{of: committed, name: name}
	if z := a.zone.Load(); z != nil && z.name == name {
		next.Location = z.Location
	} else if a.loadedZone != nil && a.loadedZone.String() == name {
		next.Location = a.loadedZone
	} else if l, err := time.LoadLocation(name); err == nil {
		next.Location = l
	} else {
		next.Location = time.UTC // unreachable: the section's check has loaded the zone
	}
	a.zone.Store(next)
	return next.Location
}

// Now returns the appliance's wall time in its zone.
func (a *Appliance) Now() time.Time { return a.Clock.Now().In(a.Zone()) }

// An accessCache is the value of users.Access in one configuration.
type accessCache struct {
	of    *config.Config
	value users.AdminAccess
}

// Sessions returns the sessions that have not ended, in the order of their logins. Their roles are
// those that their accounts have now.
func (a *Appliance) Sessions() []users.Session {
	list := a.Logins.Sessions()
	for i, s := range list {
		if account, ok := a.Users.Lookup(s.Account); ok {
			list[i].Role = account.Role
		}
	}
	return list
}

// AdminAccess returns the committed value of users.Access, which every connection needs. Its
// lists must not be changed.
func (a *Appliance) AdminAccess() users.AdminAccess {
	c := a.Config.Committed()
	if cached := a.access.Load(); cached != nil && cached.of == c {
		return cached.value
	}
	v := users.Access.Get(c)
	a.access.Store(&accessCache{c, v})
	return v
}
