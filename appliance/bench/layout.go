package bench

import (
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/box"
)

// Sizes in the picture, in pixels.
const (
	nodeWidth   = 168
	nodeHeight  = 44
	rowHeight   = nodeHeight + 12
	stub        = 26 // the link between a bus and a host
	columnGap   = 22
	margin      = 14
	groupGap    = 18
	rowsInTable = 14 // hosts in a column before another one begins
)

// A scene is what the picture shows, in the order from top to bottom. network.go makes it.
type scene struct {
	Hostname string
	Doors    []node
	Ports    []port
	Paths    []group
	Outside  group // hosts behind the gateways to which no path leads
}

// A port is an interface of the appliance with the segments on its cable.
type port struct {
	node
	Segments []segment
}

// A segment is an Ethernet segment with its router, if it has one, and its hosts.
type segment struct {
	Name   string // "" for the one without a VLAN
	Router *node
	Hosts  []node
}

// A group is a path with the hosts to which it leads.
type group struct {
	node
	Hosts []node
}

// A node is a box in the picture.
type node struct {
	ID       string // of a place: "host/google"; "" if it is none
	Href     string // where a box leads that is no place; "" if nowhere
	Kind     string // the class: "host", "interface", "path", "router", "door"
	Title    string
	Text     string   // second line
	Label    string   // for screen readers, without faults and counts
	Marks    []string // faults: "drop 3"
	Down     bool     // it has servers, and all are stopped
	Selected bool
	Counts   box.Counts

	// Set by the layout.
	X, Y int
}

// W and H return the size of the box. Both are the same for all.
func (n node) W() int { return nodeWidth }

// H returns the height of the box.
func (n node) H() int { return nodeHeight }

// Short returns a text that fits into the box.
func (n node) Short() string { return shorten(n.Title, 20-6*min(1, len(n.Marks))) }

// ShortText returns the second line, as far as it fits beside the counts.
func (n node) ShortText() string { return shorten(n.Text, 17) }

// Mark returns the text of the badge: the first fault and the number of others.
func (n node) Mark() string {
	switch len(n.Marks) {
	case 0:
		return ""
	case 1:
		return n.Marks[0]
	}
	return fmt.Sprintf("%s, +%d", n.Marks[0], len(n.Marks)-1)
}

// Edge returns where right-aligned text ends, from the left edge of the box.
func (n node) Edge() int { return nodeWidth - 8 }

// Spoken returns the name of the link for screen readers.
func (n node) Spoken() string {
	parts := []string{n.Label}
	if n.Down {
		parts = append(parts, "its servers are stopped")
	}
	for _, m := range n.Marks {
		parts = append(parts, "fault: "+m)
	}
	return strings.Join(parts, ", ")
}

func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

type point struct{ X, Y int }

// A line is a link, as the data of an SVG path.
type line struct {
	Of     string // the place whose traffic it carries; "" for a bus
	D      string
	Bus    bool
	Broken bool
}

// A caption is a text without a box.
type caption struct {
	point
	Text string
}

// A picture is a scene with the places of all its parts.
type picture struct {
	Hostname      string
	Width, Height int
	Frame         struct{ X, Y, W, H int } // of the appliance
	Nodes         []node
	Lines         []line
	Captions      []caption
}

func (p *picture) add(n node, x, y int) {
	n.X, n.Y = x, y
	p.Nodes = append(p.Nodes, n)
	p.Width, p.Height = max(p.Width, x+nodeWidth+margin), max(p.Height, y+nodeHeight+margin)
}

func (p *picture) line(of string, broken bool, format string, args ...any) {
	p.Lines = append(p.Lines, line{Of: of, D: fmt.Sprintf(format, args...), Broken: broken})
}

func (p *picture) bus(format string, args ...any) {
	p.Lines = append(p.Lines, line{D: fmt.Sprintf(format, args...), Bus: true})
}

// columnsOf returns the number of columns of n hosts, and its width.
func columnsOf(n int) (columns, width int) {
	columns = (n + rowsInTable - 1) / rowsInTable
	return columns, columns * (stub + nodeWidth + columnGap)
}

// table places hosts below y in columns, each of which hangs on a bus of its own; the buses hang on
// a trunk at the height trunk. It returns the height that it needs.
func (p *picture) table(hosts []node, x, trunk, y int) (height int) {
	columns, _ := columnsOf(len(hosts))
	for c := range columns {
		list := hosts[c*rowsInTable : min(len(hosts), (c+1)*rowsInTable)]
		bx := x + c*(stub+nodeWidth+columnGap)
		for i, h := range list {
			hy := y + i*rowHeight
			p.add(h, bx+stub, hy)
			p.line(h.ID, len(h.Marks) > 0, "M%d %dh%d", bx, hy+nodeHeight/2, stub)
		}
		last := y + (len(list)-1)*rowHeight + nodeHeight/2
		p.bus("M%d %dV%d", bx, trunk, last)
		if c > 0 {
			p.bus("M%d %dH%d", x, trunk, bx)
		}
	}
	return min(len(hosts), rowsInTable) * rowHeight
}

// draw lays the scene out: doors, the appliance with its interfaces, segments with their hosts,
// gateways, and paths with the hosts behind them, from left to right.
func draw(s scene) picture {
	p := picture{Hostname: s.Hostname}
	doorX := margin
	portX := doorX + nodeWidth + 70
	busX := portX + nodeWidth + 64
	routerX := busX + stub + nodeWidth + columnGap
	for _, port := range s.Ports {
		for _, seg := range port.Segments {
			if _, w := columnsOf(len(seg.Hosts)); len(seg.Hosts) > 0 {
				routerX = max(routerX, busX+w)
			}
		}
	}
	top := margin + 22
	bottom, routers := p.ports(s, portX, busX, routerX, top)
	p.doors(s, doorX, portX, top)
	p.Frame.X, p.Frame.Y = portX-12, top-24
	p.Frame.W, p.Frame.H = nodeWidth+24, bottom-top+24
	p.Height = max(p.Height, bottom+margin)
	p.outside(s, routerX+nodeWidth+stub+10, top, routers)
	return p
}

// ports places the interfaces with their segments. It returns the lower end, and the places of the
// right ends of the routers.
func (p *picture) ports(s scene, portX, busX, routerX, y int) (bottom int, routers []point) {
	for _, port := range s.Ports {
		top := y
		for i, seg := range port.Segments {
			mid := y + nodeHeight/2
			if i == 0 {
				p.line(port.ID, len(port.Marks) > 0, "M%d %dH%d", portX+nodeWidth, mid, busX)
			} else {
				p.bus("M%d %dV%dH%d", portX+nodeWidth+20, top+nodeHeight/2, mid, busX)
			}
			p.Captions = append(p.Captions, caption{point{busX + 6, mid - 7}, seg.Name})
			if seg.Router != nil {
				p.bus("M%d %dH%d", busX, mid, routerX)
				p.add(*seg.Router, routerX, y)
				routers = append(routers, point{routerX + nodeWidth, mid})
				y += rowHeight
			}
			if len(seg.Hosts) > 0 {
				first := y
				if seg.Router == nil {
					first = y + nodeHeight/2
				}
				y = first + p.table(seg.Hosts, busX, mid, first)
			} else if seg.Router == nil {
				y += rowHeight
			}
		}
		p.add(port.node, portX, top)
		y = max(y, top+rowHeight) + groupGap
	}
	return y - groupGap, routers
}

func (p *picture) doors(s scene, x, portX, y int) {
	for i, d := range s.Doors {
		dy := y + i*rowHeight
		p.add(d, x, dy)
		p.line(d.ID, false, "M%d %dH%d", x+nodeWidth, dy+nodeHeight/2, portX-12)
	}
	if n := len(s.Doors); n > 0 {
		p.Captions = append(p.Captions, caption{point{x, y - 8}, "This machine: doors"})
		p.Frame.H = max(p.Frame.H, n*rowHeight)
	}
}

// outside places the paths, with their hosts, to the right of the routers.
func (p *picture) outside(s scene, x, y int, routers []point) {
	if len(s.Paths) == 0 && len(s.Outside.Hosts) == 0 || len(routers) == 0 {
		return
	}
	first, last := routers[0].Y, routers[len(routers)-1].Y
	for _, r := range routers {
		p.bus("M%d %dH%d", r.X, r.Y, x)
	}
	pathX := x + stub
	busX := pathX + nodeWidth + stub
	for _, g := range s.Paths {
		mid := y + nodeHeight/2
		p.line(g.ID, len(g.Marks) > 0, "M%d %dH%d", x, mid, pathX)
		p.add(g.node, pathX, y)
		last = max(last, mid)
		if len(g.Hosts) > 0 {
			p.line(g.ID, len(g.Marks) > 0, "M%d %dH%d", pathX+nodeWidth, mid, busX)
			y += p.table(g.Hosts, busX, mid, y)
		} else {
			y += rowHeight
		}
	}
	if len(s.Outside.Hosts) > 0 {
		mid := y + nodeHeight/2
		p.bus("M%d %dH%d", x, mid, busX)
		p.Captions = append(p.Captions, caption{point{x + 8, mid - 7}, s.Outside.Title})
		p.table(s.Outside.Hosts, busX, mid, y)
		last = max(last, mid)
	}
	p.bus("M%d %dV%d", x, min(first, last), last)
}
