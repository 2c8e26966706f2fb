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

// perPage is the number of packets on a page of the list.
const perPage = 100

// An openCapture is a stored capture that a request reads.
type openCapture struct {
	*dissect.Capture
	file    *files.File
	info    fs.FileInfo
	all     *dissect.Index
	path    string // of the page, without its query
	growing bool   // the capture is in progress
}

func (o *openCapture) Close() error { return o.file.Close() }

// open opens the capture that a request names. The caller closes it.
func (s *site) open(v *visit) (_ *openCapture, err error) {
	name := v.PathValue("name")
	// This comes before the size, so that the last poll sees the whole file.
	growing := s.appliance.Captures.IsBeingWritten(name)
	f, info, err := s.storedCapture(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
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
	return &openCapture{c, f, info, all, viewPath(name), growing}, nil
}

// viewPath returns the path of the page of a stored capture.
func viewPath(name string) string { return capturePage.Path + "/view/" + url.PathEscape(name) }

// A viewQuery is the part of a query that all pages of a capture keep.
type viewQuery struct {
	Filter   string
	Absolute bool // sequence numbers are those of the packets
}

// queryOf returns the viewQuery of a request.
func queryOf(v *visit) viewQuery {
	return viewQuery{trimmed(v.Form, "filter"), v.FormValue("numbers") == "absolute"}
}

// String returns the end of an address: "" or a query that begins with a question mark.
func (q viewQuery) String() string { return q.With("", "") }

// With is String with one more parameter.
func (q viewQuery) With(name, value string) string {
	values := url.Values{}
	if q.Filter != "" {
		values.Set("filter", q.Filter)
	}
	if q.Absolute {
		values.Set("numbers", "absolute")
	}
	if name != "" {
		values.Set(name, value)
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// numbersFrom returns the index by which rows get their sequence numbers.
func (q viewQuery) numbersFrom(all *dissect.Index) *dissect.Index {
	if q.Absolute {
		return all.WithAbsoluteNumbers()
	}
	return all
}

// A packetList is a page of a capture's packets.
type packetList struct {
	Name, Path, Download string
	Size, Span           string
	follower
	Filter string
	Check  filterCheck // of Filter
	// Applied is the filter of the shown packets: the previous one if Filter is not valid.
	Applied      string
	Absolute     bool
	Talks        string // address of the conversations
	OtherNumbers string // address of this page with the other kind of sequence numbers
	Shown, Total string
	Rows         template.HTML // see packetRows
	Troubles     []troubleView
	Chart        *chart
	Pager        pager
}

// A pager has links to other pages. A link is "" if there is no such page.
type pager struct {
	Label           string
	From, To        string // packets on this page
	First, Previous string
	Next, Last      string
}

// Labeled returns p with a label, which distinguishes it from other pagers of the page.
func (p pager) Labeled(label string) pager {
	p.Label = label
	return p
}

func (s *site) viewCapture(v *visit) error {
	o, err := s.openOrJoined(v)
	if o == nil {
		return err
	}
	defer o.Close()
	list, err := s.packetList(v, o)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !list.Check.OK {
		status = http.StatusUnprocessableEntity
	}
	v.title = list.Name
	return s.render(v, status, "packets.html", list)
}

// packetList returns the page of the list that a request asks for.
func (s *site) packetList(v *visit, o *openCapture) (packetList, error) {
	q := queryOf(v)
	list := packetList{
		Name: o.info.Name(), Path: o.path, Size: formatSize(o.info.Size()),
		Total:    formatNumber(int64(o.all.Total)),
		Download: capturePage.Path + "/files/" + url.PathEscape(o.info.Name()), Filter: q.Filter,
		Absolute: q.Absolute,
	}
	var err error
	if _, list.Check, err = viewFilter(list.Filter); err != nil {
		return list, err
	}
	if !list.Check.OK {
		q.Filter = trimmed(v.Form, "shown")
	}
	sel, err := s.selectPackets(v, o, q.Filter)
	if err != nil {
		return list, err
	}
	q.Filter = sel.expr
	list.Applied = sel.expr
	list.OtherNumbers = o.path + viewQuery{q.Filter, !q.Absolute}.String()
	list.Talks = o.path + "/conversations" + q.String()
	index := sel.index
	page, _ := strconv.Atoi(v.FormValue("page")) // anything else is the first page
	if v.FormValue("page") == lastPage {
		page = pageCount(index.Selected)
	}
	page = max(1, min(page, pageCount(index.Selected)))
	list.follower = o.follower(o.path+"/live"+q.With("page", lastPage),
		o.path+"/live"+q.With("page", strconv.Itoa(page)))
	rows, err := o.Rows(v.Context(), index, q.numbersFrom(o.all), sel.filter, (page-1)*perPage,
		perPage)
	if err != nil {
		return list, err
	}
	list.Rows = s.packetRows(o.path, q, rows, o.all.First)
	list.Troubles = troublesOf(o.path, o.all)
	list.Shown = formatNumber(int64(index.Selected))
	if list.Chart, err = s.chartFor(v.Context(), o, q, sel, v); err != nil {
		return list, err
	}
	if index.Selected > 0 {
		list.Span = formatSpan(index.Last.Sub(index.First))
	}
	list.Pager = pagerOf(o.path, q, page, index.Selected, len(rows))
	return list, nil
}

// A packetSelection is the result of a filter. Without a filter it is the whole capture.
type packetSelection struct {
	expr   string
	filter *pcapfilter.Filter
	index  *dissect.Index
}

// selectPackets applies a filter. A filter that is not valid selects everything.
func (s *site) selectPackets(v *visit, o *openCapture, expr string) (packetSelection, error) {
	filter, _, err := viewFilter(expr)
	if err != nil {
		return packetSelection{}, err
	}
	if filter == nil {
		return packetSelection{index: o.all}, nil
	}
	index, err := s.indexes.of(v.Context(), o.file, o.info, o.Capture, expr, filter)
	return packetSelection{expr, filter, index}, err
}

// A troubleView says how many packets of a capture have a trouble.
type troubleView struct{ Text, First, Path string }

func troublesOf(path string, all *dissect.Index) (list []troubleView) {
	for _, c := range all.Troubles() {
		list = append(list, troubleView{
			fmt.Sprintf("%s: %s", c.Trouble, count(c.Packets, "packet", "packets")),
			strconv.Itoa(c.First), fmt.Sprintf("%s/packet/%d", path, c.First),
		})
	}
	return list
}

// packetRows returns the rows of the table of packets. It does not use a template, which would
// take longer than everything else together.
func (s *site) packetRows(
	path string, q viewQuery, rows []dissect.Row, start time.Time,
) template.HTML {
	var b strings.Builder
	path = html.EscapeString(path)
	query := html.EscapeString(q.String())
	for _, r := range rows {
		protocol := html.EscapeString(r.Protocol)
		fmt.Fprintf(&b,
			`<tr class="p-%s" data-row><td class="n"><a href="%s/packet/%d%s" `+
				`aria-label="Packet %[3]d">%[3]d</a></td><td class="t">%[5]s</td>`+
				`<td class="n">%.6[9]f</td><td>%[6]s</td><td>%[7]s</td>`+
				`<td>%[1]s</td><td class="n">%[10]d</td><td class="info">%[11]s%[8]s</td><td>`,
			protocol, path, r.Number, query, s.formatPacketTime(r.Time),
			html.EscapeString(r.Source), html.EscapeString(r.Destination),
			html.EscapeString(r.Info), r.Time.Sub(start).Seconds(), r.Length,
			troubleTag(r.Trouble))
		if r.HasStream {
			fmt.Fprintf(&b,
				`<a href="%s/stream/%d%s" aria-label="Follow the TCP stream of packet %[2]d">`+
					`Follow</a>`, path, r.Number, query)
		}
		b.WriteString("</td></tr>\n")
	}
	return template.HTML(b.String()) //nolint:gosec // everything that is not ours is escaped
}

// troubleTag returns a mark for the text of a packet.
func troubleTag(t dissect.Trouble) string {
	if t == "" {
		return ""
	}
	return `<b class="trouble">` + string(t) + `</b> `
}

// viewFilter compiles and checks a filter for stored packets. A nil filter selects everything. Host
// names are not looked up, because packets contain addresses only.
func viewFilter(expr string) (*pcapfilter.Filter, filterCheck, error) {
	f, check, err := compile(expr, pcapfilter.Options{})
	if strings.Contains(check.Text, "unknown host") {
		check.Text += " Names are not looked up here: enter an address."
	}
	return f, check, err
}

// checkViewFilter checks a filter as viewCapture does, while the user types it.
func (s *site) checkViewFilter(v *visit) error {
	_, check, err := viewFilter(trimmed(v.Form, "filter"))
	if err != nil {
		return err
	}
	return answerJSON(v.w, check)
}

func pageCount(n int) int { return max(1, (n+perPage-1)/perPage) }

// lastPage is the number of the last page in an address.
const lastPage = "last"

// pageAt returns the address of the n-th page of the list.
func pageAt(path string, q viewQuery, n int) string {
	return path + q.With("page", strconv.Itoa(n)) + "#packets"
}

func pagerOf(path string, q viewQuery, page, selected, shown int) pager {
	at := func(n int) string { return pageAt(path, q, n) }
	p := pager{From: formatNumber(int64((page-1)*perPage + min(1, shown))),
		To: formatNumber(int64((page-1)*perPage + shown))}
	if page > 1 {
		p.First, p.Previous = at(1), at(page-1)
	}
	if last := pageCount(selected); page < last {
		p.Next, p.Last = at(page+1), at(last)
	}
	return p
}

// formatPacketTime formats the time of a packet (A3).
func (s *site) formatPacketTime(t time.Time) string {
	return t.In(s.appliance.Zone()).Format("2006-01-02 15:04:05.000000")
}

// formatSpan formats a duration with a precision that depends on its length.
func formatSpan(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Microsecond).String()
	case d < time.Minute:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// A packetView is the data of the page of one packet.
type packetView struct {
	Name, Filter string
	List         string // address of the page of the list that contains the packet
	P            dissect.Packet
	Layers       []layerView
	Dump         []dumpLine
	Time         string
	Pager        pager // Previous and Next
	Stream       string
	follower
}

// packetNumber returns the number of a packet in a request's path, or 0 if it is not a number.
func packetNumber(v *visit) int {
	n, err := strconv.Atoi(v.PathValue("number"))
	if err != nil {
		return 0
	}
	return n
}

var errNoPacket = refuse(http.StatusNotFound, "There is no packet of this number in the capture.")

func (s *site) viewPacket(v *visit) error {
	o, err := s.openOrJoined(v)
	if o == nil {
		return err
	}
	defer o.Close()
	view, err := s.packetView(v, o)
	if err != nil {
		return err
	}
	v.title = fmt.Sprintf("Packet %d of %s", view.P.Number, view.Name)
	return s.show(v, "packet.html", view)
}

// packetView returns the page of the packet that a request asks for.
func (s *site) packetView(v *visit, o *openCapture) (packetView, error) {
	n := packetNumber(v)
	q := queryOf(v)
	p, err := o.Packet(v.Context(), o.all, n)
	if errors.Is(err, io.EOF) {
		return packetView{}, errNoPacket
	}
	if err != nil {
		return packetView{}, err
	}
	if q.Absolute {
		rows, err := o.Rows(v.Context(), o.all, q.numbersFrom(o.all), nil, n-1, 1)
		if err != nil || len(rows) != 1 {
			return packetView{}, cmp.Or(err, errNoPacket)
		}
		p.Row = rows[0]
	}
	sel, err := s.selectPackets(v, o, q.Filter)
	if err != nil {
		return packetView{}, err
	}
	q.Filter = sel.expr
	near, err := s.neighbors(v.Context(), o, sel, n)
	if err != nil {
		return packetView{}, err
	}
	live := fmt.Sprintf("%s/packet/%d/live%s", o.path, n, q.With("follow", "y"))
	view := packetView{
		Name: o.info.Name(), Filter: sel.expr, P: p, Time: s.formatPacketTime(p.Time),
		List: pageAt(o.path, q, near.Rank/perPage+1), Pager: pager{Label: "Packets"},
		follower: o.follower(live, live),
	}
	here := fmt.Sprintf("%s/packet/%d", o.path, n)
	view.Layers = layerViews(p.Layers, here, o.path, q)
	offset, length := parseBytes(v.FormValue("at"))
	view.Dump = markDump(p.Dump, offset, length)
	if near.Previous > 0 {
		view.Pager.Previous = fmt.Sprintf("%s/packet/%d%s", o.path, near.Previous, q)
	}
	if near.Next > 0 {
		view.Pager.Next = fmt.Sprintf("%s/packet/%d%s", o.path, near.Next, q)
	}
	if p.HasStream {
		view.Stream = fmt.Sprintf("%s/stream/%d%s", o.path, n, q)
	}
	return view, nil
}

// neighbors returns the selected packets before and after a packet. If few packets are selected,
// it passes over much of the file, so it takes a slot as a scan does.
func (s *site) neighbors(ctx context.Context, o *openCapture, sel packetSelection,
	n int) (dissect.Neighbors, error) {
	if err := acquire(ctx, s.indexes.slots); err != nil {
		return dissect.Neighbors{}, err
	}
	defer func() { <-s.indexes.slots }()
	return o.Neighbors(ctx, sel.index, sel.filter, n)
}
