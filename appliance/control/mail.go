package control

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

func (s *Server) mailRoutes() []route {
	return []route{
		{"GET /v1/mail", s.listMailServers},
		{"GET /v1/mail/{server}/messages", s.ofMailServer(listMessages)},
		{"DELETE /v1/mail/{server}/messages", s.ofMailServer(clearMessages)},
		{"GET /v1/mail/{server}/messages/{message}", s.ofMailServer(getMessage)},
		{"GET /v1/mail/{server}/messages/{message}/raw", s.ofMailServer(getRawMessage)},
		{"GET /v1/mail/{server}/rules", s.ofMailServer(listMailRules)},
		{"POST /v1/mail/{server}/rules", s.ofMailServer(addMailRule)},
		{"DELETE /v1/mail/{server}/rules", s.ofMailServer(clearMailRules)},
		{"GET /v1/mail/{server}/rules/{rule}", s.ofMailServer(getMailRule)},
		{"DELETE /v1/mail/{server}/rules/{rule}", s.ofMailServer(removeMailRule)},
	}
}

// ofMailServer returns a handler that calls f with the mail server of the request.
func (s *Server) ofMailServer(
	f func(*http.Request, *box.MailServer) (any, error),
) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		if err := s.box.WaitSettled(r.Context()); err != nil {
			return nil, err
		}
		m, err := s.box.Mail(r.PathValue("server"))
		if err != nil {
			return nil, err
		}
		return f(r, m)
	}
}

func (s *Server) listMailServers(r *http.Request) (any, error) {
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	return append([]string{}, s.box.World().MailServers()...), nil
}

func listMessages(_ *http.Request, m *box.MailServer) (any, error) { return m.Mailbox(), nil }

func clearMessages(_ *http.Request, m *box.MailServer) (any, error) {
	m.Clear()
	return nil, nil
}

func getMessage(r *http.Request, m *box.MailServer) (any, error) {
	id, err := messageID(r, m)
	if err != nil {
		return nil, err
	}
	return m.Content(id)
}

func getRawMessage(r *http.Request, m *box.MailServer) (any, error) {
	id, err := messageID(r, m)
	if err != nil {
		return nil, err
	}
	message, err := m.Message(id)
	if err != nil {
		return nil, err
	}
	return stream(func(w http.ResponseWriter) {
		setHeader(w, "message/rfc822")
		io.Copy(w, message.Reader()) //nolint:errcheck // the client may be gone
	}), nil
}

// lastMessage stands for the number of the newest message.
const lastMessage = "last"

// messageID returns the number of the message of a request.
func messageID(r *http.Request, m *box.MailServer) (int, error) {
	text := r.PathValue("message")
	if text == lastMessage {
		if list := m.Messages(); len(list) > 0 {
			return list[len(list)-1].ID, nil
		}
		return 0, refuse(http.StatusNotFound, "the mail server %s has no messages", m.Name())
	}
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0, badField("message", text,
			"%q is not the number of a message: expected a number such as 1, or %s", text, lastMessage)
	}
	return id, nil
}

func listMailRules(_ *http.Request, m *box.MailServer) (any, error) { return m.Rules(), nil }

func addMailRule(r *http.Request, m *box.MailServer) (any, error) {
	var rule topology.MailRule
	body, err := readBody(r, &rule)
	if err != nil {
		return nil, err
	}
	state, err := m.AddRule(rule)
	if err != nil {
		return nil, inBody(err, body)
	}
	return created{state}, nil
}

func clearMailRules(_ *http.Request, m *box.MailServer) (any, error) {
	m.ClearRules()
	return nil, nil
}

func getMailRule(r *http.Request, m *box.MailServer) (any, error) {
	id, err := mailRuleID(r)
	if err != nil {
		return nil, err
	}
	return m.Rule(id)
}

func removeMailRule(r *http.Request, m *box.MailServer) (any, error) {
	id, err := mailRuleID(r)
	if err != nil {
		return nil, err
	}
	return nil, m.RemoveRule(id)
}

func mailRuleID(r *http.Request) (int, error) {
	text := r.PathValue("rule")
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0, badField("rule", text,
			"%q is not the number of a rule: expected a number such as 1", text)
	}
	return id, nil
}

// MailServers returns the names of the simulated mail servers.
func (c *Client) MailServers(ctx context.Context) (names []string, err error) {
	return names, c.do(ctx, http.MethodGet, "/v1/mail", nil, &names)
}

// Mailbox returns the mail that a simulated mail server has received.
func (c *Client) Mailbox(ctx context.Context, server string) (m box.Mailbox, err error) {
	return m, c.do(ctx, http.MethodGet, mailPath(server, "messages"), nil, &m)
}

// ClearMailbox forgets the mail that a simulated mail server has received.
func (c *Client) ClearMailbox(ctx context.Context, server string) error {
	return c.do(ctx, http.MethodDelete, mailPath(server, "messages"), nil, nil)
}

// Message returns a message in readable form. id is its number, or "last" for the newest one.
func (c *Client) Message(ctx context.Context, server, id string) (m box.MessageContent, err error) {
	return m, c.do(ctx, http.MethodGet, mailPath(server, "messages", id), nil, &m)
}

// CopyMessage writes header and body of a message to w as they were received. id is as that of
// Message. The message is not held in memory.
func (c *Client) CopyMessage(ctx context.Context, server, id string, w io.Writer) error {
	return c.do(ctx, http.MethodGet, mailPath(server, "messages", id, "raw"), nil, w)
}

// MailRules returns the rules of a mail server in the order in which they are evaluated.
func (c *Client) MailRules(ctx context.Context, server string) (
	list []peers.MailRuleState, err error) {
	return list, c.do(ctx, http.MethodGet, mailPath(server, "rules"), nil, &list)
}

// AddMailRule adds a rule to a mail server. rule is a topology.MailRule, or a value that has the
// same form in JSON, such as a map with its keys.
func (c *Client) AddMailRule(ctx context.Context, server string, rule any) (
	state peers.MailRuleState, err error) {
	return state, c.do(ctx, http.MethodPost, mailPath(server, "rules"), rule, &state)
}

// MailRule returns a rule of a mail server.
func (c *Client) MailRule(ctx context.Context, server string, id int) (
	state peers.MailRuleState, err error) {
	return state, c.do(ctx, http.MethodGet, mailPath(server, "rules", strconv.Itoa(id)), nil, &state)
}

// RemoveMailRule removes a rule of a mail server.
func (c *Client) RemoveMailRule(ctx context.Context, server string, id int) error {
	return c.do(ctx, http.MethodDelete, mailPath(server, "rules", strconv.Itoa(id)), nil, nil)
}

// ClearMailRules removes all rules of a mail server, including those of the topology.
func (c *Client) ClearMailRules(ctx context.Context, server string) error {
	return c.do(ctx, http.MethodDelete, mailPath(server, "rules"), nil, nil)
}

// mailPath returns the path of a request about a mail server.
func mailPath(server string, parts ...string) string {
	path := "/v1/mail/" + url.PathEscape(server)
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}
