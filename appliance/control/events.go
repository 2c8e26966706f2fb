package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network/netsim"
)

func (s *Server) eventRoutes() []route {
	return []route{
		{"GET /v1/events", s.getEvents},
		{"GET /v1/wait", s.wait},
		{"POST /v1/reset", s.reset},
	}
}

// heartbeat is the time without an event after which a comment is sent to clients of the stream, so
// that those that have gone are noticed.
const heartbeat = 15 * time.Second

// An EventPage is a part of what has happened.
type EventPage struct {
	Events []events.Event `json:"events"`
	Cursor uint64         `json:"cursor"` // for the request that follows
}

// getEvents answers with past events if the client wants JSON, and otherwise with a stream of
// server-sent events that goes on until the client leaves.
func (s *Server) getEvents(r *http.Request) (any, error) {
	query := r.URL.Query()
	filter, err := events.ParseFilter(query.Get("kind"), query.Get("match"), box.EventTopics())
	var mistake *events.FilterError
	if errors.As(err, &mistake) {
		return nil, badField(mistake.Field, mistake.Value, "%s", mistake.Message)
	}
	page := strings.Contains(r.Header.Get("Accept"), "application/json")
	cursor, err := s.cursor(r, page)
	if err != nil {
		return nil, err
	}
	if page {
		return s.eventPage(cursor, filter)
	}
	if oldest := s.box.EventStream().Oldest(); cursor > 0 && cursor < oldest {
		return nil, goneOf(&events.GoneError{After: cursor, Oldest: oldest})
	}
	return stream(func(w http.ResponseWriter) { s.streamEvents(r.Context(), w, cursor, filter) }), nil
}

// cursor returns the cursor that a request names. Without one it is the last event, or, if past is
// set, 0 for the oldest one that is kept. The number of that one would be out of date if more events
// were published before the first is read.
func (s *Server) cursor(r *http.Request, past bool) (uint64, error) {
	field, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		field, text = "since", r.URL.Query().Get("since")
	}
	now := s.box.Cursor() // which has events kept
	switch {
	case text == "all" || text == "" && past:
		return 0, nil
	case text == "":
		return now, nil
	}
	cursor, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, badField(field, text,
			"%q is not a cursor: expected the number of an event, or all", text)
	}
	return cursor, nil
}

// goneOf returns the answer to a request with a cursor that is too old.
func goneOf(e *events.GoneError) error {
	refused := badField("since", e.After, "%v", e).(*RequestError)
	refused.Status = http.StatusGone
	return refused
}

func (s *Server) eventPage(cursor uint64, filter events.Filter) (any, error) {
	page := EventPage{[]events.Event{}, cursor}
	for len(page.Events) == 0 {
		list, err := s.box.EventStream().After(page.Cursor)
		var gone *events.GoneError
		switch {
		case errors.As(err, &gone):
			return nil, goneOf(gone)
		case err != nil:
			return nil, err
		case len(list) == 0:
			return page, nil
		}
		for _, e := range list {
			page.Cursor = e.Seq
			if filter.Selects(e) {
				page.Events = append(page.Events, e)
			}
		}
	}
	return page, nil
}

// streamEvents sends events until ctx ends.
func (s *Server) streamEvents(
	ctx context.Context, w http.ResponseWriter, cursor uint64, filter events.Filter,
) {
	ctx, cancel := s.untilStop(ctx)
	defer cancel()
	setHeader(w, "text/event-stream")
	out := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	if !send(": events after %d\n\n", cursor) {
		return
	}
	for ctx.Err() == nil {
		waiting, stop := context.WithTimeout(ctx, heartbeat)
		for e, err := range s.box.Events(waiting, cursor) {
			if err != nil {
				text, _ := json.Marshal(problemOf(goneOf(err.(*events.GoneError)))) // it has a form in JSON
				send("event: error\ndata: %s\n\n", text)
				stop()
				return
			}
			cursor = e.Seq
			if !filter.Selects(e) {
				continue
			}
			text, err := json.Marshal(e)
			if err != nil || !send("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Fields.Kind(), text) {
				stop()
				return
			}
		}
		stop()
		if !send(": %d\n\n", cursor) {
			return
		}
	}
}

// untilStop returns a context that ends with ctx or when the server begins to stop.
func (s *Server) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.streamCtx, func() { end(errStopping) })
	return ctx, func() {
		stop()
		end(nil)
	}
}

// errStopping is the cause with which streams and waits end when the server stops.
var errStopping = errors.New("the simulator stops")

// Bounds of the time that a request may wait.
const (
	defaultWait = 30 * time.Second
	longestWait = time.Hour
)

// errTimeout is the cause with which a wait ends in vain.
var errTimeout = errors.New("it did not happen in time")

// wait answers when something happens.
func (s *Server) wait(r *http.Request) (any, error) {
	query := r.URL.Query()
	timeout := defaultWait
	if text := query.Get("timeout"); text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil || timeout <= 0 || timeout > longestWait {
			return nil, badField("timeout", text, "%q is no time to wait: expected one such as 30s, at most %v",
				text, longestWait)
		}
	}
	request := box.WaitRequest{For: query.Get("for"), Match: query.Get("match")}
	var err error
	if request.Since, err = s.cursor(r, false); err != nil {
		return nil, err
	}
	if request.For == "packet" && query.Get("since") != "" {
		return nil, badField("since", query.Get("since"),
			"packets are not kept: expected no cursor in a wait for a packet")
	}
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	ctx, stop := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer stop()
	happened, err := s.box.WaitFor(ctx, request)
	var wrong *box.WaitError
	var gone *events.GoneError
	switch {
	case errors.As(err, &wrong):
		return nil, badField(wrong.Field, wrong.Value, "%s", wrong.Message)
	case errors.As(err, &gone):
		return nil, goneOf(gone)
	case errors.Is(err, box.ErrReset):
		return nil, refuse(http.StatusConflict, "%v", box.ErrReset)
	case errors.Is(err, errTimeout):
		return nil, refuse(http.StatusRequestTimeout, "%s did not happen within %v", request.For, timeout)
	case errors.Is(err, errStopping), err != nil && r.Context().Err() != nil:
		return nil, refuse(http.StatusServiceUnavailable, "%v", errStopping)
	}
	return happened, err
}

// A Reset is the answer to a reset.
type Reset struct {
	Took   netsim.Duration `json:"took"`
	Cursor uint64          `json:"cursor"` // of the events since the reset
}

func (s *Server) reset(r *http.Request) (any, error) {
	if confirm := r.URL.Query().Get("confirm"); s.box.Persistent() && confirm != "1" {
		refused := badField("confirm", confirm, "a reset discards configuration, files and mail of a"+
			" data directory that outlasts the simulator: confirm it with ?confirm=1").(*RequestError)
		refused.Status = http.StatusConflict
		return nil, refused
	}
	if err := s.box.WaitSettled(r.Context()); err != nil && !errors.Is(err, box.ErrOff) {
		return nil, err
	}
	cursor, started := s.box.Cursor(), clock.System().Now()
	var err error
	if query := r.URL.Query(); query.Has("to") { // also "": a script's variable may be unset
		err = s.box.Restore(r.Context(), query.Get("to"))
	} else {
		err = s.box.Reset(r.Context())
	}
	var notFound *netsim.NotFoundError
	switch {
	case errors.As(err, &notFound):
		return nil, err
	case err != nil:
		return nil, refuse(http.StatusServiceUnavailable, "%v", err)
	}
	return Reset{netsim.Duration(clock.System().Now().Sub(started)), cursor}, nil
}
