package web

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/dissect"
)

// A chart shows packets and bytes over time, in the units of its SVG.
type chart struct {
	Bars                   template.HTML
	Bytes                  string // points of the line
	Width, Height          int
	Start, End             string
	MostPackets, MostBytes string
	HalfPackets, HalfBytes string
	Seconds                []string // of the time axis, since the first packet
	Column                 string   // the time that a column covers
	Label                  string
	Whole                  string // address of the chart of the whole capture; "" if it is that
	FirstPage              string // address of the page with the first packet of the chart
}

// Size of the chart's drawing, and numbers of its parts.
const (
	chartWidth    = 720
	chartHeight   = 96
	zoomedColumns = 60
	zoomFactor    = 10 // a click shows this part of the chart
	timeTicks     = 4
)

// shortestChart is the shortest time that a chart can show.
const shortestChart = 100 * time.Microsecond

// zoomOf returns the part of a capture that a query asks for, in time since its first packet. ok is
// false if it asks for none.
func zoomOf(v *visit) (from, to time.Duration, ok bool) {
	a, err := strconv.ParseInt(v.FormValue("from"), 10, 64)
	b, err2 := strconv.ParseInt(v.FormValue("to"), 10, 64)
	const most = int64(100 * 365 * 24 * time.Hour / time.Microsecond)
	if err != nil || err2 != nil || a < 0 || b <= a || b > most {
		return 0, 0, false
	}
	return time.Duration(a) * time.Microsecond, time.Duration(b) * time.Microsecond, true
}

// zoomPath returns the address of the list with the chart of a part.
func zoomPath(path string, q viewQuery, from, to time.Duration) string {
	begin := strconv.FormatInt(from.Microseconds(), 10)
	return fmt.Sprintf("%s&to=%d#chart", path+q.With("from", begin), to.Microseconds())
}

// chartFor returns the chart of the list: of the whole selection, or of a part.
func (s *site) chartFor(
	ctx context.Context, o *openCapture, q viewQuery, sel packetSelection, v *visit,
) (*chart, error) {
	x := sel.index
	if x.Selected == 0 {
		return nil, nil
	}
	end := x.First.Add(time.Duration(len(x.Columns)) * x.ColumnWidth)
	t := dissect.Timeline{From: x.First, To: end, ColumnWidth: x.ColumnWidth,
		Columns: x.Columns, Packets: x.Selected, Bytes: x.Bytes}
	from, to, zoomed := zoomOf(v)
	if zoomed {
		err := s.scanStream(ctx, func() (err error) {
			t, err = o.Timeline(ctx, sel.filter, x.First.Add(from), x.First.Add(to), zoomedColumns)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	c := s.drawChart(t, x.First, o.path, q)
	if zoomed {
		c.Whole = o.path + q.String()
		c.FirstPage = pageAt(o.path, q, min(t.Before, x.Selected-1)/perPage+1)
	} else {
		c.End = s.formatPacketTime(x.Last)
	}
	c.Label = fmt.Sprintf("%s packets and %s from %s to %s; at most %s packets and %s in %s.",
		formatNumber(int64(t.Packets)), formatSize(t.Bytes), c.Start, c.End, c.MostPackets,
		c.MostBytes, c.Column)
	return c, nil
}

func (s *site) drawChart(t dissect.Timeline, first time.Time, path string, q viewQuery) *chart {
	packets, octets := 1, int64(1)
	for _, c := range t.Columns {
		packets, octets = max(packets, c.Packets), max(octets, c.Bytes)
	}
	c := &chart{
		Width: chartWidth, Height: chartHeight, Column: formatSpan(t.ColumnWidth),
		Start: s.formatPacketTime(t.From), End: s.formatPacketTime(t.To),
		MostPackets: formatNumber(int64(packets)), MostBytes: formatSize(octets),
		HalfPackets: strconv.FormatFloat(float64(packets)/2, 'f', -1, 64),
		HalfBytes:   formatSize(octets / 2),
	}
	columns := max(len(t.Columns), 24)
	width := float64(chartWidth) / float64(columns)
	shown := time.Duration(columns) * t.ColumnWidth
	for i := range timeTicks + 1 {
		at := t.From.Sub(first) + shown*time.Duration(i)/timeTicks
		c.Seconds = append(c.Seconds, strconv.FormatFloat(at.Seconds(), 'g', 6, 64)+" s")
	}
	var bars, line strings.Builder
	for i, col := range t.Columns {
		left := float64(i) * width
		at := time.Duration(i) * t.ColumnWidth
		if col.Packets > 0 {
			h := max(1, float64(col.Packets)/float64(packets)*(chartHeight-4))
			text := fmt.Sprintf("%s: %s, %s", s.formatPacketTime(t.From.Add(at))[11:],
				count(col.Packets, "packet", "packets"), formatSize(col.Bytes))
			fmt.Fprintf(&bars, `<a href="%s" aria-label="Zoom in at %s"><rect x="%.1f" y="%.1f" `+
				`width="%.1f" height="%.1f"><title>%[2]s</title></rect></a>`,
				html.EscapeString(zoomAt(path, q, t, first, at, shown)), text,
				left+width*0.08, chartHeight-h, width*0.84, h)
		}
		y := chartHeight - float64(col.Bytes)/float64(cmp.Or(octets, 1))*(chartHeight-4)
		fmt.Fprintf(&line, "%.1f,%.1f ", left+width/2, y)
	}
	c.Bars = template.HTML(bars.String()) //nolint:gosec // addresses are escaped, the rest is numbers
	c.Bytes = strings.TrimSpace(line.String())
	return c
}

// zoomAt returns the address of the chart around a column.
func zoomAt(
	path string, q viewQuery, t dissect.Timeline, first time.Time, at, shown time.Duration,
) string {
	part := max(shortestChart, shown/zoomFactor)
	middle := t.From.Sub(first) + at + t.ColumnWidth/2
	from := max(0, middle-part/2)
	return zoomPath(path, q, from, from+part)
}
