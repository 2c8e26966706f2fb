package box_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// A series is one curve of a plot.
type series struct {
	name, unit string
	values     []float64
}

// label returns the name with its unit.
func (s series) label() string {
	if s.unit == "" {
		return s.name
	}
	return s.name + " (" + s.unit + ")"
}

// A plot draws each series in a panel of its own over the same sizes. Both axes are logarithmic.
type plot struct {
	title  string
	x      string // the unit of the sizes
	sizes  []int
	series []series
}

// add adds the values of a size, one for each series.
func (p *plot) add(size int, values []float64) {
	p.sizes = append(p.sizes, size)
	for i, v := range values {
		p.series[i].values = append(p.series[i].values, v)
	}
}

// table returns the values as text.
func (p *plot) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n%s", p.title, p.x)
	for _, s := range p.series {
		fmt.Fprintf(&b, "\t%s", s.label())
	}
	for i, size := range p.sizes {
		fmt.Fprintf(&b, "\n%d", size)
		for _, s := range p.series {
			fmt.Fprintf(&b, "\t%s", number(s.values[i]))
		}
	}
	return b.String() + "\n\n"
}

// number returns v with three significant digits.
func number(v float64) string {
	if digits := int(math.Log10(max(math.Abs(v), 1))); digits >= 2 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// The measures of a picture, in pixels.
const (
	plotWidth, panelHeight  = 640, 190
	plotLeft, plotRight     = 70, 20
	plotTop, panelTop       = 40, 24
	panelBottom, plotBottom = 20, 24
)

// svg draws the plot.
func (p *plot) svg() string {
	var b strings.Builder
	height := plotTop + len(p.series)*panelHeight + plotBottom
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<rect width="%[1]d" height="%[2]d" fill="#ffffff"/>
<g font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#333333">
`, plotWidth, height)
	text(&b, plotWidth/2, 24, "middle", ` font-size="15" font-weight="bold"`, p.title)
	for i, s := range p.series {
		p.panel(&b, plotTop+i*panelHeight, s)
	}
	text(&b, (plotLeft+plotWidth-plotRight)/2, height-8, "middle", "", "number of "+p.x)
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// text draws text. attributes are further ones.
func text(b *strings.Builder, x, y int, anchor, attributes, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, attributes,
		html.EscapeString(s))
}

// panel draws a series with its axes. Its upper edge is at y.
func (p *plot) panel(b *strings.Builder, y int, s series) {
	text(b, plotLeft, y+panelTop-8, "start", ` font-weight="bold" fill="#1f5fa8"`, s.label())
	if len(s.values) == 0 {
		return
	}
	sizes := make([]float64, len(p.sizes))
	for i, n := range p.sizes {
		sizes[i] = float64(n)
	}
	across := newAxis(sizes, plotLeft, plotWidth-plotRight)
	up := newAxis(s.values, y+panelHeight-panelBottom, y+panelTop)
	for _, v := range across.ticks {
		at := across.at(v)
		line(b, at, up.from, at, up.to)
		text(b, at, y+panelHeight-panelBottom+14, "middle", "", tickLabel(v))
	}
	for _, v := range up.ticks {
		at := up.at(v)
		line(b, across.from, at, across.to, at)
		text(b, plotLeft-6, at+4, "end", "", tickLabel(v))
	}
	var points strings.Builder
	for i, v := range s.values {
		fmt.Fprintf(&points, "%d,%d ", across.at(sizes[i]), up.at(v))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="#1f5fa8" stroke-width="2"/>`+"\n",
		strings.TrimSpace(points.String()))
	for i, v := range s.values {
		x, y := across.at(sizes[i]), up.at(v)
		fmt.Fprintf(b, `<circle cx="%d" cy="%d" r="3" fill="#1f5fa8"><title>%d %s: %s</title></circle>`+"\n",
			x, y, p.sizes[i], html.EscapeString(p.x), number(v))
	}
	last := len(s.values) - 1
	text(b, across.at(sizes[last])-4, up.at(s.values[last])-7, "end", ` fill="#1f5fa8"`,
		number(s.values[last]))
}

func line(b *strings.Builder, x1, y1, x2, y2 int) {
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#dddddd"/>`+"\n", x1, y1, x2, y2)
}

// tickLabel returns a tick's value with separators of thousands.
func tickLabel(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if v < 1000 {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// An axis is a logarithmic axis between two pixels.
type axis struct {
	from, to  int
	low, high float64 // powers of ten, or halves and doubles of them
	ticks     []float64
}

// newAxis returns an axis that holds all values. Its ends are values of the form 1, 2 or 5 times a
// power of ten.
func newAxis(values []float64, from, to int) axis {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		low, high = min(low, max(v, 0.01)), max(high, v, 0.01)
	}
	a := axis{from: from, to: to}
	var round []float64
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, digit := range []float64{1, 2, 5} {
			v, _ := strconv.ParseFloat(fmt.Sprintf("%ge%d", digit, int(e)), 64)
			round = append(round, v)
		}
	}
	a.low, a.high = round[0], round[len(round)-1]
	for _, v := range round {
		if v <= low {
			a.low = v
		}
		if v >= high {
			a.high = min(a.high, v)
		}
	}
	if a.low == a.high {
		a.high *= 2
	}
	for _, v := range round {
		few := math.Log10(a.high/a.low) < 2
		if v >= a.low && v <= a.high && (few || isPowerOfTen(v)) {
			a.ticks = append(a.ticks, v)
		}
	}
	return a
}

func isPowerOfTen(v float64) bool { l := math.Log10(v); return math.Abs(l-math.Round(l)) < 1e-9 }

// at returns the pixel of a value.
func (a axis) at(v float64) int {
	share := math.Log(max(v, a.low)/a.low) / math.Log(a.high/a.low)
	return a.from + int(math.Round(share*float64(a.to-a.from)))
}

// checkXML checks that a picture is well-formed.
func checkXML(t *testing.T, picture string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(picture)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
	}
}

func TestPlot(t *testing.T) {
	p := plot{title: "A & B", x: "things", series: []series{{name: "memory", unit: "MiB"}, {name: "n"}}}
	p.add(1, []float64{0.5, 7})
	p.add(1000, []float64{1500, 7})
	picture := p.svg()
	checkXML(t, picture)
	for _, want := range []string{
		"A &amp; B", "number of things", ">memory (MiB)<", ">1,000<", ">10<", ">1500<", "1000 things: 7",
	} {
		if !strings.Contains(picture, want) {
			t.Errorf("the picture does not contain %q:\n%s", want, picture)
		}
	}
	want := "# A & B\nthings\tmemory (MiB)\tn\n1\t0.5\t7\n1000\t1500\t7\n\n"
	if got := p.table(); got != want {
		t.Errorf("the table is %q, want %q", got, want)
	}
}
