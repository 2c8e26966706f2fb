package control

import "net/http"

// Wrap has the client's requests pass through another round tripper.
func (c *Client) Wrap(wrap func(http.RoundTripper) http.RoundTripper) {
	c.http.Transport = wrap(c.http.Transport)
}

// Patterns returns the patterns of all routes.
func Patterns() (list []string) {
	for _, r := range (&Server{}).routes() {
		list = append(list, r.pattern)
	}
	return list
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.mux }
