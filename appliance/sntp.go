package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/ntp"
)

// addSNTP makes the daemon that keeps the clock right, and has it follow the
// configuration.
func (a *Appliance) addSNTP() {
	a.SNTP = ntp.New(ntp.Options{
		Net:      a.Net,
		Clock:    a.Clock,
		Rand:     a.Entropy.Stream("sntpd"),
		Settings: func() ntp.Settings { return ntp.NTP.Get(a.Config.Committed()) },
		Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return a.Resolver.Lookup(ctx, name, 0)
		},
		Source:   a.sourceOf,
		SetShift: a.shiftTime,
		Timeout:  a.Timeouts.NTP,
		Log: func(trouble bool, text string) {
			level := Information
			if trouble {
				level = Warning
			}
			a.Log(SNTPLog, level, text)
		},
	})
	a.Add(a.SNTP)
	a.Config.AddApplier(sntpApplier{a})
}

// An sntpApplier has sntpd ask at once when its servers are others.
type sntpApplier struct{ appliance *Appliance }

// Apply refuses a source interface that does not exist.
func (p sntpApplier) Apply(_ context.Context, _, next *config.Config) error {
	source := ntp.NTP.Get(next).Source
	if source == "" || slices.ContainsFunc(Interfaces.Get(next).List, func(i IPInterface) bool { return i.Name == source }) {
		return nil
	}
	return &RefusedError{Text: fmt.Sprintf("NTP queries are to leave by the IP interface %s, which does not exist.", source)}
}

// Done asks the new servers.
func (p sntpApplier) Done(_ context.Context, before, next *config.Config) {
	a, b := ntp.NTP.Get(before), ntp.NTP.Get(next)
	if a.Source != b.Source || !slices.Equal(a.Servers, b.Servers) {
		p.appliance.SNTP.Reload()
	}
}
