package control

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/fleet"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// fleetActionRoutes returns the requests about all appliances of a fleet.
func (s *Server) fleetActionRoutes() []route {
	return []route{
		{"POST /v1/fleet/reboot", s.rebootFleet},
		{"POST /v1/fleet/reset", s.resetFleet},
		{"PUT /v1/fleet/clock", s.putFleetClock},
		{"PUT /v1/fleet/faults/{fault}", s.putFleetFault},
		{"DELETE /v1/fleet/faults/{fault}", s.removeFleetFault},
	}
}

func (s *Server) rebootFleet(r *http.Request) (any, error) {
	parallel := 1
	if text := r.URL.Query().Get("parallel"); text != "" {
		var err error
		if parallel, err = strconv.Atoi(text); err != nil || parallel < 1 {
			return nil, badField("parallel", text, "%q, expected the number of appliances that may reboot"+
				" at a time", text)
		}
	}
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	return s.fleet.Reboot(ctx, parallel), nil
}

func (s *Server) resetFleet(r *http.Request) (any, error) {
	if s.fleet.Persistent() && r.URL.Query().Get("confirm") != "1" {
		return nil, refuse(http.StatusConflict,
			"the data of the appliances outlast the program, and a reset discards what has changed"+
				" since its start: add confirm=1 to do that")
	}
	return s.fleet.Reset(context.WithoutCancel(r.Context())), nil
}

func (s *Server) putFleetClock(r *http.Request) (any, error) {
	var body struct {
		Time    string          `json:"time"`
		Advance netsim.Duration `json:"advance"`
		Step    netsim.Duration `json:"step"`
	}
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	c := fleet.ClockChange{Advance: time.Duration(body.Advance), Step: time.Duration(body.Step)}
	if body.Time != "" {
		var err error
		if c.Time, err = time.Parse(time.RFC3339, body.Time); err != nil {
			return nil, badField("time", body.Time, "%q, expected a time with its zone, such as 2015-06-25T08:50:03Z",
				body.Time)
		}
		if err := checkSettable(c.Time); err != nil {
			return nil, err
		}
	}
	if c == (fleet.ClockChange{}) {
		return nil, badRequest(`expected some of {"time": "2015-06-25T08:50:03Z", "advance": "2h", "step": "5m"}`)
	}
	return s.fleet.SetClocks(r.Context(), c), nil
}

func (s *Server) putFleetFault(r *http.Request) (any, error) {
	share := 1.0
	if text := r.URL.Query().Get("share"); text != "" {
		var err error
		number, percent := strings.CutSuffix(text, "%")
		if share, err = strconv.ParseFloat(number, 64); percent {
			share /= 100
		}
		if err != nil || !(share > 0 && share <= 1) {
			return nil, badField("share", text, "%q, expected a share of the appliances, such as 10%%", text)
		}
	}
	var spec FaultSpec
	if _, err := readBody(r, &spec); err != nil {
		return nil, err
	}
	return s.fleet.PutFault(r.Context(), r.PathValue("fault"), spec.FaultSpec, share)
}

func (s *Server) removeFleetFault(r *http.Request) (any, error) {
	o := s.fleet.RemoveFault(r.PathValue("fault"))
	if len(o.Done) == 0 {
		return nil, refuse(http.StatusNotFound, "no appliance has a fault called %q", r.PathValue("fault"))
	}
	return o, nil
}
