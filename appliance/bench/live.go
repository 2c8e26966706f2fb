package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A streamWriter sends server-sent events to one client.
type streamWriter struct {
	ctx context.Context
	w   http.ResponseWriter
	out *http.ResponseController
}

// stream answers with a stream that send writes, until send returns or the client leaves.
func (s *Server) stream(v *visit, send func(*streamWriter) error) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return refuse(http.StatusServiceUnavailable,
			"%d pages are open that show something live: close one, and load this page again.", maxStreams)
	}
	v.w.Header().Set("Content-Type", "text/event-stream")
	out := &streamWriter{v.Context(), v.w, http.NewResponseController(v.w)}
	if err := out.comment("begin"); err != nil {
		return nil //nolint:nilerr // the client has gone
	}
	if err := send(out); err != nil && v.Context().Err() == nil {
		_, text := statusOf(err)
		out.html("failed", []byte(text)) //nolint:errcheck // the stream ends anyway
	}
	return nil
}

// comment sends a line that scripts ignore. It shows whether the client is still there.
func (o *streamWriter) comment(text string) error {
	if _, err := fmt.Fprintf(o.w, ": %s\n\n", text); err != nil {
		return err
	}
	return o.out.Flush()
}

// html sends an event whose data is a text, in lines.
func (o *streamWriter) html(event string, text []byte) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", event)
	for line := range bytes.Lines(text) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	if _, err := o.w.Write(b.Bytes()); err != nil {
		return err
	}
	return o.out.Flush()
}

// json sends an event whose data is JSON.
func (o *streamWriter) json(event string, x any) error {
	text, err := json.Marshal(x)
	if err != nil {
		return err
	}
	return o.html(event, text)
}

// pause waits, and reports whether the client is still there.
func (o *streamWriter) pause(d time.Duration) bool {
	return clock.System().Sleep(o.ctx, d) == nil
}

// streamParts sends parts of a page when they have changed: the definitions of a template with
// these names, with the data that view returns. Scripts replace the elements with the same
// data-part.
func (s *Server) streamParts(
	v *visit, template string, view func() (any, error), parts ...string,
) error {
	return s.stream(v, func(out *streamWriter) error {
		sent := map[string]string{}
		for {
			data, err := view()
			if _, why := s.box.Health(); err != nil && why != nil { // it may come up again
				if out.comment("not up") != nil || !out.pause(liveInterval) {
					return nil
				}
				continue
			}
			if err != nil {
				return err
			}
			changed := false
			for _, part := range parts {
				html, err := execute(template, part, data)
				if err != nil {
					return err
				}
				if sent[part] == string(html) {
					continue
				}
				sent[part], changed = string(html), true
				if err := out.html(part, html); err != nil {
					return nil //nolint:nilerr // the client has gone
				}
			}
			if !changed && out.comment("unchanged") != nil || !out.pause(liveInterval) {
				return nil
			}
		}
	})
}

// row sends an event that adds a row to a list. A browser that connects again names the id.
func (o *streamWriter) row(id uint64, html []byte) error {
	if _, err := fmt.Fprintf(o.w, "id: %d\n", id); err != nil {
		return err
	}
	return o.html("row", html)
}
