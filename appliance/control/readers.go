package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/uplink"
)

// readerRoutes returns the routes of requests about the tables of the network and about users.
func (s *Server) readerRoutes() []route {
	return []route{
		{"GET /v1/sockets", s.ofTables(func(t box.Tables) any { return t.Sockets })},
		{"GET /v1/arp", s.ofTables(func(t box.Tables) any { return t.Neighbors })},
		{"GET /v1/routes", s.ofTables(func(t box.Tables) any { return t.Routes })},
		{"GET /v1/interfaces", s.ofTables(func(t box.Tables) any { return t.Interfaces })},
		{"GET /v1/uplinks", s.listUplinks},
		{"GET /v1/users", s.settled(s.listUsers)},
		{"GET /v1/sessions", s.settled(s.listSessions)},
		{"GET /v1/sessions/{session}", s.settled(s.getSession)},
		{"DELETE /v1/sessions/{session}", s.settled(s.endSession)},
		{"GET /v1/guard", s.settled(s.listGuard)},
		{"DELETE /v1/guard", s.settled(s.freeAll)},
		{"DELETE /v1/guard/{addr}", s.settled(s.freeAddress)},
	}
}

// settled returns a handler that calls f when no reboot or reset is in progress.
func (s *Server) settled(f func(*http.Request) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		if err := s.box.WaitSettled(r.Context()); err != nil {
			return nil, err
		}
		return f(r)
	}
}

// ofTables returns a handler that answers with one of the tables of the machine in ?host=NAME.
func (s *Server) ofTables(table func(box.Tables) any) func(*http.Request) (any, error) {
	return s.settled(func(r *http.Request) (any, error) {
		q := r.URL.Query()
		if q.Has("host") && q.Get("host") == "" { // of a script whose variable is empty
			return nil, badField("host", "", "host: expected the name or address of a simulated host")
		}
		t, err := s.box.Tables(q.Get("host"))
		if err != nil {
			return nil, err
		}
		return table(t), nil
	})
}

func (s *Server) listUplinks(*http.Request) (any, error) {
	return append([]uplink.State{}, s.box.Uplinks()...), nil // never nil, for JSON
}

func (s *Server) listUsers(*http.Request) (any, error) { return s.box.Users(), nil }

func (s *Server) listSessions(*http.Request) (any, error) { return s.box.Sessions(), nil }

func (s *Server) getSession(r *http.Request) (any, error) {
	id, err := sessionID(r)
	if err != nil {
		return nil, err
	}
	return s.box.Session(id)
}

func (s *Server) endSession(r *http.Request) (any, error) {
	id, err := sessionID(r)
	if err != nil {
		return nil, err
	}
	return nil, s.box.EndSession(id)
}

func sessionID(r *http.Request) (int, error) {
	text := r.PathValue("session")
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0, badField("session", text,
			"%q is not the number of a session: expected a number such as 1", text)
	}
	return id, nil
}

// Sockets returns the sockets of a simulated host or, if host is "", of the appliance.
func (c *Client) Sockets(ctx context.Context, host string) (list []box.Socket, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/sockets"+ofHost(host), nil, &list)
}

// Neighbors returns the ARP and NDP caches of a machine; host is as that of Sockets.
func (c *Client) Neighbors(ctx context.Context, host string) (list []box.Neighbor, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/arp"+ofHost(host), nil, &list)
}

// Routes returns the routing table of a machine; host is as that of Sockets.
func (c *Client) Routes(ctx context.Context, host string) (list []box.Route, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/routes"+ofHost(host), nil, &list)
}

// Uplinks returns the cables to real networks.
func (c *Client) Uplinks(ctx context.Context) (list []uplink.State, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/uplinks", nil, &list)
}

// Interfaces returns the interfaces of a machine with their counters; host is as that of Sockets.
func (c *Client) Interfaces(ctx context.Context, host string) (list []box.Interface, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/interfaces"+ofHost(host), nil, &list)
}

func ofHost(host string) string {
	if host == "" {
		return ""
	}
	return "?host=" + url.QueryEscape(host)
}

// Users returns the accounts of the appliance.
func (c *Client) Users(ctx context.Context) (list []box.User, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/users", nil, &list)
}

// Sessions returns the sessions that have not ended.
func (c *Client) Sessions(ctx context.Context) (list []box.Session, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/sessions", nil, &list)
}

// Session returns a session that has not ended.
func (c *Client) Session(ctx context.Context, id int) (s box.Session, err error) {
	return s, c.do(ctx, http.MethodGet, "/v1/sessions/"+strconv.Itoa(id), nil, &s)
}

// EndSession ends a session. It does not wait until the session has ended.
func (c *Client) EndSession(ctx context.Context, id int) error {
	return c.do(ctx, http.MethodDelete, "/v1/sessions/"+strconv.Itoa(id), nil, nil)
}
