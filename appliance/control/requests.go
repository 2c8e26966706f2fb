package control

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A Health is the answer of an appliance that is up.
type Health struct {
	Status string `json:"status"` // "up"
	box.Health
}

func (s *Server) getHealth(*http.Request) (any, error) {
	h, err := s.box.Health()
	if err != nil {
		return nil, &failure{http.StatusServiceUnavailable, err.Error()}
	}
	return Health{"up", h}, nil
}

func (s *Server) listFaults(*http.Request) (any, error) { return s.box.Faults().List(), nil }

func (s *Server) addFault(r *http.Request) (any, error) {
	var rule topology.Rule
	if err := read(r, &rule); err != nil {
		return nil, err
	}
	f, err := s.box.Faults().Add(rule)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return created{f}, nil
}

func (s *Server) clearFaults(*http.Request) (any, error) {
	s.box.Faults().Clear()
	return nil, nil
}

func (s *Server) getFault(r *http.Request) (any, error) {
	id, err := faultID(r)
	if err != nil {
		return nil, err
	}
	return s.box.Faults().Get(id)
}

func (s *Server) removeFault(r *http.Request) (any, error) {
	id, err := faultID(r)
	if err != nil {
		return nil, err
	}
	return nil, s.box.Faults().Remove(id)
}

func faultID(r *http.Request) (int, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return 0, invalid("%q is no fault's number", r.PathValue("id"))
	}
	return id, nil
}

func (s *Server) listPeers(r *http.Request) (any, error) {
	if err := s.box.Settled(r.Context()); err != nil {
		return nil, err
	}
	return s.box.World().Servers(), nil
}

func (s *Server) getPeer(r *http.Request) (any, error) {
	if err := s.box.Settled(r.Context()); err != nil {
		return nil, err
	}
	return s.box.World().Server(r.PathValue("name"))
}

func (s *Server) putPeer(r *http.Request) (any, error) {
	var body struct {
		Running *bool `json:"running"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if body.Running == nil {
		return nil, invalid(`expected {"running": true} or {"running": false}`)
	}
	for {
		if err := s.box.Settled(r.Context()); err != nil {
			return nil, err
		}
		world := s.box.World()
		server, err := switchServer(r.Context(), world, r.PathValue("name"), *body.Running)
		if !errors.Is(err, netsim.ErrStopped) {
			return server, err
		}
		// A reboot came between, if there is another world once it is over.
		if settled := s.box.Settled(r.Context()); settled != nil || s.box.World() == world {
			return nil, err
		}
	}
}

// switchServer starts or stops a server, and tells how it stands then.
func switchServer(ctx context.Context, w *netsim.World, name string, on bool) (server netsim.Server, err error) {
	if on {
		err = w.StartServer(ctx, name)
	} else {
		err = w.StopServer(name)
	}
	if err != nil {
		return server, err
	}
	return w.Server(name)
}

// A Clock is what the appliance's clock shows.
type Clock struct {
	Time time.Time `json:"time"` // in its zone
	Zone string    `json:"zone"` // "America/Los_Angeles"
	// Offset is how far it is ahead of the clock that it was started with, which is the
	// machine's as a rule.
	Offset netsim.Duration `json:"offset"`
}

func (s *Server) getClock(r *http.Request) (any, error) {
	if err := s.box.Settled(r.Context()); err != nil {
		return nil, err
	}
	now := s.box.Now()
	return Clock{now, now.Location().String(), netsim.Duration(s.box.Appliance().Clock.Shift())}, nil
}

func (s *Server) putClock(r *http.Request) (any, error) {
	var body struct {
		Time    string           `json:"time"`
		Advance *netsim.Duration `json:"advance"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if (body.Time == "") == (body.Advance == nil) {
		return nil, invalid(`expected {"time": "2015-06-25T08:50:03Z"} or {"advance": "2h"}`)
	}
	if err := s.box.Settled(r.Context()); err != nil {
		return nil, err
	}
	if body.Advance != nil {
		if err := possible(s.box.Now().Add(time.Duration(*body.Advance))); err != nil {
			return nil, err
		}
		if err := s.box.Advance(time.Duration(*body.Advance)); err != nil {
			return nil, err
		}
		return s.getClock(r)
	}
	to, err := parseTime(body.Time, s.box.Now().Location())
	if err != nil {
		return nil, err
	}
	if err := possible(to); err != nil {
		return nil, err
	}
	if err := s.box.SetTime(to); err != nil {
		return nil, err
	}
	return s.getClock(r)
}

// possible refuses a time that the clock cannot be set to.
func possible(t time.Time) error {
	if y := t.Year(); y < appliance.MinYear || y > appliance.MaxYear {
		return invalid("the clock cannot be set to the year %d, expected one from %d to %d", y, appliance.MinYear, appliance.MaxYear)
	}
	return nil
}

// parseTime reads a time with its zone, or one of the appliance's zone.
func parseTime(text string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, invalid("%q is no time, expected one such as 2015-06-25T08:50:03Z or, in the appliance's zone, 2015-06-25 08:50:03", text)
}
