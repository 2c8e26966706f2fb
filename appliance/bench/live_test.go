package bench_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
)

// A stream is an open stream of server-sent events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

// follow opens a stream until the test ends.
func (c *client) follow(t *testing.T, path string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		a.Body.Close()
	})
	if kind := a.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%s is %s", path, kind)
	}
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	return &stream{t, lines}
}

// next returns the data of the next event of a kind.
func (s *stream) next(kind string) string {
	s.t.Helper()
	var data []string
	is := ""
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "event":
			is = value
		case "data":
			data = append(data, value)
		case "":
			if is == kind {
				return strings.Join(data, "\n")
			}
			data, is = nil, ""
		}
	}
	s.t.Fatalf("the stream ends without an event %q: %v", kind, s.lines.Err())
	return ""
}

// until returns the data of the first event of a kind that contains a text.
func (s *stream) until(kind, text string) string {
	s.t.Helper()
	for {
		if data := s.next(kind); strings.Contains(data, text) {
			return data
		}
	}
}

// TestStreams: what is live on pages.
func TestStreams(t *testing.T) {
	b, c := open(t)
	network := c.follow(t, "/network/live?at=host%2Fresolver")
	network.next("counts")
	faults := c.follow(t, "/faults/live")
	faults.until("faults", "no faults")
	b.Exec("nslookup google.com")
	network.until("counts", `"host/resolver"`)
	c.post("/network/break", "at", "host/resolver", "action", "delay", "amount", "1ms")
	network.until("picture", "fault: delay")
	faults.until("faults", "delay 1ms cable resolver")
	tables := c.follow(t, "/tables/live")
	tables.until("neighbors", "10.0.202.53")
	c.follow(t, "/servers/live").until("servers", "resolver/dns")
	c.follow(t, "/world/live").until("state", "up</span> since")
}

// TestEventsPage: filters, mistakes in filters, and rows that follow.
func TestEventsPage(t *testing.T) {
	b, c := open(t)
	b.Exec("version")
	has(t, c.get("/events?kind=command"), "<td>command.entered</td>", "version")
	if text := c.get("/events?kind=mail"); strings.Contains(text, "command.entered") {
		t.Error("the filter does not work")
	}
	for path, want := range map[string]string{
		"/events?kind=nothing": "there are no events of kind", "/events?match=(": "expected a regular expression",
		"/logs?match=(": "expected a regular expression",
	} {
		status, text := c.do(http.MethodGet, path, nil)
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, status)
		}
		has(t, text, want)
	}
	rows := c.follow(t, "/events/live?kind=command&since=0")
	rows.until("row", "version")
	b.Exec("who")
	rows.until("row", "who")
}

// TestLogsPage: lines of one log that match.
func TestLogsPage(t *testing.T) {
	b, c := open(t)
	lines := c.follow(t, "/logs/live?kind=mail&match=RID")
	sendMail(t, b, "Subject: hello\r\n\r\nhello\r\n")
	if row := lines.until("row", "RID"); !strings.Contains(row, "<td>mail</td>") {
		t.Errorf("the row is %s", row)
	}
	text := c.get("/logs?kind=mail&match=RID")
	has(t, text, "RID", `<option selected>mail</option>`)
	if strings.Contains(text, "New SMTP ICID") {
		t.Error("the filter does not work")
	}
}
