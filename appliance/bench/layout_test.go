package bench

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// largeTopology has n hosts: some on a cable, some behind a path, some directly at the gateways.
func largeTopology(t testing.TB, n int) *topology.Topology {
	t.Helper()
	text := `
appliance:
  hostname: large.example
  model: C100V
  serial: 421F6D8FB9C75E19C425-C9AEA81B2B70
  version: 14.0.0-698
  build_date: 2021-07-27
  interfaces:
    - {name: Data 1, device: nic1, addresses: [10.1.0.2/16], gateway: 10.1.0.1}
    - {name: Data 2, device: nic2, addresses: [10.2.0.2/16]}
paths:
  - {name: far, to: 10.8.0.0/16, hops: [{members: [10.1.0.1]}, {members: [192.0.2.1], delay: 1ms}]}
doors:
  in:
    - {name: ssh, listen: "127.0.0.1:0", interface: Data 1, service: ssh}
  seen_as: [{from: 0.0.0.0/0, as: 10.8.1.2}, {from: "::/0", as: 10.8.1.2}]
hosts:
`
	for i := range n {
		net, wire := 1, ", wire: Data 1"
		if i%3 > 0 {
			net, wire = 7+i%3, ""
		}
		text += fmt.Sprintf("  - {name: host%d, addresses: [10.%d.1.%d]%s}\n", i, net, i+1, wire)
	}
	topo, err := box.LoadTopology("large.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func sceneOfTopology(topo *topology.Topology) scene {
	doors := map[string]netip.AddrPort{"ssh": netip.MustParseAddrPort("127.0.0.1:2222")}
	return makeScene(topo, "large.example", nil, nil, doors, "host/host7")
}

// TestPictureOfManyHosts: every place has a box of its own, and every link ends at a box or a bus.
func TestPictureOfManyHosts(t *testing.T) {
	for _, n := range []int{3, 14, 45, 200, 250} {
		topo := largeTopology(t, n)
		p := draw(sceneOfTopology(topo))
		seen := map[string]bool{}
		for i, a := range p.Nodes {
			if a.ID != "" && seen[a.ID] {
				t.Errorf("%d hosts: %s is drawn twice", n, a.ID)
			}
			seen[a.ID] = true
			if a.X < 0 || a.Y < 0 || a.X+nodeWidth > p.Width || a.Y+nodeHeight > p.Height {
				t.Errorf("%d hosts: %s is outside of the picture", n, a.Title)
			}
			for _, b := range p.Nodes[:i] {
				if a.X < b.X+nodeWidth && b.X < a.X+nodeWidth && a.Y < b.Y+nodeHeight && b.Y < a.Y+nodeHeight {
					t.Errorf("%d hosts: %s and %s overlap", n, a.Title, b.Title)
				}
			}
		}
		for _, place := range box.Places(topo) {
			if !seen[place.String()] {
				t.Errorf("%d hosts: %s is missing", n, place)
			}
		}
		checkLines(t, p)
	}
}

// checkLines checks that links with traffic touch the box of their place.
func checkLines(t *testing.T, p picture) {
	t.Helper()
	nodes := map[string]node{}
	for _, n := range p.Nodes {
		nodes[n.ID] = n
	}
	begin := regexp.MustCompile(`^M(\d+) (\d+)(?:h(\d+)|H(\d+))$`)
	for _, l := range p.Lines {
		if l.Of == "" {
			continue
		}
		m := begin.FindStringSubmatch(l.D)
		if m == nil {
			t.Fatalf("the link of %s is %s", l.Of, l.D)
		}
		number := func(s string) int { n, _ := strconv.Atoi(s); return n }
		x, y, end := number(m[1]), number(m[2]), number(m[4])
		if m[3] != "" {
			end = x + number(m[3])
		}
		n := nodes[l.Of]
		if y != n.Y+nodeHeight/2 || end != n.X && x != n.X+nodeWidth {
			t.Errorf("the link %s does not touch the box of %s at %d, %d", l.D, l.Of, n.X, n.Y)
		}
	}
}

// BenchmarkPicture draws the picture of 200 hosts, as HTML.
func BenchmarkPicture(b *testing.B) {
	topo := largeTopology(b, 200)
	for b.Loop() {
		view := networkView{Picture: draw(sceneOfTopology(topo))}
		if _, err := execute("network.html", "picture", view); err != nil {
			b.Fatal(err)
		}
	}
}
