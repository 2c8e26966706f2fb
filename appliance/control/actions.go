package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/esasim/esasim/appliance/box"
)

// Patterns of routes whose bodies may be large.
const (
	loadConfigPattern = "POST /v1/config"
	commandPattern    = "POST /v1/commands"
)

// actionRoutes returns the routes of requests about logs, the configuration and commands.
func (s *Server) actionRoutes() []route {
	return []route{
		{"GET /v1/logs", s.settled(s.listLogs)},
		{"GET /v1/logs/{log}", s.settled(s.getLog)},
		{"GET /v1/config", s.settled(s.getConfig)},
		{loadConfigPattern, s.settled(s.loadConfig)},
		{"GET /v1/config/changes", s.settled(s.getChanges)},
		{"DELETE /v1/config/changes", s.settled(s.discardChanges)},
		{"POST /v1/config/commit", s.settled(s.commitConfig)},
		{commandPattern, s.settled(s.runCommand)},
	}
}

func (s *Server) listLogs(r *http.Request) (any, error) { return s.box.Logs(r.Context()) }

// LogLines are lines of a log.
type LogLines struct {
	Log   string   `json:"log"`
	Lines []string `json:"lines"`
}

// getLog answers with the last lines of a log. With ?follow=1 it answers with plain text that goes
// on until the client leaves.
func (s *Server) getLog(r *http.Request) (any, error) {
	query, name := r.URL.Query(), r.PathValue("log")
	q := box.LogQuery{Match: query.Get("match")}
	if text := query.Get("lines"); text != "" {
		var err error
		if q.Lines, err = strconv.Atoi(text); err != nil || q.Lines < 1 {
			return nil, badField("lines", text, "%q is no number of lines: expected one from 1 to %d",
				text, box.MaxLogLines)
		}
	}
	switch follow := query.Get("follow"); follow {
	case "", "0":
		lines, err := s.box.LogLines(r.Context(), name, q)
		return LogLines{name, lines}, err
	case "1":
		return s.followLog(r, name, q)
	default:
		return nil, badField("follow", follow, "%q, expected 0 or 1", follow)
	}
}

func (s *Server) followLog(r *http.Request, name string, q box.LogQuery) (any, error) {
	probe := q
	probe.Lines = 1
	if _, err := s.box.LogLines(r.Context(), name, probe); err != nil { // before the answer begins
		return nil, err
	}
	return stream(func(w http.ResponseWriter) {
		ctx, cancel := s.untilStop(r.Context())
		defer cancel()
		setHeader(w, "text/plain; charset=utf-8")
		out := http.NewResponseController(w)
		if out.Flush() != nil {
			return
		}
		for line, err := range s.box.FollowLog(ctx, name, q) {
			if err != nil {
				return
			}
			if _, err := fmt.Fprintln(w, line); err != nil || out.Flush() != nil {
				return
			}
		}
	}), nil
}

func (s *Server) getConfig(r *http.Request) (any, error) {
	var text bytes.Buffer
	if err := s.box.Config(&text, r.URL.Query().Get("passphrases")); err != nil {
		return nil, err
	}
	return document{"application/xml", text.Bytes()}, nil
}

// Changes are changes of the configuration that are not committed.
type Changes struct {
	Changes []box.ConfigChange `json:"changes"`
}

func (s *Server) loadConfig(r *http.Request) (any, error) {
	var body struct {
		XML *string `json:"xml"`
	}
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.XML == nil {
		return nil, badField("xml", nil, `expected {"xml": "<config>...</config>"}`)
	}
	changes, err := s.box.LoadConfig([]byte(*body.XML))
	return Changes{changes}, err
}

func (s *Server) getChanges(*http.Request) (any, error) { return Changes{s.box.ConfigChanges()}, nil }

func (s *Server) discardChanges(*http.Request) (any, error) {
	s.box.DiscardConfig()
	return nil, nil
}

func (s *Server) commitConfig(r *http.Request) (any, error) {
	var body struct {
		Comment string `json:"comment"`
		User    string `json:"user"`
	}
	if _, err := readBody(r, &body); err != nil {
		return nil, err
	}
	return s.box.CommitConfig(r.Context(), body.User, body.Comment)
}

func (s *Server) runCommand(r *http.Request) (any, error) {
	var c box.Command
	if _, err := readBody(r, &c); err != nil {
		return nil, err
	}
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	return s.box.Run(ctx, c)
}

// refusedField returns the answer to a request with a value that package box has refused.
func refusedField(err error) (*RequestError, bool) {
	var field *box.FieldError
	var setting *box.ConfigError
	switch {
	case errors.As(err, &field):
		return badField(field.Field, field.Value, "%s", field.Message).(*RequestError), true
	case errors.As(err, &setting):
		refused := badField(setting.Field, setting.Value, "%s", setting.Message).(*RequestError)
		if setting.Value == "" {
			refused.Value = nil
		}
		if setting.Conflict {
			refused.Status = http.StatusConflict
		}
		return refused, true
	}
	return nil, false
}

// Logs returns the subscriptions of the appliance.
func (c *Client) Logs(ctx context.Context) (list []box.Log, err error) {
	return list, c.do(ctx, http.MethodGet, "/v1/logs", nil, &list)
}

// LogLines returns the newest lines of a log that match.
func (c *Client) LogLines(ctx context.Context, name string, q box.LogQuery) ([]string, error) {
	var answer LogLines
	err := c.do(ctx, http.MethodGet, logPath(name, q, false), nil, &answer)
	return answer.Lines, err
}

// FollowLog calls line with the last lines of a log, and with each line as it is written, until ctx
// ends, the simulator stops, or line returns false.
func (c *Client) FollowLog(
	ctx context.Context, name string, q box.LogQuery, line func(string) bool,
) error {
	res, err := c.send(ctx, http.MethodGet, logPath(name, q, true), nil, "text/plain")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		_, err := c.read(res)
		return err
	}
	for lines := bufio.NewReader(res.Body); ; {
		text, err := lines.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read the log: %w", err)
		case !line(text[:len(text)-1]):
			return nil
		}
	}
}

func logPath(name string, q box.LogQuery, follow bool) string {
	v := url.Values{}
	if q.Match != "" {
		v.Set("match", q.Match)
	}
	if q.Lines != 0 {
		v.Set("lines", strconv.Itoa(q.Lines))
	}
	if follow {
		v.Set("follow", "1")
	}
	return "/v1/logs/" + url.PathEscape(name) + "?" + v.Encode()
}

// CopyConfig writes the committed configuration to w. passphrases is one of Box.PassphraseForms; ""
// means masked.
func (c *Client) CopyConfig(ctx context.Context, passphrases string, w io.Writer) error {
	path := "/v1/config"
	if passphrases != "" {
		path += "?passphrases=" + url.QueryEscape(passphrases)
	}
	return c.do(ctx, http.MethodGet, path, nil, w)
}

// LoadConfig loads a configuration, or a part of one, and returns all changes that are not
// committed.
func (c *Client) LoadConfig(ctx context.Context, xml string) ([]box.ConfigChange, error) {
	var answer Changes
	err := c.do(ctx, http.MethodPost, "/v1/config", map[string]string{"xml": xml}, &answer)
	return answer.Changes, err
}

// ConfigChanges returns the changes that are not committed.
func (c *Client) ConfigChanges(ctx context.Context) ([]box.ConfigChange, error) {
	var answer Changes
	err := c.do(ctx, http.MethodGet, "/v1/config/changes", nil, &answer)
	return answer.Changes, err
}

// DiscardConfig removes the changes that are not committed.
func (c *Client) DiscardConfig(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/v1/config/changes", nil, nil)
}

// CommitConfig commits the changes as a user; "" means admin.
func (c *Client) CommitConfig(ctx context.Context, user, comment string) (
	r box.ConfigRevision, err error) {
	body := map[string]string{"user": user, "comment": comment}
	return r, c.do(ctx, http.MethodPost, "/v1/config/commit", body, &r)
}

// Run runs a command line of the appliance.
func (c *Client) Run(ctx context.Context, command box.Command) (r box.CommandResult, err error) {
	return r, c.do(ctx, http.MethodPost, "/v1/commands", command, &r)
}
