package dissect_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/dissect"
)

func TestFollow(t *testing.T) {
	x := newCaptureBuilder(t)
	send := func(fromESA bool, seq uint32, data string) {
		x.tcp(fromESA, func(p *layers.TCP) { p.ACK, p.Seq = true, seq }, data)
	}
	send(false, 77, "an old connection of the same ports\n")
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, isnESA }, "")
	x.tcp(false, func(p *layers.TCP) { p.SYN, p.ACK, p.Seq = true, true, isnServer }, "")
	at := func(n uint32) uint32 { return isnESA + 1 + n } // wraps around
	send(true, at(0), "hello ")
	send(true, at(12), "again\n") // arrives early
	send(true, at(0), "hello ")   // is a retransmission
	send(true, at(4), "o world ") // overlaps
	send(false, isnServer+1, "220 ready\r\n")
	send(true, at(118), "after a gap\x00\x1b")
	x.tcp(true, func(p *layers.TCP) { p.RST, p.Seq = true, at(130) }, "")
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, 5 }, "")
	send(true, 6, "the next connection\n")

	c := x.open()
	all, _ := scan(t, c, "")
	for _, n := range []int{2, 5, 8, 9} { // the result is the same for every packet
		s, err := c.Follow(t.Context(), all, n, 0, dissect.MaxStreamBytes)
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
		if diff := cmp.Diff(want, got); diff != "" || s.ToServer != 31 || s.ToClient != 11 ||
			s.Client.String() != "10.229.24.230:26040" {
			t.Errorf("from packet %d: %d, %d, %v\n%s", n, s.ToServer, s.ToClient, s.Client, diff)
		}
	}
	s, err := c.Follow(t.Context(), all, 12, 0, dissect.MaxStreamBytes)
	if err != nil || len(s.Parts) != 1 || s.Parts[0].Text() != "the next connection\n" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestLowerPortIsTheServerWithoutASYN(t *testing.T) {
	x := newCaptureBuilder(t)
	send := func(fromESA bool, data string) {
		x.tcp(fromESA, func(p *layers.TCP) { p.ACK, p.Seq = true, 1 }, data)
	}
	send(false, "from the server\n")
	send(true, "from the client\n")
	c := x.open()
	all, _ := scan(t, c, "")
	for _, n := range []int{1, 2} {
		s, err := c.Follow(t.Context(), all, n, 0, dissect.MaxStreamBytes)
		if err != nil || s.Server.Port() != 514 || s.Client.Port() != 26040 ||
			s.Parts[0].FromClient {
			t.Errorf("from packet %d: %+v, %v", n, s, err)
		}
	}
}

func TestSegmentsOutOfOrderAreSorted(t *testing.T) {
	x := newCaptureBuilder(t)
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, isnESA }, "")
	const text = "0123456789"
	for _, i := range []int{3, 9, 1, 5, 5, 2, 8, 4, 7, 6, 0} {
		x.tcp(true, func(p *layers.TCP) { p.ACK, p.Seq = true, isnESA+1+uint32(i) }, text[i:i+1])
	}
	c := x.open()
	all, _ := scan(t, c, "")
	s, err := c.Follow(t.Context(), all, 1, 0, dissect.MaxStreamBytes)
	if err != nil || len(s.Parts) != 1 || s.Parts[0].Text() != text {
		t.Errorf("%+v, %v", s.Parts, err)
	}
}

func TestEarlyDataIsBounded(t *testing.T) {
	x := newCaptureBuilder(t)
	x.tcp(true, func(p *layers.TCP) { p.SYN, p.Seq = true, isnESA }, "")
	send := func(i int) {
		x.tcp(true, func(p *layers.TCP) { p.ACK, p.Seq = true, isnESA+1+uint32(i) }, "x")
	}
	const segments = 5000
	for i := range segments {
		send(segments - i)
	}
	send(0) // too late: the gap has been taken for lost
	c := x.open()
	all, _ := scan(t, c, "")
	s, err := c.Follow(t.Context(), all, 1, 0, dissect.MaxStreamBytes)
	if err != nil || len(s.Parts) == 0 || s.Parts[0].Missing == 0 {
		t.Errorf("%d parts, %v", len(s.Parts), err)
	}
}

func TestPartsAreBounded(t *testing.T) {
	x := newCaptureBuilder(t)
	for i := range dissect.MaxStreamParts + 10 { // the ends alternate
		x.tcp(i%2 == 0, func(p *layers.TCP) { p.ACK, p.Seq = true, uint32(i/2) }, "x")
	}
	c := x.open()
	all, _ := scan(t, c, "")
	s, err := c.Follow(t.Context(), all, 1, 0, dissect.MaxStreamBytes)
	total := s.ToServer + s.ToClient
	if err != nil || len(s.Parts) != dissect.MaxStreamParts || !s.Truncated ||
		total != dissect.MaxStreamParts+10 {
		t.Errorf("%d parts, %d bytes, truncated: %t, %v", len(s.Parts), total, s.Truncated, err)
	}
}

func TestSequenceNumbersWithoutASYN(t *testing.T) {
	x := newCaptureBuilder(t)
	x.tcp(true, func(p *layers.TCP) { p.ACK, p.Seq, p.Ack = true, 4_000_000_000, 77 }, "0123456789")
	x.tcp(false, func(p *layers.TCP) { p.ACK, p.Seq, p.Ack = true, 77, 4_000_000_010 }, "")
	x.tcp(true, func(p *layers.TCP) { p.ACK, p.Seq, p.Ack = true, 4_000_000_010, 77 }, "")
	c := x.open()
	all, _ := scan(t, c, "")
	for index, want := range map[*dissect.Index][]string{
		all:                       {"", "Seq=1 Ack=11 ", "Seq=11 Ack=1 "},
		all.WithAbsoluteNumbers(): {"", "Seq=77 Ack=4000000010 ", "Seq=4000000010 Ack=77 "},
	} {
		rows, err := c.Rows(t.Context(), all, index, nil, 0, 9)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rows {
			if !strings.Contains(r.Info, want[i]) {
				t.Errorf("packet %d: %q, want %q", r.Number, r.Info, want[i])
			}
		}
	}
	p, err := c.Packet(t.Context(), all, 2)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(p.Layers)
	if !strings.Contains(text, "{Sequence number 1 (relative), 77 ") ||
		!strings.Contains(text, "{Acknowledgement number 11 (relative), 4000000010 ") {
		t.Error(text)
	}
}

func TestFollowReturnsARange(t *testing.T) {
	x := newCaptureBuilder(t)
	send := func(fromESA bool, seq uint32, data string) {
		x.tcp(fromESA, func(p *layers.TCP) { p.ACK, p.Seq = true, seq }, data)
	}
	send(true, 1, "client1")
	send(false, 1, "server1")
	send(true, 8, "client2")
	c := x.open()
	all, _ := scan(t, c, "")
	got := ""
	for skip := int64(0); ; {
		s, err := c.Follow(t.Context(), all, 1, skip, 5)
		if err != nil || s.ToServer != 14 || s.ToClient != 7 {
			t.Fatalf("%+v, %v", s, err)
		}
		for _, p := range s.Parts {
			got += fmt.Sprintf("%t@%d:%s ", p.FromClient, p.Offset, p.Data)
			skip += int64(len(p.Data))
		}
		if !s.Truncated {
			break
		}
	}
	want := "true@0:clien true@5:t1 false@0:ser false@3:ver1 true@7:c true@8:lient true@13:2 "
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var sent, received strings.Builder
	err := c.CopyStream(t.Context(), all, 2, func(fromClient bool, data []byte) error {
		if fromClient {
			sent.Write(data)
		} else {
			received.Write(data)
		}
		return nil
	})
	if err != nil || sent.String() != "client1client2" || received.String() != "server1" {
		t.Errorf("%q, %q, %v", sent.String(), received.String(), err)
	}
	failed := errors.New("the reader has gone")
	err = c.CopyStream(t.Context(), all, 2, func(bool, []byte) error { return failed })
	if !errors.Is(err, failed) {
		t.Error(err)
	}
}
