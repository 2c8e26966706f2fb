package metrics

import "time"

// Values are those of one counter.
type Values struct{ Reset, Uptime, Lifetime uint64 }

// A Snapshot holds the figures of one moment. Figures that are shown together are taken from one
// Snapshot, so that sums and columns agree.
type Snapshot struct {
	LastReset      time.Time // of the counters; zero: never
	ConnectionsIn  int       // open connections of clients
	ConnectionsOut int       // open connections to mail servers
	Domains        []string  // destinations that are remembered, in no order

	reset, uptime, lifetime                tally
	oneMinute, fiveMinutes, fifteenMinutes tally // growth within that time
}

// Snapshot returns the present figures.
func (s *Set) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := Snapshot{
		LastReset:     s.lastReset,
		ConnectionsIn: len(s.inbound), ConnectionsOut: len(s.hosts.open),
		Domains: make([]string, 0, len(s.hosts.hosts)),
		reset:   s.lifetime.minus(s.atReset), uptime: s.lifetime.minus(s.atStart),
		lifetime: s.lifetime,
	}
	for domain := range s.hosts.hosts {
		x.Domains = append(x.Domains, domain)
	}
	if s.history != nil {
		now := s.o.Clock.Mark()
		x.oneMinute = s.history.sum(now, time.Minute)
		x.fiveMinutes = s.history.sum(now, 5*time.Minute)
		x.fifteenMinutes = s.history.sum(now, 15*time.Minute)
	}
	return x
}

// Counter returns the values of c.
func (x *Snapshot) Counter(c Counter) Values {
	return Values{x.reset.value(c), x.uptime.value(c), x.lifetime.value(c)}
}

// Rate returns the rate of c.
func (x *Snapshot) Rate(c Counter) Rate {
	return Rate{
		x.oneMinute.value(c) * uint64(time.Hour/time.Minute),
		x.fiveMinutes.value(c) * uint64(time.Hour/(5*time.Minute)),
		x.fifteenMinutes.value(c) * uint64(time.Hour/(15*time.Minute)),
	}
}
