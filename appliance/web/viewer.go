package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/dissect"
	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/pcapfilter"
)

// perPage is how many packets a page of the list has.
const perPage = 100

// An opened capture is one that somebody looks into.
type openCapture struct {
	*dissect.Capture
	file *files.File
	info fs.FileInfo
	all  *dissect.Index
	path string // of the page, without its query
}

func (o *openCapture) Close() error { return o.file.Close() }

// open opens the capture that a request names. The caller closes it.
func (s *site) open(v *visit) (_ *openCapture, err error) {
	name := v.PathValue("name")
	f, info, err := s.storedCapture(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(formatRefusal(err), f.Close())
		}
	}()
	c, err := dissect.Open(f, info.Size())
	if err != nil {
		return nil, err
	}
	all, err := s.indexes.of(v.Context(), f, info, c, "", nil)
	if err != nil {
		return nil, err
	}
	return &openCapture{c, f, info, all, capturePage.Path + "/view/" + url.PathEscape(name)}, nil
}

func formatRefusal(err error) error {
	if errors.Is(err, dissect.ErrFormat) {
		return refuse(http.StatusUnprocessableEntity, "The file is not a packet capture that can be shown here.")
	}
	return err
}

// A packetList is a page of a capture's packets.
type packetList struct {
	Name, Path, Download string
	Size, Span           string
	Filter               string
	Check                filterCheck // of Filter
	Applied              string      // the filter of what is shown, where Filter is not valid the one before
	Shown, Total         string
	Rows                 template.HTML // see packetRows
	Chart                *chart
	Pager                pager
}

// A pager leads to other pages.
type pager struct {
	From, To        string // packets on this page, of those selected
	First, Previous string // addresses, "" where there is nothing to go to
	Next, Last      string
}

func (s *site) viewCapture(v *visit) error {
	o, err := s.open(v)
	if err != nil {
		return err
	}
	defer o.Close()
	list := packetList{
		Name: o.info.Name(), Path: o.path, Size: formatSize(o.info.Size()), Total: formatNumber(int64(o.all.Total)),
		Download: capturePage.Path + "/files/" + url.PathEscape(o.info.Name()), Filter: trimmed(v.Form, "filter"),
	}
	status := http.StatusOK
	if _, list.Check, err = viewFilter(list.Filter); err != nil {
		return err
	}
	if list.Applied = list.Filter; !list.Check.OK {
		status, list.Applied = http.StatusUnprocessableEntity, trimmed(v.Form, "shown")
	}
	sel, err := s.selectPackets(v, o, list.Applied)
	if err != nil {
		return err
	}
	list.Applied = sel.expr
	index := sel.index
	page, _ := strconv.Atoi(v.FormValue("page")) // anything else is the first
	page = max(1, min(page, pageCount(index.Selected)))
	rows, err := o.Rows(v.Context(), index, o.all, sel.filter, (page-1)*perPage, perPage)
	if err != nil {
		return formatRefusal(err)
	}
	list.Rows = s.packetRows(o.path, sel.expr, rows)
	list.Shown, list.Chart = formatNumber(int64(index.Selected)), s.chartOf(index)
	if index.Selected > 0 {
		list.Span = formatSpan(index.Last.Sub(index.First))
	}
	list.Pager = pagerOf(o.path, list.Applied, page, index.Selected, len(rows))
	v.title = list.Name
	return s.render(v, status, "packets.html", list)
}

// A selection is what a filter selects of a capture. Without a filter it is everything.
type packetSelection struct {
	expr   string
	filter *pcapfilter.Filter
	index  *dissect.Index
}

// selectPackets takes a filter that is not valid for none.
func (s *site) selectPackets(v *visit, o *openCapture, expr string) (packetSelection, error) {
	filter, _, err := viewFilter(expr)
	if err != nil {
		return packetSelection{}, err
	}
	if filter == nil {
		return packetSelection{index: o.all}, nil
	}
	index, err := s.indexes.of(v.Context(), o.file, o.info, o.Capture, expr, filter)
	return packetSelection{expr, filter, index}, formatRefusal(err)
}

// packetRows are the rows of a page's table. They are written here, as a template would
// take longer for them than everything else takes.
func (s *site) packetRows(path, filter string, rows []dissect.Row) template.HTML {
	var b strings.Builder
	path = html.EscapeString(path)
	query := html.EscapeString(filterQuery(filter))
	for _, r := range rows {
		protocol := html.EscapeString(r.Protocol)
		fmt.Fprintf(&b, `<tr class="p-%s"><td class="n"><a href="%s/packet/%d%s" aria-label="Packet %[3]d">%[3]d</a></td><td class="t">%[5]s</td><td>%[6]s</td><td>%[7]s</td><td>%[1]s</td><td class="info">%[8]s</td><td>`,
			protocol, path, r.Number, query, s.formatPacketTime(r.Time), html.EscapeString(r.Source), html.EscapeString(r.Destination), html.EscapeString(r.Info))
		if r.HasStream {
			fmt.Fprintf(&b, `<a href="%s/stream/%d%s" aria-label="Follow the TCP stream of packet %[2]d">Follow</a>`, path, r.Number, query)
		}
		b.WriteString("</td></tr>\n")
	}
	return template.HTML(b.String()) //nolint:gosec // all that is not ours was escaped
}

// viewFilter compiles a filter for looking; nil selects everything. Names of hosts are
// not known here: what was recorded are addresses.
func viewFilter(expr string) (*pcapfilter.Filter, filterCheck, error) {
	f, check, err := compile(expr, pcapfilter.Options{})
	if strings.Contains(check.Text, "unknown host") {
		check.Text += " Names are not looked up here: enter an address."
	}
	return f, check, err
}

// checkViewFilter judges what somebody types for looking, as viewCapture will.
func (s *site) checkViewFilter(v *visit) error {
	_, check, err := viewFilter(trimmed(v.Form, "filter"))
	if err != nil {
		return err
	}
	return answerJSON(v.w, check)
}

// filterQuery is what an address ends with where a filter goes along.
func filterQuery(filter string) string {
	if filter == "" {
		return ""
	}
	return "?" + url.Values{"filter": {filter}}.Encode()
}

func pageCount(n int) int { return max(1, (n+perPage-1)/perPage) }

// pageAt is the address of the n-th page of what a filter selects.
func pageAt(path, filter string, n int) string {
	q := url.Values{"page": {strconv.Itoa(n)}}
	if filter != "" {
		q.Set("filter", filter)
	}
	return path + "?" + q.Encode() + "#packets"
}

func pagerOf(path, filter string, page, selected, shown int) pager {
	at := func(n int) string { return pageAt(path, filter, n) }
	p := pager{From: formatNumber(int64((page-1)*perPage + min(1, shown))), To: formatNumber(int64((page-1)*perPage + shown))}
	if page > 1 {
		p.First, p.Previous = at(1), at(page-1)
	}
	if last := pageCount(selected); page < last {
		p.Next, p.Last = at(page+1), at(last)
	}
	return p
}

// stamp is the time of a packet (A3).
func (s *site) formatPacketTime(t time.Time) string {
	return t.In(s.appliance.Zone()).Format("2006-01-02 15:04:05.000000")
}

// span is a length of time, short.
func formatSpan(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Microsecond).String()
	case d < time.Minute:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// A packetView is one packet.
type packetView struct {
	Name, Filter   string
	List           string // address of the page of the list where it is
	P              dissect.Packet
	Time           string
	Previous, Next string
	Stream         string
}

// number is the one of a packet in a request's path.
func (v *visit) number() int {
	n, err := strconv.Atoi(v.PathValue("number"))
	if err != nil {
		return 0
	}
	return n
}

var errNoPacket = refuse(http.StatusNotFound, "There is no packet of this number in the capture.")

func (s *site) viewPacket(v *visit) error {
	o, err := s.open(v)
	if err != nil {
		return err
	}
	defer o.Close()
	n := v.number()
	p, err := o.Packet(v.Context(), o.all, n)
	if errors.Is(err, io.EOF) {
		return errNoPacket
	}
	if err != nil {
		return formatRefusal(err)
	}
	sel, err := s.selectPackets(v, o, trimmed(v.Form, "filter"))
	if err != nil {
		return err
	}
	beside, err := s.neighbors(v.Context(), o, sel, n)
	if err != nil {
		return formatRefusal(err)
	}
	query := filterQuery(sel.expr)
	view := packetView{Name: o.info.Name(), Filter: sel.expr, P: p, Time: s.formatPacketTime(p.Time), List: pageAt(o.path, sel.expr, beside.Rank/perPage+1)}
	if beside.Previous > 0 {
		view.Previous = fmt.Sprintf("%s/packet/%d%s", o.path, beside.Previous, query)
	}
	if beside.Next > 0 {
		view.Next = fmt.Sprintf("%s/packet/%d%s", o.path, beside.Next, query)
	}
	if p.HasStream {
		view.Stream = fmt.Sprintf("%s/stream/%d%s", o.path, n, query)
	}
	v.title = fmt.Sprintf("Packet %d of %s", n, view.Name)
	return s.show(v, "packet.html", view)
}

// A streamView is a TCP connection as text.
type streamView struct {
	Name, Path, Packet, Only string
	List, Query              string // of the list that one came from
	Number                   int
	S                        dissect.Stream
	ToServer, ToClient       string
	Shown                    string // how much
}

func (s *site) viewStream(v *visit) error {
	o, err := s.open(v)
	if err != nil {
		return err
	}
	defer o.Close()
	n := v.number()
	stream, err := s.follow(v.Context(), o, n)
	switch {
	case errors.Is(err, io.EOF):
		return errNoPacket
	case errors.Is(err, dissect.ErrNotTCP):
		return refuse(http.StatusNotFound, "The packet is not of a TCP connection.")
	case err != nil:
		return formatRefusal(err)
	}
	shown := 0
	for _, p := range stream.Parts {
		shown += len(p.Data)
	}
	expr := trimmed(v.Form, "filter")
	query := filterQuery(expr)
	v.title = fmt.Sprintf("TCP Stream of %s", o.info.Name())
	only := fmt.Sprintf("host %v and host %v and tcp port %d and tcp port %d", stream.Client.Addr(), stream.Server.Addr(), stream.Client.Port(), stream.Server.Port())
	return s.show(v, "stream.html", streamView{
		Name: o.info.Name(), Path: o.path, Number: n, Packet: fmt.Sprintf("%s/packet/%d%s", o.path, n, query), S: stream, List: o.path + query, Query: query,
		ToServer: formatNumber(stream.ToServer), ToClient: formatNumber(stream.ToClient), Shown: formatSize(int64(shown)),
		Only: o.path + "?" + url.Values{"filter": {only}}.Encode(),
	})
}

// follow is a pass over the file, as a scan is.
func (s *site) follow(ctx context.Context, o *openCapture, n int) (dissect.Stream, error) {
	if err := acquire(ctx, s.indexes.slots); err != nil {
		return dissect.Stream{}, err
	}
	defer func() { <-s.indexes.slots }()
	return o.Follow(ctx, o.all, n)
}

// beside is one, too, where few packets are selected.
func (s *site) neighbors(ctx context.Context, o *openCapture, sel packetSelection, n int) (dissect.Neighbors, error) {
	if err := acquire(ctx, s.indexes.slots); err != nil {
		return dissect.Neighbors{}, err
	}
	defer func() { <-s.indexes.slots }()
	return o.Neighbors(ctx, sel.index, sel.filter, n)
}

// A chart is packets and bytes over time, in the units of its SVG.
type chart struct {
	Bars                   template.HTML
	Bytes                  string // points of a line
	Width, Height          int
	Start, End             string
	MostPackets, MostBytes string
	Column                 string // what one stands for
	Label                  string
}

// Size of the chart's drawing.
const (
	chartWidth  = 720
	chartHeight = 96
)

func (s *site) chartOf(x *dissect.Index) *chart {
	if x.Selected == 0 {
		return nil
	}
	var packets int
	var octets int64
	for _, c := range x.Columns {
		packets, octets = max(packets, c.Packets), max(octets, c.Bytes)
	}
	c := &chart{
		Width: chartWidth, Height: chartHeight, Column: formatSpan(x.ColumnWidth),
		Start: s.formatPacketTime(x.First), End: s.formatPacketTime(x.Last),
		MostPackets: formatNumber(int64(packets)), MostBytes: formatSize(octets),
	}
	c.Label = fmt.Sprintf("%s packets and %s from %s to %s; at most %s packets and %s in %s.", formatNumber(int64(x.Selected)), formatSize(x.Bytes),
		c.Start, c.End, c.MostPackets, c.MostBytes, c.Column)
	width := float64(chartWidth) / float64(max(len(x.Columns), 24))
	var bars, line strings.Builder
	for i, col := range x.Columns {
		left := float64(i) * width
		h := float64(col.Packets) / float64(packets) * (chartHeight - 4)
		if col.Packets > 0 {
			h = max(h, 1)
			fmt.Fprintf(&bars, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s: %s, %s</title></rect>`,
				left+width*0.08, chartHeight-h, width*0.84, h,
				s.formatPacketTime(x.First.Add(time.Duration(i) * x.ColumnWidth))[11:], count(col.Packets, "packet", "packets"), formatSize(col.Bytes))
		}
		y := chartHeight - float64(col.Bytes)/float64(cmp.Or(octets, 1))*(chartHeight-4)
		fmt.Fprintf(&line, "%.1f,%.1f ", left+width/2, y)
	}
	c.Bars = template.HTML(bars.String()) //nolint:gosec // numbers and times
	c.Bytes = strings.TrimSpace(line.String())
	return c
}
