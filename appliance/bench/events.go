package bench

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/logs"
)

func (s *Server) eventRoutes() []route {
	return []route{
		{"GET /events", s.showEvents},
		{"GET /events/live", s.streamEvents},
		{"GET /logs", s.showLogs},
		{"GET /logs/live", s.streamLogs},
	}
}

// Bounds of lists of events.
const (
	firstRows   = 200 // past events that a page begins with
	maxRowBytes = 2000
	heartbeat   = 15 * time.Second
)

// An eventRow is an event in a list.
type eventRow struct {
	Seq, Cause uint64
	Time       string
	Kind       string // of an event
	Log, Level string // of a line of a log
	Text       string
	Bad        bool // something was refused or failed
}

func rowOf(e events.Event) eventRow {
	row := eventRow{Seq: e.Seq, Cause: e.Cause, Time: e.Wall.Format("15:04:05.000"),
		Kind: e.Fields.Kind(), Text: events.Summary(e.Fields)}
	if line, ok := e.Fields.(logs.LineWritten); ok {
		row.Log, row.Level = string(line.Log), line.Level
		row.Bad = line.Level == "Warning" || line.Level == "Critical"
	}
	for _, word := range []string{"refused", "failed", "fault.hit", "bounced", "rejected", "alert."} {
		row.Bad = row.Bad || strings.Contains(row.Kind, word)
	}
	if len(row.Text) > maxRowBytes {
		row.Text = row.Text[:maxRowBytes] + "…"
	}
	return row
}

// An eventsView is the data of the pages of events and of logs.
type eventsView struct {
	Rows   []eventRow
	Cursor uint64
	Topics []string // or types of logs
	Kind   string
	Match  string
	Live   string
	Wrong  string // what is wrong with the filter
	Path   string
	Form   string
}

// An eventFilter selects events for a page.
type eventFilter struct {
	events.Filter
	log string // the type of log; "" selects all
}

func (f eventFilter) selects(e events.Event) bool {
	if line, ok := e.Fields.(logs.LineWritten); ok && f.log != "" && string(line.Log) != f.log {
		return false
	}
	return f.Selects(e)
}

// filterOf returns the filter in the query of a request.
func filterOf(v *visit, ofLogs bool) (eventFilter, error) {
	kind, log := v.FormValue("kind"), ""
	if ofLogs {
		kind, log = "log.line", kind
	}
	f, err := events.ParseFilter(kind, v.FormValue("match"), box.EventTopics())
	return eventFilter{f, log}, err
}

func (s *Server) showEvents(v *visit) error {
	return s.showEventList(v, "events.html", "Events", box.EventTopics())
}

func (s *Server) showLogs(v *visit) error {
	var types []string
	for _, t := range logs.Types(s.box.Appliance().Product.Version) {
		if t.Format == logs.Lines {
			types = append(types, string(t.Type))
		}
	}
	return s.showEventList(v, "logs.html", "Logs", types)
}

// showEventList shows the last events that a filter selects.
func (s *Server) showEventList(v *visit, template, title string, topics []string) error {
	view := eventsView{
		Topics: topics, Kind: v.FormValue("kind"), Match: v.FormValue("match"), Path: v.URL.Path,
		Cursor: s.box.Cursor(), Form: s.access.form,
	}
	f, err := filterOf(v, template == "logs.html")
	var mistake *events.FilterError
	if errors.As(err, &mistake) {
		view.Wrong = mistake.Message
		return s.render(v, http.StatusBadRequest, template, page{Title: title, Wide: true, Data: view})
	} else if err != nil {
		return err
	}
	view.Rows, view.Cursor = s.lastEvents(f)
	q := url.Values{"kind": {view.Kind}, "match": {view.Match}}
	view.Live = view.Path + "/live?" + q.Encode()
	return s.show(v, template, page{Title: title, Wide: true, Data: view})
}

// lastEvents returns the last kept events that a filter selects, and the cursor for those that
// follow.
func (s *Server) lastEvents(f eventFilter) (rows []eventRow, cursor uint64) {
	stream := s.box.EventStream()
	cursor = stream.Oldest()
	for {
		list, err := stream.After(cursor)
		var gone *events.GoneError
		if errors.As(err, &gone) { // events came faster than they are read
			cursor = gone.Oldest
			continue
		}
		if err != nil || len(list) == 0 {
			break
		}
		for _, e := range list {
			cursor = e.Seq
			if f.selects(e) {
				rows = append(rows, rowOf(e))
			}
		}
		rows = slices.Clone(rows[max(0, len(rows)-firstRows):])
	}
	return rows, cursor
}

func (s *Server) streamEvents(v *visit) error { return s.streamEventList(v, "events.html") }

func (s *Server) streamLogs(v *visit) error { return s.streamEventList(v, "logs.html") }

// streamEventList sends each event after a cursor as a row.
func (s *Server) streamEventList(v *visit, template string) error {
	f, err := filterOf(v, template == "logs.html")
	if err != nil {
		return badRequest("%v", err)
	}
	text := v.FormValue("since")
	if last := v.Header.Get("Last-Event-ID"); last != "" {
		text = last
	}
	cursor, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		cursor = s.box.Cursor()
	}
	return s.stream(v, func(out *streamWriter) error {
		for v.Context().Err() == nil {
			waiting, stop := context.WithTimeout(v.Context(), heartbeat)
			err := s.sendEvents(waiting, out, template, f, &cursor)
			stop()
			if err != nil || out.comment("still here") != nil {
				return nil //nolint:nilerr // the client has gone
			}
		}
		return nil
	})
}

// sendEvents sends events until ctx ends. The error is that of a client that has gone.
func (s *Server) sendEvents(
	ctx context.Context, out *streamWriter, template string, f eventFilter, cursor *uint64,
) error {
	for e, err := range s.box.Events(ctx, *cursor) {
		var gone *events.GoneError
		if errors.As(err, &gone) {
			*cursor = gone.Oldest
			return out.html("gap", []byte("Some events came too fast to be shown."))
		}
		if err != nil {
			return nil //nolint:nilerr // ctx has ended
		}
		*cursor = e.Seq
		if !f.selects(e) {
			continue
		}
		html, err := execute(template, "row", rowOf(e))
		if err != nil {
			return err
		}
		if err := out.row(e.Seq, html); err != nil {
			return err
		}
	}
	return nil
}
