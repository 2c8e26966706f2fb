package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/traffic"
)

// maxMailBody bounds the request for one message, which may have attachments.
const maxMailBody = 64 << 20

// maxWait bounds how long a request waits for the end of a load.
const maxWait = time.Minute

// maxMemberBody is the greatest body that an appliance of a fleet can take. Its server has the limits
// of its own patterns.
const maxMemberBody = max(maxMailBody, 6*box.MaxConfig)

// bodyLimit returns the greatest size of a body for a pattern of a route.
func bodyLimit(pattern string) int64 {
	switch pattern {
	case sendPattern:
		return maxMailBody
	case putSnapshotPattern:
		return box.MaxSnapshotFile
	case loadConfigPattern, commandPattern: // in JSON, a character can take six
		return 6 * box.MaxConfig
	}
	if strings.HasSuffix(pattern, memberPath) {
		return maxMemberBody
	}
	return maxBody
}

const sendPattern = "POST /v1/mail/send"

func (s *Server) trafficRoutes() []route {
	return []route{
		{sendPattern, s.sendMail},
		{"GET /v1/mail/load", s.listLoads},
		{"POST /v1/mail/load", s.startLoad},
		{"GET /v1/loads/{load}", s.getLoad},
		{"DELETE /v1/loads/{load}", s.stopLoad},
		{"GET /v1/mail/traffic", s.getTraffic},
	}
}

func (s *Server) sendMail(r *http.Request) (any, error) {
	var body traffic.Request
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	a, err := s.box.SendMail(r.Context(), body)
	if err != nil && r.Context().Err() == nil {
		return nil, badRequest("%v", err)
	}
	return a, err
}

func (s *Server) startLoad(r *http.Request) (any, error) {
	var body traffic.Load
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	state, err := s.box.StartLoad(body)
	switch {
	case errors.Is(err, traffic.ErrBusy):
		return nil, refuse(http.StatusConflict, "%v", err)
	case errors.Is(err, traffic.ErrStopped):
		return nil, refuse(http.StatusServiceUnavailable, "%v", err)
	case err != nil:
		return nil, badRequest("%v", err)
	}
	return created{state}, nil
}

func (s *Server) listLoads(*http.Request) (any, error) { return s.box.Traffic().Loads(), nil }

// getLoad answers with a load, for whose end it waits with ?timeout=TIME.
func (s *Server) getLoad(r *http.Request) (any, error) {
	id, err := loadID(r)
	if err != nil {
		return nil, err
	}
	wait := time.Duration(0)
	if text := r.URL.Query().Get("timeout"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxWait {
			return nil, badField("timeout", text, "timeout: %q, expected a time such as 1s, at most %v",
				text, maxWait)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	if state, ok := s.box.Traffic().WaitLoad(ctx, id); ok {
		return state, nil
	}
	return nil, refuse(http.StatusNotFound, "there is no load %d", id)
}

func (s *Server) stopLoad(r *http.Request) (any, error) {
	id, err := loadID(r)
	if err != nil {
		return nil, err
	}
	if state, ok := s.box.Traffic().StopLoad(id); ok {
		return state, nil
	}
	return nil, refuse(http.StatusNotFound, "there is no load %d", id)
}

func loadID(r *http.Request) (int, error) {
	text := r.PathValue("load")
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0, refuse(http.StatusNotFound, "there is no load %q: expected a number such as 1", text)
	}
	return id, nil
}

func (s *Server) getTraffic(*http.Request) (any, error) { return s.box.Traffic().Flows(), nil }

// SendMail sends one message from a simulated host to the appliance. The Answer says what became of
// it.
func (c *Client) SendMail(ctx context.Context, r traffic.Request) (a traffic.Answer, err error) {
	return a, c.do(ctx, http.MethodPost, "/v1/mail/send", r, &a)
}

// StartLoad starts a load. load is a traffic.Load, or a value that has the same form in JSON.
func (c *Client) StartLoad(ctx context.Context, load any) (s traffic.State, err error) {
	return s, c.do(ctx, http.MethodPost, "/v1/mail/load", load, &s)
}

// Loads returns the loads, the newest first.
func (c *Client) Loads(ctx context.Context) (list []traffic.State, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/mail/load", nil, &list)
}

// WaitLoad waits for the end of a load, at most for a time, and returns its state.
func (c *Client) WaitLoad(ctx context.Context, id int, wait time.Duration) (s traffic.State, err error) {
	path := fmt.Sprintf("/v1/loads/%d?timeout=%s", id, url.QueryEscape(wait.String()))
	return s, c.do(ctx, http.MethodGet, path, nil, &s)
}

// StopLoad ends a load and returns its state.
func (c *Client) StopLoad(ctx context.Context, id int) (s traffic.State, err error) {
	return s, c.do(ctx, http.MethodDelete, "/v1/loads/"+strconv.Itoa(id), nil, &s)
}

// Traffic returns the states of the flows of the topology.
func (c *Client) Traffic(ctx context.Context) (list []traffic.FlowState, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/mail/traffic", nil, &list)
}
