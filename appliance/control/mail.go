package control

import (
	"context"
	"net/http"
	"net/url"

	"github.com/esasim/esasim/appliance/box"
)

func (s *Server) mailRoutes() []route {
	return []route{
		{"GET /v1/mail", s.listMailServers},
		{"GET /v1/mail/{server}/messages", s.listMessages},
	}
}

func (s *Server) listMailServers(r *http.Request) (any, error) {
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	return append([]string{}, s.box.World().MailServers()...), nil
}

func (s *Server) listMessages(r *http.Request) (any, error) {
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	return s.box.Mailbox(r.PathValue("server"))
}

// MailServers returns the names of the simulated mail servers.
func (c *Client) MailServers(ctx context.Context) (names []string, err error) {
	return names, c.do(ctx, http.MethodGet, "/v1/mail", nil, &names)
}

// Mailbox returns the mail that a simulated mail server has received.
func (c *Client) Mailbox(ctx context.Context, server string) (m box.Mailbox, err error) {
	return m, c.do(ctx, http.MethodGet, "/v1/mail/"+url.PathEscape(server)+"/messages", nil, &m)
}
