package control

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/fleet"
)

// memberPath is the end of the patterns of requests about one appliance of a fleet.
const memberPath = " /v1/appliances/{appliance}/{request...}"

// fleetRoutes returns the requests that only the server of a fleet answers.
func (s *Server) fleetRoutes() []route {
	list := append(s.fleetActionRoutes(), []route{
		{"GET /v1/health", s.getFleetHealth},
		{"GET /v1/appliances", s.listAppliances},
		{"GET /v1/fleet/networks", s.listNetworks},
		{"GET /v1/appliances/{appliance}", s.getAppliance},
		{"PUT /v1/appliances/{appliance}", s.putAppliance},
	}...)
	for _, method := range methods() {
		list = append(list, route{method + memberPath, s.askMember})
	}
	return list
}

// FleetHealth says how many appliances of a fleet are in which state.
type FleetHealth struct {
	Name    string `json:"name"`
	Running int    `json:"running"`
	Stopped int    `json:"stopped"`
	Failed  int    `json:"failed"`
}

// getFleetHealth answers with an error if an appliance or a network could not be started. One that was
// stopped on purpose is no error.
func (s *Server) getFleetHealth(*http.Request) (any, error) {
	h := FleetHealth{Name: s.fleet.Name()}
	failed := ""
	for _, m := range s.fleet.Members() {
		switch m.State() {
		case fleet.Running:
			h.Running++
		case fleet.Stopped:
			h.Stopped++
		case fleet.Failed:
			h.Failed++
			failed = m.Name
		}
	}
	for _, n := range s.fleet.Networks() {
		if n.State() == fleet.Failed {
			return nil, refuse(http.StatusServiceUnavailable, "the network %s could not be started", n.Name)
		}
	}
	if h.Failed > 0 {
		return nil, refuse(http.StatusServiceUnavailable,
			"%d of %d appliances could not be started: %s, for example",
			h.Failed, h.Running+h.Stopped+h.Failed, failed)
	}
	return struct {
		Status string      `json:"status"`
		Fleet  FleetHealth `json:"fleet"`
	}{"up", h}, nil
}

func (s *Server) listAppliances(*http.Request) (any, error) { return s.fleet.Inventory(), nil }

func (s *Server) listNetworks(*http.Request) (any, error) { return s.fleet.NetworkInventory(), nil }

// member returns the appliance that a request is about.
func (s *Server) member(r *http.Request) (*fleet.Member, error) {
	name := r.PathValue("appliance")
	m := s.fleet.Member(name)
	if m == nil {
		return nil, refuse(http.StatusNotFound, "the fleet has no appliance %q", name)
	}
	return m, nil
}

func (s *Server) getAppliance(r *http.Request) (any, error) {
	m, err := s.member(r)
	if err != nil {
		return nil, err
	}
	return m.Describe(), nil
}

// memberStopTimeout bounds the time in which an appliance ends its sessions.
const memberStopTimeout = 5 * time.Second

// putAppliance starts or stops an appliance. One that is in that state already stays as it is.
func (s *Server) putAppliance(r *http.Request) (any, error) {
	m, err := s.member(r)
	if err != nil {
		return nil, err
	}
	var body struct {
		Running *bool `json:"running"`
	}
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Running == nil:
		return nil, badRequest("expected the field running: true or false")
	case *body.Running:
		if err := m.Start(context.WithoutCancel(r.Context())); err != nil && !errors.Is(err, fleet.ErrRunning) {
			return nil, refuse(http.StatusConflict, "%s does not start: %v", m.Name, err)
		}
	default:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), memberStopTimeout)
		defer cancel()
		err := m.Stop(ctx)
		if err != nil && !errors.Is(err, fleet.ErrStopped) && !errors.Is(err, context.DeadlineExceeded) {
			return nil, refuse(http.StatusConflict, "%s does not stop: %v", m.Name, err)
		}
	}
	return m.Describe(), nil
}

// askMember answers what the server of one appliance answers.
func (s *Server) askMember(r *http.Request) (any, error) {
	m, err := s.member(r)
	if err != nil {
		return nil, err
	}
	b := m.Box()
	if b == nil {
		return nil, refuse(http.StatusConflict, "%s does not run", m.Name)
	}
	own := &Server{
		box: b, requestCtx: s.requestCtx, cancelRequests: func() {},
		streamCtx: s.streamCtx, cancelStreams: func() {},
	}
	// It takes a tenth of a millisecond, and would take 100 KiB if it were kept.
	own.mux = sync.OnceValue(own.newMux)
	return stream(func(w http.ResponseWriter) {
		inner := r.Clone(r.Context())
		for _, path := range []*string{&inner.URL.Path, &inner.URL.RawPath} {
			if rest, ok := strings.CutPrefix(*path, "/v1/appliances/"+m.Name); ok {
				*path = "/v1" + rest
			}
		}
		own.mux().ServeHTTP(w, inner)
	}), nil
}
