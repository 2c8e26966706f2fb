package control

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/promtext"
)

// A Health describes an appliance that is up, or a fleet.
type Health struct {
	Status string `json:"status"` // "up"
	box.Health
	Fleet *FleetHealth `json:"fleet,omitempty"` // nil: an appliance
}

func (s *Server) getHealth(*http.Request) (any, error) {
	h, err := s.box.Health()
	if err != nil {
		return nil, refuse(http.StatusServiceUnavailable, "%v", err)
	}
	return Health{Status: "up", Health: h}, nil
}

// getMetrics answers at once, like getHealth, even if the appliance is not up.
func (s *Server) getMetrics(*http.Request) (any, error) {
	var text bytes.Buffer
	if err := s.box.WriteMetrics(&text); err != nil {
		return nil, err
	}
	return document{promtext.ContentType, text.Bytes()}, nil
}

func (s *Server) getTopology(*http.Request) (any, error) {
	return document{"application/yaml", s.box.TopologyFile()}, nil
}

func (s *Server) listPeers(r *http.Request) (any, error) {
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	return s.box.World().Servers(), nil
}

func (s *Server) getPeer(r *http.Request) (any, error) {
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	return s.box.World().Server(r.PathValue("name"))
}

func (s *Server) putPeer(r *http.Request) (any, error) {
	var body struct {
		Running *bool `json:"running"`
	}
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.Running == nil {
		return nil, badRequest(`expected {"running": true} or {"running": false}`)
	}
	for {
		if err := s.box.WaitSettled(r.Context()); err != nil {
			return nil, err
		}
		world := s.box.World()
		server, err := setServer(r.Context(), world, r.PathValue("name"), *body.Running)
		if !errors.Is(err, netsim.ErrStopped) {
			return server, err
		}
		// If the appliance has rebooted meanwhile, the request is repeated in the new world.
		if settled := s.box.WaitSettled(r.Context()); settled != nil || s.box.World() == world {
			return nil, err
		}
	}
}

// setServer starts or stops a server and returns its state afterwards.
func setServer(ctx context.Context, w *netsim.World, name string, run bool) (
	server netsim.Server, err error) {
	if run {
		err = w.StartServer(ctx, name)
	} else {
		err = w.StopServer(name)
	}
	if err != nil {
		return server, err
	}
	return w.Server(name)
}

// A Clock is the state of the appliance's clock.
type Clock struct {
	Time time.Time `json:"time"` // in the appliance's time zone
	Zone string    `json:"zone"` // the name of that zone: "America/Los_Angeles"
	// Offset is how far the clock is ahead of the clock on which the box runs, which is
	// usually that of the machine.
	Offset netsim.Duration `json:"offset"`
	Rate   int             `json:"rate"` // how many times as fast as real time it runs
}

func (s *Server) getClock(r *http.Request) (any, error) {
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	now := s.box.Now()
	return Clock{
		now, now.Location().String(), netsim.Duration(s.box.Appliance().Clock.Shift()), s.box.ClockRate(),
	}, nil
}

func (s *Server) putClock(r *http.Request) (any, error) {
	var body struct {
		Time    string           `json:"time"`
		Advance *netsim.Duration `json:"advance"`
	}
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	if (body.Time == "") == (body.Advance == nil) {
		return nil, badRequest(`expected {"time": "2015-06-25T08:50:03Z"} or {"advance": "2h"}`)
	}
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	if body.Advance != nil {
		if err := checkSettable(s.box.Now().Add(time.Duration(*body.Advance))); err != nil {
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
	if err := checkSettable(to); err != nil {
		return nil, err
	}
	if err := s.box.SetTime(to); err != nil {
		return nil, err
	}
	return s.getClock(r)
}

// checkSettable returns an error if the clock cannot be set to t.
func checkSettable(t time.Time) error {
	if y := t.Year(); y < appliance.MinYear || y > appliance.MaxYear {
		return badRequest("the clock cannot be set to the year %d: expected one from %d to %d",
			y, appliance.MinYear, appliance.MaxYear)
	}
	return nil
}

// parseTime reads a time with its zone, or without one a time in zone.
func parseTime(text string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, badField("time", text, "%q is not a time: expected one such as 2015-06-25T08:50:03Z or,"+
		" in the appliance's time zone, 2015-06-25 08:50:03", text)
}

// A GuardAddress is a client address whose failed logins have an effect.
type GuardAddress = box.FailingAddress

func (s *Server) listGuard(*http.Request) (any, error) { return s.box.FailingAddresses(), nil }

func (s *Server) freeAll(*http.Request) (any, error) {
	s.box.UnblockAll()
	return nil, nil
}

func (s *Server) freeAddress(r *http.Request) (any, error) {
	text := r.PathValue("addr")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		prefix, err := netip.ParsePrefix(text) // as listGuard writes a /64
		if err != nil {
			return nil, badField("addr", text, "%q is not an address: expected one such as 10.0.201.4", text)
		}
		addr = prefix.Addr()
	}
	if err := s.box.Unblock(addr); err != nil {
		return nil, refuse(http.StatusNotFound, "the address %s has no failed logins", text)
	}
	return nil, nil
}
