package appliance

import (
	"context"
	"net/netip"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/ntp"
	"github.com/esasim/esasim/appliance/refusal"
)

// addNTP makes sntpd, which sets the clock by time servers, and has it follow the configuration.
func (a *Appliance) addNTP() {
	a.NTP = ntp.New(ntp.Options{
		Net:      a.Net,
		Clock:    a.Clock,
		Rand:     a.Entropy.Stream("sntpd"),
		Settings: func() ntp.Settings { return ntp.NTP.Get(a.Config.Committed()) },
		Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return a.Resolver.Lookup(ctx, name, 0)
		},
		Source:   a.sourceAddr,
		SetShift: a.shiftTime,
		Timeout:  a.Timeouts.NTP,
		Log: func(warning bool, text string) {
			level := Information
			if warning {
				level = Warning
			}
			a.Log(NTPLog, level, text)
		},
	})
	a.Add(a.NTP)
	a.Config.AddApplier(ntpApplier{a.NTP})
}

// An ntpApplier makes sntpd query at once when its servers change.
type ntpApplier struct{ daemon *ntp.Daemon }

// Apply refuses a source interface that does not exist.
func (ntpApplier) Apply(_ context.Context, _, next *config.Config) error {
	source := ntp.NTP.Get(next).Source
	if _, ok := netconfig.Interfaces.Get(next).Find(source); !ok && source != "" {
		return refusal.Newf("NTP queries are to leave by the IP interface %s, which does not exist.",
			source)
	}
	return nil
}

func (n ntpApplier) Done(_ context.Context, before, next *config.Config) {
	a, b := ntp.NTP.Get(before), ntp.NTP.Get(next)
	if a.Source != b.Source || !slices.Equal(a.Servers, b.Servers) {
		n.daemon.Reload()
	}
}
