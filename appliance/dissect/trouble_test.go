package dissect_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/dissect"
)

// TestTroubles: resets, refusals, retransmissions and gaps are marked, and nothing else.
func TestTroubles(t *testing.T) {
	x := newCaptureBuilder(t)
	seq := func(n uint32) func(*layers.TCP) {
		return func(t *layers.TCP) { t.Seq, t.ACK = n, true }
	}
	syn := func(ports ...layers.TCPPort) func(*layers.TCP) {
		return func(t *layers.TCP) {
			t.SYN, t.Seq = true, 100
			if len(ports) > 0 {
				t.SrcPort = ports[0]
			}
		}
	}
	x.tcp(true, syn(), "")                                                                      // 1
	x.tcp(true, syn(), "")                                                                      // 2: sent again
	x.tcp(false, func(t *layers.TCP) { t.SYN, t.ACK, t.Seq, t.Ack = true, true, 500, 101 }, "") // 3
	x.tcp(true, seq(101), "abcd")                                                               // 4
	x.tcp(true, seq(101), "abcd")                                                               // 5: sent again
	x.tcp(true, seq(109), "ijkl")                                                               // 6: 105 to 109 are missing
	x.tcp(true, seq(105), "efgh")                                                               // 7: fills the gap
	x.tcp(true, seq(113), "")                                                                   // 8
	x.tcp(false, func(t *layers.TCP) { t.RST, t.Seq = true, 501 }, "")                          // 9
	x.tcp(true, syn(40000), "")                                                                 // 10
	x.tcp(false, func(t *layers.TCP) { t.RST, t.ACK, t.Ack, t.DstPort = true, true, 101, 40000 }, "")
	c := x.open()
	index, _ := scan(t, c, "")
	rows, err := c.Rows(context.Background(), index, index, nil, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]dissect.Trouble{}
	for _, r := range rows {
		if r.Trouble != "" {
			got[r.Number] = r.Trouble
		}
	}
	want := map[int]dissect.Trouble{
		2: dissect.Retransmission, 5: dissect.Retransmission, 7: dissect.OutOfOrder,
		9: dissect.Reset, 11: dissect.Refused,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if counts := index.Troubles(); len(counts) != 4 || counts[0] != (dissect.TroubleCount{
		Trouble: dissect.Retransmission, Packets: 2, First: 2}) {
		t.Errorf("the counts are %v", counts)
	}
	if rows[3].Length != 60 { // the least that Ethernet carries
		t.Errorf("packet 4 has a length of %d", rows[3].Length)
	}
}
