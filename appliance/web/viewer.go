package web

import (
	"cmp"
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
type opened struct {
	*dissect.Capture
	file *files.File
	info fs.FileInfo
	all  *dissect.Index
	path string // of the page, without its query
}

func (o *opened) Close() error { return o.file.Close() }

// open opens the capture that a request names. The caller closes it.
func (s *site) open(v *visit) (_ *opened, err error) {
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
	return &opened{c, f, info, all, capturePage.Path + "/view/" + url.PathEscape(name)}, nil
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
	Check                filterCheck // of a filter that is not valid
	Shown, Total         string
	Filtered             bool
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
		Name: o.info.Name(), Path: o.path, Size: size(o.info.Size()), Total: grouped(int64(o.all.Total)),
		Download: capturePage.Path + "/files/" + url.PathEscape(o.info.Name()), Filter: strings.TrimSpace(v.FormValue("filter")),
	}
	filter, err := viewFilter(list.Filter)
	var syntax *pcapfilter.SyntaxError
	if errors.As(err, &syntax) {
		list.Check = checkOf(syntax)
		return s.render(v, http.StatusUnprocessableEntity, "packets.html", list)
	}
	if err != nil {
		return err
	}
	index := o.all
	if filter != nil {
		if index, err = s.indexes.of(v.Context(), o.file, o.info, o.Capture, list.Filter, filter); err != nil {
			return formatRefusal(err)
		}
	}
	page, _ := strconv.Atoi(v.FormValue("page")) // anything else is the first
	page = max(1, min(page, pageCount(index.Selected)))
	rows, err := o.Rows(v.Context(), index, o.all, filter, (page-1)*perPage, perPage)
	if err != nil {
		return formatRefusal(err)
	}
	list.Rows = s.packetRows(o.path, rows)
	list.Filtered = filter != nil
	list.Shown, list.Chart = grouped(int64(index.Selected)), s.chartOf(index)
	if index.Selected > 0 {
		list.Span = span(index.Last.Sub(index.First))
	}
	list.Pager = pagerOf(o.path, list.Filter, page, index.Selected, len(rows))
	return s.show(v, "packets.html", list)
}

// packetRows are the rows of a page's table. They are written here, as a template would
// take longer for them than everything else takes.
func (s *site) packetRows(path string, rows []dissect.Row) template.HTML {
	var b strings.Builder
	path = html.EscapeString(path)
	for _, r := range rows {
		protocol := html.EscapeString(r.Protocol)
		fmt.Fprintf(&b, `<tr class="p-%s"><td class="n"><a href="%s/packet/%d" aria-label="Packet %[3]d">%[3]d</a></td><td class="t">%[4]s</td><td>%[5]s</td><td>%[6]s</td><td>`,
			protocol, path, r.Number, s.stamp(r.Time), html.EscapeString(r.Source), html.EscapeString(r.Destination))
		if r.Stream {
			fmt.Fprintf(&b, `<a href="%s/stream/%d" title="Follow TCP Stream">%s</a>`, path, r.Number, protocol)
		} else {
			b.WriteString(protocol)
		}
		fmt.Fprintf(&b, "</td><td class=\"info\">%s</td></tr>\n", html.EscapeString(r.Info))
	}
	return template.HTML(b.String()) //nolint:gosec // all that is not ours was escaped
}

// viewFilter compiles a filter for looking; nil selects everything. Names of hosts are
// not known here: what was recorded are addresses.
func viewFilter(expr string) (*pcapfilter.Filter, error) {
	if expr == "" {
		return nil, nil
	}
	if len(expr) > maxFilter {
		return nil, refuse(http.StatusUnprocessableEntity, "The filter must not be longer than %d characters.", maxFilter)
	}
	return pcapfilter.Compile(expr, pcapfilter.Options{})
}

func pageCount(n int) int { return max(1, (n+perPage-1)/perPage) }

func pagerOf(path, filter string, page, selected, shown int) pager {
	at := func(n int) string {
		q := url.Values{"page": {strconv.Itoa(n)}}
		if filter != "" {
			q.Set("filter", filter)
		}
		return path + "?" + q.Encode() + "#packets"
	}
	p := pager{From: grouped(int64((page-1)*perPage + min(1, shown))), To: grouped(int64((page-1)*perPage + shown))}
	if page > 1 {
		p.First, p.Previous = at(1), at(page-1)
	}
	if last := pageCount(selected); page < last {
		p.Next, p.Last = at(page+1), at(last)
	}
	return p
}

// stamp is the time of a packet (A3).
func (s *site) stamp(t time.Time) string {
	return t.In(s.box.Zone()).Format("2006-01-02 15:04:05.000000")
}

// span is a length of time, short.
func span(d time.Duration) string {
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
	Name, Path     string
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
	view := packetView{Name: o.info.Name(), Path: o.path, P: p, Time: s.stamp(p.Time)}
	view.List = fmt.Sprintf("%s?page=%d#packets", o.path, (n-1)/perPage+1)
	if n > 1 {
		view.Previous = fmt.Sprintf("%s/packet/%d", o.path, n-1)
	}
	if n < o.all.Total {
		view.Next = fmt.Sprintf("%s/packet/%d", o.path, n+1)
	}
	if p.Stream {
		view.Stream = fmt.Sprintf("%s/stream/%d", o.path, n)
	}
	return s.show(v, "packet.html", view)
}

// A streamView is a TCP connection as text.
type streamView struct {
	Name, Path, Packet, Only string
	Number                   int
	S                        dissect.Stream
	ToServer, ToClient       string
	Most                     string
}

func (s *site) viewStream(v *visit) error {
	o, err := s.open(v)
	if err != nil {
		return err
	}
	defer o.Close()
	n := v.number()
	stream, err := o.Follow(v.Context(), o.all, n)
	switch {
	case errors.Is(err, io.EOF):
		return errNoPacket
	case errors.Is(err, dissect.ErrNoStream):
		return refuse(http.StatusNotFound, "The packet is not of a TCP connection.")
	case err != nil:
		return formatRefusal(err)
	}
	only := fmt.Sprintf("host %v and host %v and tcp port %d and tcp port %d", stream.Client.Addr(), stream.Server.Addr(), stream.Client.Port(), stream.Server.Port())
	return s.show(v, "stream.html", streamView{
		Name: o.info.Name(), Path: o.path, Number: n, Packet: fmt.Sprintf("%s/packet/%d", o.path, n), S: stream,
		ToServer: grouped(stream.ToServer), ToClient: grouped(stream.ToClient), Most: size(dissect.MaxStream),
		Only: o.path + "?" + url.Values{"filter": {only}}.Encode(),
	})
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
		Width: chartWidth, Height: chartHeight, Column: span(x.Width),
		Start: s.stamp(x.First), End: s.stamp(x.Last),
		MostPackets: grouped(int64(packets)), MostBytes: size(octets),
	}
	c.Label = fmt.Sprintf("%s packets and %s from %s to %s; at most %s packets and %s in %s.", grouped(int64(x.Selected)), size(x.Bytes),
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
				s.stamp(x.First.Add(time.Duration(i) * x.Width))[11:], count(col.Packets, "packet", "packets"), size(col.Bytes))
		}
		y := chartHeight - float64(col.Bytes)/float64(cmp.Or(octets, 1))*(chartHeight-4)
		fmt.Fprintf(&line, "%.1f,%.1f ", left+width/2, y)
	}
	c.Bars = template.HTML(bars.String()) //nolint:gosec // numbers and times
	c.Bytes = strings.TrimSpace(line.String())
	return c
}
