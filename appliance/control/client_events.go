package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/box"
)

// An Event is an event as a client receives it.
type Event struct {
	Seq    uint64          `json:"seq"`
	Time   time.Time       `json:"time"`
	Kind   string          `json:"kind"`
	Cause  uint64          `json:"cause"` // 0: none
	Fields json.RawMessage `json:"fields"`
}

// An EventQuery selects events. The zero EventQuery selects all from now on.
type EventQuery struct {
	Kind  string // kinds, or their first words, separated by commas
	Match string // a regular expression
	Since string // a cursor, or "all" for those that are kept; "" means from now on
}

func (q EventQuery) values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"kind": q.Kind, "match": q.Match, "since": q.Since} {
		if value != "" {
			v.Set(key, value)
		}
	}
	return v
}

// Events yields events as they happen, until ctx ends. If the request is refused, or the client is
// too slow to receive all of them, the last thing that Events yields is a *RequestError.
func (c *Client) Events(ctx context.Context, q EventQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		res, err := c.send(ctx, http.MethodGet, "/v1/events?"+q.values().Encode(), nil, "text/event-stream")
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer res.Body.Close()
		if res.StatusCode >= http.StatusBadRequest {
			_, err := c.read(res)
			yield(Event{}, err)
			return
		}
		kind := ""
		for lines := bufio.NewReader(res.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, io.EOF) {
					yield(Event{}, fmt.Errorf("read events: %w", err))
				}
				return
			}
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				kind = strings.TrimSpace(name)
			}
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				continue
			}
			e, err := parseEvent(kind, data)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func parseEvent(kind, data string) (e Event, err error) {
	if kind != "error" {
		return e, json.Unmarshal([]byte(data), &e)
	}
	var p Problem
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		return e, err
	}
	return e, &RequestError{Status: p.Status, Text: p.Error, Field: p.Field, Value: p.Value}
}

// Happened is what a wait answers.
type Happened struct {
	For    string      `json:"for"`
	Cursor uint64      `json:"cursor"`
	Event  *Event      `json:"event,omitempty"`
	Packet *box.Packet `json:"packet,omitempty"`
}

// Wait blocks until something happens, or has happened since a cursor. what is one of
// box.WaitWords, or a kind of event; match is a regular expression or, for packets, a filter as of
// tcpdump. since may be empty. If it does not happen in time, the error is a *RequestError with
// status 408, after a reset one with status 409.
func (c *Client) Wait(ctx context.Context, what, match, since string, timeout time.Duration) (
	h Happened, err error) {
	v := EventQuery{Match: match, Since: since}.values()
	v.Set("for", what)
	v.Set("timeout", timeout.String())
	return h, c.do(ctx, http.MethodGet, "/v1/wait?"+v.Encode(), nil, &h)
}

// Reset puts the world and the appliance back to the state after their start. confirm must be set
// if the appliance's directory outlasts the simulator.
func (c *Client) Reset(ctx context.Context, confirm bool) (r Reset, err error) {
	path := "/v1/reset"
	if confirm {
		path += "?confirm=1"
	}
	return r, c.do(ctx, http.MethodPost, path, nil, &r)
}

// Restore puts the world and the appliance back to the state that a snapshot has saved. confirm is as
// for Reset.
func (c *Client) Restore(ctx context.Context, snapshot string, confirm bool) (r Reset, err error) {
	query := url.Values{"to": {snapshot}}
	if confirm {
		query.Set("confirm", "1")
	}
	return r, c.do(ctx, http.MethodPost, "/v1/reset?"+query.Encode(), nil, &r)
}

// EventsSince returns past events after a cursor, and the cursor for those that follow; 0 means
// those that are kept.
func (c *Client) EventsSince(ctx context.Context, cursor uint64) (list []Event, next uint64, err error) {
	path := "/v1/events"
	if cursor > 0 {
		path += "?since=" + strconv.FormatUint(cursor, 10)
	}
	var page struct {
		Events []Event
		Cursor uint64
	}
	err = c.do(ctx, http.MethodGet, path, nil, &page)
	return page.Events, page.Cursor, err
}
