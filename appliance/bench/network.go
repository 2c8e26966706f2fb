package bench

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

func (s *Server) networkRoutes() []route {
	return []route{
		{"GET /{$}", s.showNetwork},
		{"GET /network/live", s.streamNetwork},
		{"POST /network/break", s.breakPlace},
		{"POST /network/repair", s.repairPlace},
	}
}

// sceneOf returns what the picture shows. A selected place is marked.
func (s *Server) sceneOf(selected string) scene {
	w := s.box.World()
	return makeScene(w.Topology(), s.box.Appliance().Hostname(), s.box.Breakages(), w.Servers(),
		s.box.DoorAddrs(), selected)
}

// makeScene returns the scene of a topology with what is broken in it.
func makeScene(
	t *topology.Topology, hostname string, breakages []box.Breakage, servers []netsim.Server,
	doors map[string]netip.AddrPort, selected string,
) scene {
	m := sceneMaker{t, marksOf(breakages), servers, selected}
	out := scene{Hostname: hostname}
	for _, d := range t.Doors.In {
		if real, ok := doors[d.Name]; ok {
			to := cmp.Or(d.Interface, "all interfaces")
			out.Doors = append(out.Doors, node{
				Kind: "door", Title: d.Name, Text: real.String(),
				Label: fmt.Sprintf("Door %s: %v on this machine leads to %s of %s",
					d.Name, real, d.Service, to),
			})
		}
	}
	byPath := map[string][]node{}
	for _, h := range t.Hosts {
		if h.Wire == "" {
			name := pathTo(t, h)
			byPath[name] = append(byPath[name], m.host(h))
		}
	}
	for _, n := range t.Appliance.Interfaces {
		out.Ports = append(out.Ports, m.port(n))
	}
	for _, x := range t.Paths {
		hosts := byPath[x.Name]
		delete(byPath, x.Name)
		out.Paths = append(out.Paths, group{m.path(x), hosts})
	}
	out.Outside = group{node{Title: "directly at the gateways"}, byPath[""]}
	return out
}

// marksOf returns the texts of faults by place. Faults that do nothing have none.
func marksOf(list []box.Breakage) map[string][]string {
	marks := map[string][]string{}
	for _, x := range list {
		if x.State != netsim.FaultActing {
			continue
		}
		for _, p := range x.Places {
			text := x.Rule.Action
			if x.Packets > 0 {
				text = fmt.Sprintf("%s %d", x.Rule.Action, x.Packets)
			}
			marks[p.String()] = append(marks[p.String()], text)
		}
	}
	return marks
}

// pathTo returns the name of the path to a host, "" if there is none.
func pathTo(t *topology.Topology, h topology.Host) string {
	name, bits := "", -1
	for _, a := range h.Addresses {
		for _, p := range t.Paths {
			if p.To.Contains(a) && p.To.Bits() > bits {
				name, bits = p.Name, p.To.Bits()
			}
		}
		if bits >= 0 {
			break
		}
	}
	return name
}

type sceneMaker struct {
	t        *topology.Topology
	marks    map[string][]string
	servers  []netsim.Server
	selected string
}

// place returns the node of a place.
func (m *sceneMaker) place(kind box.PlaceKind, name, text, label string) node {
	id := box.Place{Kind: kind, Name: name}.String()
	return node{
		ID: id, Kind: string(kind), Title: name, Text: text, Label: label,
		Marks: m.marks[id], Selected: id == m.selected,
	}
}

func (m *sceneMaker) host(h topology.Host) node {
	text := ""
	if len(h.Addresses) > 0 {
		text = h.Addresses[0].String()
	}
	n := m.place(box.HostPlace, h.Name, text, strings.Join(nonEmpty("Host "+h.Name, text), ", "))
	running, stopped := 0, 0
	for _, s := range m.servers {
		if s.Host == h.Name && s.Running {
			running++
		} else if s.Host == h.Name {
			stopped++
		}
	}
	n.Down = stopped > 0 && running == 0
	for _, a := range h.Addresses {
		for _, b := range m.t.Doors.Out {
			if a == b.Address {
				n.Label += fmt.Sprintf(", a back door leads to the real address %v", b.To)
				n.Kind = "host real"
			}
		}
	}
	return n
}

func nonEmpty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

func (m *sceneMaker) port(i topology.Interface) port {
	text := i.Device
	if len(i.Addresses) > 0 {
		text = i.Addresses[0].Addr().String()
	}
	p := port{node: m.place(box.InterfacePlace, i.Name, text, "Interface "+i.Name+", "+text)}
	for _, x := range m.t.Segments() {
		if x.Interface.Name != i.Name {
			continue
		}
		seg := segment{}
		if x.VLAN != 0 {
			seg.Name = fmt.Sprintf("VLAN %d", x.VLAN)
		}
		if len(x.Routers) > 0 {
			text := x.Routers[0].Addr().String()
			seg.Router = &node{Kind: "router", Title: "gateway", Text: text,
				Label: "Gateway of " + x.Name + ", " + text,
				Href:  "/packets?" + url.Values{"cable": {"gateway/" + x.Name}}.Encode()}
		}
		for _, u := range m.t.Uplinks {
			if u.Interface == i.Name && x.VLAN == 0 {
				to := u.To.String()
				seg.Hosts = append(seg.Hosts, node{Kind: "host real", Title: "uplink", Text: to,
					Label: "Uplink of " + i.Name + " to the real network: " + to})
			}
		}
		for _, h := range m.t.Hosts {
			if h.Wire == i.Name && h.VLAN == x.VLAN {
				seg.Hosts = append(seg.Hosts, m.host(h))
			}
		}
		p.Segments = append(p.Segments, seg)
	}
	return p
}

func (m *sceneMaker) path(p topology.Path) node {
	delay := p.Delay
	for _, h := range p.Hops {
		delay += h.Delay
	}
	text := fmt.Sprintf("%d routers, %v", len(p.Hops), delay)
	if len(p.Hops) < 2 { // only the gateway
		text = fmt.Sprintf("gateway, %v", delay)
	}
	if p.End != topology.Deliver {
		text = p.End
	}
	n := m.place(box.PathPlace, p.Name, text, fmt.Sprintf("Path %s to %v, %s", p.Name, p.To, text))
	return n
}

// countsOf returns the counts of each place, and of the gateways, by the ID of the node.
func countsOf(t *topology.Topology, ports map[string]box.Counts, addrs map[netip.Addr]box.Counts,
) map[string]box.Counts {
	all := map[string]box.Counts{}
	for name, c := range ports {
		all[box.Place{Kind: box.InterfacePlace, Name: name}.String()] = c
	}
	for _, h := range t.Hosts {
		var sum box.Counts
		for _, a := range h.Addresses {
			c := addrs[a]
			sum.Add(c)
		}
		if sum == (box.Counts{}) {
			continue
		}
		all[box.Place{Kind: box.HostPlace, Name: h.Name}.String()] = sum
		if path := pathTo(t, h); h.Wire == "" && path != "" {
			id := box.Place{Kind: box.PathPlace, Name: path}.String()
			c := all[id]
			c.Add(sum)
			all[id] = c
		}
	}
	return all
}

// A networkView is the data of the page of the network.
type networkView struct {
	Picture picture
	List    []node // all places, for those who do not see the picture
	Panel   *panel // of the selected place
	Live    string // the address of the stream
	Form    string
}

func (s *Server) networkView(selected string) (networkView, error) {
	view := networkView{Live: "/network/live", Form: s.access.form}
	if selected != "" {
		p, err := s.panelOf(selected)
		if err != nil {
			return view, err
		}
		view.Panel = &p
		view.Live += "?" + url.Values{"at": {selected}}.Encode()
	}
	view.Picture = draw(s.sceneOf(selected))
	for _, n := range view.Picture.Nodes {
		if n.ID != "" {
			view.List = append(view.List, n)
		}
	}
	slices.SortStableFunc(view.List, func(a, b node) int { return cmp.Compare(a.Kind, b.Kind) })
	return view, nil
}

func (s *Server) showNetwork(v *visit) error {
	view, err := s.networkView(v.FormValue("at"))
	if err != nil {
		return err
	}
	return s.show(v, "network.html", page{Title: "Network", Wide: true, Data: view})
}

// A panel describes the selected place, with what can be done to it.
type panel struct {
	ID, Kind, Title string
	Facts           [][2]string
	Faults          []box.Breakage
	OnlyHere        int // faults that Repair removes
	Servers         []netsim.Server
	Actions         []string
	Cable           string // where packets of the place are recorded
	Form            string
}

func (s *Server) panelOf(id string) (panel, error) {
	place, err := s.box.ParsePlace(id)
	if err != nil {
		return panel{}, err
	}
	p := panel{ID: id, Kind: string(place.Kind), Title: place.Name, Cable: s.cableOf(place),
		Form: s.access.form}
	for _, b := range s.box.Breakages() {
		if slices.Contains(b.Places, place) {
			p.Faults = append(p.Faults, b)
			if len(b.Places) == 1 {
				p.OnlyHere++
			}
		}
	}
	for _, server := range s.box.World().Servers() {
		if place.Kind == box.HostPlace && server.Host == place.Name {
			p.Servers = append(p.Servers, server)
		}
	}
	t := s.box.World().Topology()
	p.Facts = factsOf(t, place)
	h := t.FindHost(place.Name)
	hasCable := place.Kind == box.InterfacePlace ||
		place.Kind == box.HostPlace && h != nil && h.Wire != ""
	for _, a := range topology.Actions() {
		if a != "pass" && (a != topology.Unplug || hasCable) {
			p.Actions = append(p.Actions, a)
		}
	}
	return p, nil
}

func factsOf(t *topology.Topology, p box.Place) (facts [][2]string) {
	add := func(name string, values ...string) {
		if text := strings.Join(nonEmpty(values...), ", "); text != "" {
			facts = append(facts, [2]string{name, text})
		}
	}
	switch p.Kind {
	case box.HostPlace:
		h := t.FindHost(p.Name)
		add("Addresses", texts(h.Addresses)...)
		add("Names", h.Names...)
		add("On the cable of", h.Wire)
		add("Path", pathTo(t, *h))
	case box.PathPlace:
		for _, x := range t.Paths {
			if x.Name == p.Name {
				add("To", x.To.String())
				add("Routers", fmt.Sprint(max(1, len(x.Hops))))
				add("Ends", cmp.Or(x.End, "at the hosts"))
			}
		}
	case box.InterfacePlace:
		for _, x := range t.Appliance.Interfaces {
			if x.Name == p.Name {
				add("Device", x.Device)
				add("Addresses at the start", texts(x.Addresses)...)
			}
		}
	}
	return facts
}

func texts[T fmt.Stringer](list []T) (out []string) {
	for _, x := range list {
		out = append(out, x.String())
	}
	return out
}

func (s *Server) breakPlace(v *visit) error {
	place, err := s.box.ParsePlace(v.PostFormValue("at"))
	if err != nil {
		return err
	}
	rule, err := ruleOf(v.PostForm)
	if err != nil {
		return err
	}
	if _, err := s.box.Break(place, rule); err != nil {
		return err
	}
	return v.redirect(placeAddress(place.String()))
}

func placeAddress(id string) string { return "/?" + url.Values{"at": {id}}.Encode() + "#panel" }

func (s *Server) repairPlace(v *visit) error {
	place, err := s.box.ParsePlace(v.PostFormValue("at"))
	if err != nil {
		return err
	}
	s.box.Repair(place)
	return v.redirect(placeAddress(place.String()))
}

// liveInterval is the time between two looks at the counts.
const liveInterval = time.Second

// A liveNetwork is what the script of the picture gets: counts by place.
type liveNetwork struct {
	Counts map[string]box.Counts `json:"counts"`
}

// streamNetwork sends the counts, and the picture again when something else in it has changed.
func (s *Server) streamNetwork(v *visit) error {
	selected := v.FormValue("at")
	meter := s.box.NewMeter()
	defer meter.Close()
	return s.stream(v, func(out *streamWriter) error {
		sent := map[string]string{} // parts of the page, by the event that replaces them
		for {
			ports, addrs, err := meter.Read()
			if err != nil {
				return err
			}
			view, err := s.networkView(selected)
			if err != nil {
				return err
			}
			if err := sendChanged(out, sent, "picture", view); err != nil {
				return err
			}
			if view.Panel != nil {
				if err := sendChanged(out, sent, "panel", view.Panel); err != nil {
					return err
				}
			}
			counts := countsOf(s.box.World().Topology(), ports, addrs)
			if err := out.json("counts", liveNetwork{counts}); err != nil {
				return err
			}
			if !out.pause(liveInterval) {
				return nil
			}
		}
	})
}

// sendChanged sends a part of the page of the network, unless it is as it was sent before.
func sendChanged(out *streamWriter, sent map[string]string, part string, data any) error {
	define := map[string]string{"picture": "picture", "panel": "panelfaults"}[part]
	html, err := execute("network.html", define, data)
	if err != nil || sent[part] == string(html) {
		return err
	}
	sent[part] = string(html)
	return out.html(part, html)
}
