package bench

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"
)

func (s *Server) terminalRoutes() []route {
	return []route{
		{"GET /terminal", s.showTerminal},
		{"GET /terminal/socket", s.serveTerminal},
	}
}

// Bounds of a terminal.
const (
	maxMessage      = 64 << 10         // bytes that a client sends at a time
	terminalTimeout = 30 * time.Second // for a client to take output
	maxColumns      = 500
	maxRows         = 300
)

func (s *Server) showTerminal(v *visit) error {
	return s.show(v, "terminal.html", page{Title: "Terminal", Wide: true})
}

// serveTerminal connects a WebSocket with the serial console. Binary messages are what the user
// types and what the console prints; text messages of the client are the size of its terminal, as
// JSON.
func (s *Server) serveTerminal(v *visit) error {
	select {
	case s.terminals <- struct{}{}:
		defer func() { <-s.terminals }()
	default:
		return unavailable("%d terminals are open: close one first.", maxTerminals)
	}
	conn, err := websocket.Accept(v.w, v.Request, nil) // refuses the pages of other sites
	if err != nil {
		return nil //nolint:nilerr // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // it may be closed already
	conn.SetReadLimit(maxMessage)
	ctx, cancel := context.WithCancel(s.requests)
	defer cancel()
	t := &terminal{ctx: ctx, cancel: cancel, conn: conn, columns: 80, rows: 24}
	if err := t.awaitSize(); err != nil {
		return nil //nolint:nilerr // the client has gone
	}
	if err := s.box.Console(ctx, t, t, t.size); err != nil && ctx.Err() == nil {
		s.logger.Warn("a terminal of the bench has ended", "error", err)
	}
	conn.Close(websocket.StatusNormalClosure, "") //nolint:errcheck // the client may have gone
	return nil
}

// A terminal is the browser's end of a WebSocket, as a console sees it.
type terminal struct {
	ctx    context.Context
	cancel context.CancelFunc
	conn   *websocket.Conn
	rest   []byte // input that the console has not taken yet; used by Read only

	mu            sync.Mutex
	columns, rows int
}

// awaitSize reads the first message, which is the size.
func (t *terminal) awaitSize() error {
	kind, data, err := t.conn.Read(t.ctx)
	if err == nil && kind == websocket.MessageText {
		t.resize(data)
	} else {
		t.rest = data
	}
	return err
}

// Read returns what the user types. It returns io.EOF when the client has gone.
func (t *terminal) Read(b []byte) (int, error) {
	for len(t.rest) == 0 {
		kind, data, err := t.conn.Read(t.ctx)
		switch {
		case err != nil:
			return 0, io.EOF
		case kind == websocket.MessageText:
			t.resize(data)
		default:
			t.rest = data
		}
	}
	n := copy(b, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// Close makes a blocked Read return.
func (t *terminal) Close() error {
	t.cancel()
	return nil
}

// Write sends output.
func (t *terminal) Write(b []byte) (int, error) {
	ctx, cancel := context.WithTimeout(t.ctx, terminalTimeout)
	defer cancel()
	if err := t.conn.Write(ctx, websocket.MessageBinary, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// resize takes the size in a message. A message that makes no sense is ignored.
func (t *terminal) resize(data []byte) {
	var size struct{ Columns, Rows int }
	if json.Unmarshal(data, &size) != nil || size.Columns < 1 || size.Rows < 1 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.columns, t.rows = min(size.Columns, maxColumns), min(size.Rows, maxRows)
}

func (t *terminal) size() (columns, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.columns, t.rows
}
