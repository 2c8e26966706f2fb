package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/dissect"
	"github.com/esasim/esasim/appliance/network/netsim"
)

func (s *Server) packetRoutes() []route {
	return []route{
		{"GET /packets", s.showTapes},
		{"POST /packets/start", s.startRecording},
		{"POST /packets/stop", s.stopRecording},
		{"POST /packets/remove", s.removeRecording},
		{"GET /packets/{id}", s.showTape},
		{"GET /packets/{id}/live", s.streamTape},
		{"GET /packets/{id}/file", s.downloadTape},
		{"GET /packets/{id}/packet/{number}", s.showPacket},
		{"GET /packets/{id}/stream/{number}", s.showStream},
	}
}

// rowsAtATime is the number of rows that a page begins with, and that are sent at a time.
const rowsAtATime = 500

// rowInterval is the time in which packets are collected before they are sent.
const rowInterval = 200 * time.Millisecond

// cableOf returns the name of the cable of a place.
func (s *Server) cableOf(p box.Place) string {
	kinds := map[box.PlaceKind]netsim.CableKind{
		box.InterfacePlace: netsim.InterfaceCable, box.HostPlace: netsim.HostCable,
		box.PathPlace: netsim.PathCable,
	}
	for _, c := range s.box.Cables() {
		if c.Kind == kinds[p.Kind] && (c.Name == p.Name || c.Name == p.String()) {
			return c.Name
		}
	}
	return ""
}

// A tapeView is the data of the page of a recording, or of a row in their list.
type tapeView struct {
	ID      int
	Cable   netsim.Cable
	Filter  string
	Packets int
	Lost    uint64
	Size    int
	Ended   string
	Rows    []packetRow
	Skipped int // packets before Rows
	Form    string
}

// Path returns the address of the page.
func (v tapeView) Path() string { return fmt.Sprintf("/packets/%d", v.ID) }

func (s *Server) viewOf(t *tape) tapeView {
	now := t.state()
	return tapeView{ID: t.id, Cable: t.cable, Filter: t.filter, Packets: now.packets, Lost: now.lost,
		Size: len(now.file), Ended: now.ended, Form: s.access.form}
}

// A tapesView is the data of the list of recordings.
type tapesView struct {
	Cables   []netsim.Cable
	Selected string
	Tapes    []tapeView
	Form     string
}

func (s *Server) showTapes(v *visit) error {
	view := tapesView{Cables: s.box.Cables(), Selected: v.FormValue("cable"), Form: s.access.form}
	s.mu.Lock()
	tapes := slices.Clone(s.tapes)
	s.mu.Unlock()
	for _, t := range tapes {
		view.Tapes = append(view.Tapes, s.viewOf(t))
	}
	return s.show(v, "tapes.html", page{Title: "Packets", Data: view})
}

func (s *Server) startRecording(v *visit) error {
	t, err := s.startTape(v.PostFormValue("cable"), v.PostFormValue("filter"))
	if err != nil {
		return err
	}
	return v.redirect(fmt.Sprintf("/packets/%d", t.id))
}

// findTape returns a recording by its number.
func (s *Server) findTape(text string) (*tape, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.tapes, func(t *tape) bool { return strconv.Itoa(t.id) == text })
	if i < 0 {
		return nil, refuse(http.StatusNotFound, "There is no recording %s.", text)
	}
	return s.tapes[i], nil
}

func (s *Server) stopRecording(v *visit) error {
	t, err := s.findTape(v.PostFormValue("id"))
	if err != nil {
		return err
	}
	t.cancel()
	return v.redirect(fmt.Sprintf("/packets/%d", t.id))
}

func (s *Server) removeRecording(v *visit) error {
	t, err := s.findTape(v.PostFormValue("id"))
	if err != nil {
		return err
	}
	t.cancel()
	s.mu.Lock()
	s.tapes = slices.DeleteFunc(s.tapes, func(x *tape) bool { return x == t })
	s.mu.Unlock()
	return v.redirect("/packets")
}

// A packetRow is a packet in a list.
type packetRow struct {
	dissect.Row
	Tape  int
	Since string // seconds since the first packet
}

// rowsOf returns up to n packets from the i-th on, counted from 0.
func rowsOf(ctx context.Context, tape int, c *dissect.Capture, x *dissect.Index, i, n int) (
	list []packetRow, err error) {
	rows, err := c.Rows(ctx, x, x, nil, i, n)
	for _, r := range rows {
		list = append(list, packetRow{r, tape, fmt.Sprintf("%.6f", r.Time.Sub(x.First).Seconds())})
	}
	return list, err
}

func (s *Server) showTape(v *visit) error {
	t, err := s.findTape(v.PathValue("id"))
	if err != nil {
		return err
	}
	view := s.viewOf(t)
	c, index, err := t.state().open(v.Context(), nil)
	if err != nil {
		return err
	}
	view.Packets, view.Skipped = index.Total, max(0, index.Total-rowsAtATime)
	if view.Rows, err = rowsOf(v.Context(), t.id, c, index, view.Skipped, rowsAtATime); err != nil {
		return err
	}
	return s.show(v, "tape.html", page{Title: "Packets at " + t.cable.Name, Wide: true, Data: view})
}

// streamTape sends the packets after a number as rows.
func (s *Server) streamTape(v *visit) error {
	t, err := s.findTape(v.PathValue("id"))
	if err != nil {
		return err
	}
	text := v.FormValue("since")
	if last := v.Header.Get("Last-Event-ID"); last != "" {
		text = last
	}
	sent, err := strconv.Atoi(text)
	if err != nil || sent < 0 {
		return badRequest("%q is not the number of a packet.", text)
	}
	return s.stream(v, func(out *streamWriter) error {
		var index *dissect.Index
		for {
			now := t.state()
			var c *dissect.Capture
			if c, index, err = now.open(v.Context(), index); err != nil {
				return err
			}
			for sent < index.Total {
				rows, err := rowsOf(v.Context(), t.id, c, index, sent, rowsAtATime)
				if err != nil {
					return err
				}
				html, err := execute("tape.html", "rows", rows)
				if err != nil {
					return err
				}
				sent += len(rows)
				if err := out.row(uint64(sent), html); err != nil {
					return nil //nolint:nilerr // the client has gone
				}
			}
			if now.ended != "" {
				out.html("end", []byte(now.ended)) //nolint:errcheck // the stream ends anyway
				return nil
			}
			if !out.await(now.changed) || !out.pause(rowInterval) {
				return nil
			}
		}
	})
}

// await waits until ch is closed, and reports whether the client is still there.
func (o *streamWriter) await(ch <-chan struct{}) bool {
	for {
		ctx, cancel := context.WithTimeout(o.ctx, heartbeat)
		select {
		case <-ch:
			cancel()
			return true
		case <-ctx.Done():
			cancel()
			if o.ctx.Err() != nil || o.comment("still here") != nil {
				return false
			}
		}
	}
}

func (s *Server) downloadTape(v *visit) error {
	t, err := s.findTape(v.PathValue("id"))
	if err != nil {
		return err
	}
	file := t.state().pcap(t.cable.Link)
	h := v.w.Header()
	h.Set("Content-Type", "application/vnd.tcpdump.pcap")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment",
		map[string]string{"filename": fmt.Sprintf("bench-%d.pcap", t.id)}))
	http.ServeContent(v.w, v.Request, "", clock.System().Now(), bytes.NewReader(file))
	return nil
}

// A packetView is the data of the page of a packet.
type packetView struct {
	dissect.Packet
	Tape           int
	Cable          string
	Previous, Next int // 0: none
}

// openPacket returns the capture of a request, and the number in it.
func (s *Server) openPacket(v *visit) (
	t *tape, c *dissect.Capture, x *dissect.Index, n int, err error) {
	if t, err = s.findTape(v.PathValue("id")); err != nil {
		return nil, nil, nil, 0, err
	}
	n, _ = strconv.Atoi(v.PathValue("number")) // 0 is not found
	c, x, err = t.state().open(v.Context(), nil)
	return t, c, x, n, err
}

// packetError translates errors about a packet.
func packetError(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return refuse(http.StatusNotFound, "There is no packet of this number in the recording.")
	case errors.Is(err, dissect.ErrNotTCP):
		return refuse(http.StatusNotFound, "The packet does not belong to a TCP connection.")
	}
	return err
}

func (s *Server) showPacket(v *visit) error {
	t, c, x, n, err := s.openPacket(v)
	if err != nil {
		return err
	}
	p, err := c.Packet(v.Context(), x, n)
	if err != nil {
		return packetError(err)
	}
	view := packetView{Packet: p, Tape: t.id, Cable: t.cable.Name, Previous: n - 1}
	if n < x.Total {
		view.Next = n + 1
	}
	return s.show(v, "packet.html", page{Title: fmt.Sprintf("Packet %d", n), Data: view})
}

// A streamView is the data of the page of a TCP connection.
type streamView struct {
	dissect.Stream
	Tape, Number int
	Cable        string
}

func (s *Server) showStream(v *visit) error {
	t, c, x, n, err := s.openPacket(v)
	if err != nil {
		return err
	}
	stream, err := c.Follow(v.Context(), x, n, 0, dissect.MaxStreamBytes)
	if err != nil {
		return packetError(err)
	}
	return s.show(v, "stream.html", page{
		Title: "TCP stream", Data: streamView{stream, t.id, n, t.cable.Name},
	})
}
