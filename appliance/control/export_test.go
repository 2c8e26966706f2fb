package control

import (
	"net/http"
	"slices"

	"github.com/esasim/esasim/appliance/fleet"
)

// Wrap has the client's requests pass through another round tripper.
func (c *Client) Wrap(wrap func(http.RoundTripper) http.RoundTripper) {
	c.http.Transport = wrap(c.http.Transport)
}

// Patterns returns the patterns of the routes of one appliance.
func Patterns() []string { return (&Server{}).patterns() }

// AllPatterns returns also those of a fleet.
func AllPatterns() []string {
	list := Patterns()
	for _, pattern := range (&Server{fleet: &fleet.Fleet{}}).patterns() {
		if !slices.Contains(list, pattern) {
			list = append(list, pattern)
		}
	}
	return list
}

func (s *Server) patterns() (list []string) {
	for _, r := range s.routes() {
		list = append(list, r.pattern)
	}
	return list
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.root }
