package control

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A route is what the server does with the requests that match a pattern of http.ServeMux. Each
// route is described in the OpenAPI document; a test compares the two.
type route struct {
	pattern string // "GET /v1/faults/{fault}"
	// answer returns what the server answers with: see handlerOf.
	answer func(*http.Request) (any, error)
}

// routes returns all routes. A file with requests about one thing has a method for its own.
func (s *Server) routes() []route {
	if s.fleet != nil {
		return slices.Concat(s.descriptionRoutes(), s.fleetRoutes())
	}
	return slices.Concat(
		s.descriptionRoutes(),
		s.faultRoutes(),
		s.eventRoutes(),
		s.captureRoutes(),
		s.snapshotRoutes(),
		s.worldRoutes(),
		s.readerRoutes(),
		s.actionRoutes(),
		s.mailRoutes(),
		s.trafficRoutes(),
	)
}

// worldRoutes returns the routes of the requests in this package that have no file of their own.
func (s *Server) worldRoutes() []route {
	return []route{
		{"GET /v1/health", s.getHealth},
		{"GET /v1/metrics", s.getMetrics},
		{"GET /v1/topology", s.settled(s.getTopology)},
		{"GET /v1/power", s.getPower},
		{"PUT /v1/power", s.putPower},
		{"POST /v1/power/reboot", s.reboot},
		{"GET /v1/console", s.getConsole},
		{"PUT /v1/console", s.putConsole},
		{"GET /v1/peers", s.listPeers},
		{"GET /v1/peers/{name...}", s.getPeer},
		{"PUT /v1/peers/{name...}", s.putPeer},
		{"GET /v1/clock", s.getClock},
		{"PUT /v1/clock", s.putClock},
	}
}

// methods are those of HTTP that a route of this package can have.
func methods() []string { return []string{"GET", "POST", "PUT", "PATCH", "DELETE"} }

// unknown answers requests for which there is no route: with status 405 and the header Allow if
// there are routes for other methods.
func (s *Server) unknown(r *http.Request) (any, error) {
	var allowed []string
	for _, method := range methods() {
		other := *r
		other.Method = method
		if _, pattern := s.mux().Handler(&other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		return nil, &RequestError{
			Status: http.StatusMethodNotAllowed,
			Text: fmt.Sprintf("there is no %s %s: expected %s",
				r.Method, r.URL.Path, oneOf(allowed)),
			allow: allowed,
		}
	}
	if s.fleet != nil {
		return nil, refuse(http.StatusNotFound, "a fleet answers no %s %s: ask one of its appliances, "+
			"/v1/appliances/NAME%s (esasim ctl --appliance NAME)", r.Method, r.URL.Path,
			strings.TrimPrefix(r.URL.Path, "/v1"))
	}
	return nil, refuse(http.StatusNotFound, "there is no %s %s: GET /v1 lists all requests",
		r.Method, r.URL.Path)
}
