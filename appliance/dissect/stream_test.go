package dissect_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/dissect"
)

func TestTheStreamIsPutTogether(t *testing.T) {
	x := newCaptureBuilder(t)
	say := func(fromESA bool, seq uint32, data string) {
		x.tcp(fromESA, func(p *layers.TCP) { p.ACK, p.Seq = true, seq }, data)
	}
	x.tcp(false, func(p *layers.TCP) { p.ACK, p.Seq = true, 77 }, "an old connection of the same ports\n")
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, isnESA }, "")
	x.tcp(false, func(p *layers.TCP) { p.SYN, p.ACK, p.Seq = true, true, isnServer }, "")
	at := func(n uint32) uint32 { return isnESA + 1 + n } // across the end of the numbers
	say(true, at(0), "hello ")
	say(true, at(12), "again\n") // too early
	say(true, at(0), "hello ")   // twice
	say(true, at(4), "o world ") // overlaps
	say(false, isnServer+1, "220 ready\r\n")
	say(true, at(118), "after a gap\x00\x1b")
	x.tcp(true, func(p *layers.TCP) { p.RST, p.Seq = true, at(130) }, "")
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, 5 }, "")
	say(true, 6, "the next connection\n")

	c := x.open()
	all, _ := scan(t, c, "")
	for _, n := range []int{2, 5, 8, 9} { // whichever packet one comes from
		s, err := c.Follow(t.Context(), all, n)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range s.Parts {
			got = append(got, fmt.Sprintf("%t %d %q %s", p.FromClient, p.Number, p.Text(), p.Gap()))
		}
		want := []string{
			`true 4 "hello world again\n" `,
			`false 8 "220 ready\n" `,
			`true 9 "after a gap.." 100 bytes are not in the capture`,
		}
		if diff := cmp.Diff(want, got); diff != "" || s.ToServer != 31 || s.ToClient != 11 || s.Client.String() != "10.229.24.230:26040" {
			t.Errorf("from packet %d: %d, %d, %v\n%s", n, s.ToServer, s.ToClient, s.Client, diff)
		}
	}
	if s, err := c.Follow(t.Context(), all, 12); err != nil || len(s.Parts) != 1 || s.Parts[0].Text() != "the next connection\n" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTheServerOfAnOldConnectionHasTheLowerPort(t *testing.T) {
	x := newCaptureBuilder(t)
	say := func(fromESA bool, data string) {
		x.tcp(fromESA, func(p *layers.TCP) { p.ACK, p.Seq = true, 1 }, data)
	}
	say(false, "from the server\n")
	say(true, "from the client\n")
	c := x.open()
	all, _ := scan(t, c, "")
	for _, n := range []int{1, 2} { // whichever packet one comes from
		s, err := c.Follow(t.Context(), all, n)
		if err != nil || s.Server.Port() != 514 || s.Client.Port() != 26040 || s.Parts[0].FromClient {
			t.Errorf("from packet %d: %+v, %v", n, s, err)
		}
	}
}

func TestWhatComesInAnyOrderIsPutTogether(t *testing.T) {
	x := newCaptureBuilder(t)
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, isnESA }, "")
	const text = "0123456789"
	for _, i := range []int{3, 9, 1, 5, 5, 2, 8, 4, 7, 6, 0} {
		x.tcp(true, func(p *layers.TCP) { p.ACK, p.Seq = true, isnESA+1+uint32(i) }, text[i:i+1])
	}
	c := x.open()
	all, _ := scan(t, c, "")
	s, err := c.Follow(t.Context(), all, 1)
	if err != nil || len(s.Parts) != 1 || s.Parts[0].Text() != text {
		t.Errorf("%+v, %v", s.Parts, err)
	}
}

func TestWhatWaitsForAGapIsBounded(t *testing.T) {
	x := newCaptureBuilder(t)
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, isnESA }, "")
	say := func(i int) {
		x.tcp(true, func(p *layers.TCP) { p.ACK, p.Seq = true, isnESA+1+uint32(i) }, "x")
	}
	const crumbs = 5000
	for i := range crumbs {
		say(crumbs - i)
	}
	say(0) // the gap was taken for lost by then
	c := x.open()
	all, _ := scan(t, c, "")
	s, err := c.Follow(t.Context(), all, 1)
	if err != nil || len(s.Parts) == 0 || s.Parts[0].Missing == 0 {
		t.Errorf("%d parts, %v", len(s.Parts), err)
	}
}

func TestAStreamHasABoundedNumberOfParts(t *testing.T) {
	x := newCaptureBuilder(t)
	for i := range dissect.MaxStreamParts + 10 { // the ends take turns
		x.tcp(i%2 == 0, func(p *layers.TCP) { p.ACK, p.Seq = true, uint32(i/2) }, "x")
	}
	c := x.open()
	all, _ := scan(t, c, "")
	s, err := c.Follow(t.Context(), all, 1)
	if err != nil || len(s.Parts) != dissect.MaxStreamParts || !s.Truncated || s.ToServer+s.ToClient != dissect.MaxStreamParts+10 {
		t.Errorf("%d parts of %d bytes, cut: %t, %v", len(s.Parts), s.ToServer+s.ToClient, s.Truncated, err)
	}
}
