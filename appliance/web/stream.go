package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/dissect"
)

// streamPage is the number of bytes on a page of a TCP stream. A page of so many parts of one
// byte each is within dissect.MaxStreamParts.
const streamPage = 32 << 10

// A streamView is the data of a page of a TCP stream.
type streamView struct {
	Name, Path, Packet, Only string
	List, Query              string // of the list that led here
	Number                   int
	S                        dissect.Stream
	ToServer, ToClient       string
	Parts                    []streamPart
	Hex                      bool
	Text, HexDump            string // addresses of this page in the two forms
	RawBoth, RawClient       string // addresses of the data
	RawServer                string
	Pager                    pager
	follower
}

// A streamPart is data that one end sent before the other end answered.
type streamPart struct {
	FromClient bool
	Number     int
	Gap, Text  string
}

func (s *site) viewStream(v *visit) error {
	o, err := s.openOrJoined(v)
	if o == nil {
		return err
	}
	defer o.Close()
	view, err := s.streamView(v, o)
	if err != nil {
		return err
	}
	v.title = "TCP Stream of " + view.Name
	return s.show(v, "stream.html", view)
}

// streamView returns the page of the stream that a request asks for. A page that is followed is
// the last one.
func (s *site) streamView(v *visit, o *openCapture) (streamView, error) {
	n := packetNumber(v)
	skip := max(0, parseNumber(v.FormValue("from")))
	var stream dissect.Stream
	err := s.scanStream(v.Context(), func() (err error) {
		stream, err = o.Follow(v.Context(), o.all, n, skip, streamPage)
		if err == nil && stream.Truncated && v.FormValue("follow") != "" {
			skip = lastOf(stream)
			stream, err = o.Follow(v.Context(), o.all, n, skip, streamPage)
		}
		return err
	})
	if err != nil {
		return streamView{}, err
	}
	q := queryOf(v)
	here := fmt.Sprintf("%s/stream/%d", o.path, n)
	only := fmt.Sprintf("host %v and host %v and tcp port %d and tcp port %d",
		stream.Client.Addr(), stream.Server.Addr(), stream.Client.Port(), stream.Server.Port())
	view := streamView{
		Name: o.info.Name(), Path: o.path, Number: n,
		Packet: fmt.Sprintf("%s/packet/%d%s", o.path, n, q),
		S:      stream, List: o.path + q.String(), Query: q.String(),
		ToServer: formatNumber(stream.ToServer), ToClient: formatNumber(stream.ToClient),
		Only:    o.path + viewQuery{only, q.Absolute}.String(),
		Hex:     v.FormValue("as") == "hex",
		Text:    here + q.With("from", strconv.FormatInt(skip, 10)),
		RawBoth: here + "/raw", RawClient: here + "/raw?side=client",
		RawServer: here + "/raw?side=server",
	}
	view.HexDump = here + streamQuery(q, true, skip)
	live := here + "/live" + streamQuery(q, view.Hex, skip)
	view.follower = o.follower(live+"&follow=y", live)
	shown := int64(0)
	for _, p := range stream.Parts {
		part := streamPart{p.FromClient, p.Number, p.Gap(), p.Text()}
		if view.Hex {
			part.Text = hexDump(p.Data, p.Offset)
		}
		view.Parts = append(view.Parts, part)
		shown += int64(len(p.Data))
	}
	view.Pager = streamPager(here, q, view.Hex, skip, shown, stream)
	return view, nil
}

// lastOf returns the position of the first byte on the last page of a stream.
func lastOf(stream dissect.Stream) int64 {
	return (stream.ToServer + stream.ToClient - 1) / streamPage * streamPage
}

// streamQuery returns the query of a page of a stream.
func streamQuery(q viewQuery, hex bool, from int64) string {
	query := q.With("from", strconv.FormatInt(from, 10))
	if hex {
		query += "&as=hex"
	}
	return query
}

func streamPager(here string, q viewQuery, hex bool, skip, shown int64,
	stream dissect.Stream) pager {
	at := func(from int64) string { return here + streamQuery(q, hex, from) }
	p := pager{Label: "Pages", From: formatNumber(skip + min(1, shown)),
		To: formatNumber(skip + shown)}
	if skip > 0 {
		p.First, p.Previous = at(0), at(max(0, skip-streamPage))
	}
	if stream.Truncated {
		p.Next, p.Last = at(skip+shown), at(lastOf(stream))
	}
	return p
}

// downloadStream sends the data of a TCP stream: of both ends, or of the side that the request
// names.
func (s *site) downloadStream(v *visit) error {
	o, err := s.open(v)
	if err != nil {
		return err
	}
	defer o.Close()
	n := packetNumber(v)
	side := v.FormValue("side")
	if side != "" && side != "client" && side != "server" {
		return refuse(http.StatusBadRequest, "The side must be client or server.")
	}
	name := fmt.Sprintf("%s-stream-%d", strings.TrimSuffix(o.info.Name(), ".cap"), n)
	if side != "" {
		name += "-" + side
	}
	w, begun := s.permittedWriter(v), false
	begin := func() {
		if begun {
			return
		}
		begun = true
		h := v.w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", mime.FormatMediaType("attachment",
			map[string]string{"filename": name + ".bin"}))
		v.w.WriteHeader(http.StatusOK)
	}
	err = s.scanStream(v.Context(), func() error {
		return o.CopyStream(v.Context(), o.all, n, func(fromClient bool, data []byte) error {
			if side == "client" && !fromClient || side == "server" && fromClient {
				return nil
			}
			begin()
			_, err := w.Write(data)
			return err
		})
	})
	if err != nil && begun {
		panic(http.ErrAbortHandler) // the client must not take the file for complete
	}
	if err != nil {
		return err
	}
	begin()
	return nil
}

// scanStream calls scan, which passes over the file, in one of the slots of scans. It translates
// errors about the packet.
func (s *site) scanStream(ctx context.Context, scan func() error) error {
	if err := acquire(ctx, s.indexes.slots); err != nil {
		return err
	}
	defer func() { <-s.indexes.slots }()
	switch err := scan(); {
	case errors.Is(err, io.EOF):
		return errNoPacket
	case errors.Is(err, dissect.ErrNotTCP):
		return refuse(http.StatusNotFound, "The packet is not of a TCP connection.")
	default:
		return err
	}
}

// hexDump formats data as lines of 16 bytes. offset is the position of the first byte.
func hexDump(data []byte, offset int64) string {
	var b strings.Builder
	for len(data) > 0 {
		line := data[:min(16, len(data))]
		data = data[len(line):]
		fmt.Fprintf(&b, "%08x  %-48s ", offset, fmt.Sprintf("% x", line))
		for _, c := range line {
			if c < ' ' || c > '~' {
				c = '.'
			}
			b.WriteByte(c)
		}
		b.WriteByte('\n')
		offset += int64(len(line))
	}
	return b.String()
}
