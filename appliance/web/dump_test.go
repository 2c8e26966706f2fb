package web

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/dissect"
)

func TestMarkDump(t *testing.T) {
	lines := []dissect.DumpLine{
		{Offset: "0000", Hex: "00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f", Text: "abcdefghijklmnop"},
		{Offset: "0010", Hex: "10 11 12", Text: "qrs"},
	}
	got := markDump(lines, 14, 4)
	want := []dumpLine{
		{"0000", markedText{"00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d ", "0e 0f", ""},
			markedText{"abcdefghijklmn", "op", ""}},
		{"0010", markedText{"", "10 11", " 12"}, markedText{"", "qr", "s"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := markDump(lines, 6, 3)[0].Hex.Marked; got != "06 07  08" {
		t.Errorf("across the gap: %q", got)
	}
	for text, want := range map[string][2]int{
		"26-4": {26, 4}, "": {}, "x": {}, "-1-4": {}, "1--4": {}, "99999999999-1": {}, "1-99999999": {},
	} {
		if offset, length := parseBytes(text); offset != want[0] || length != want[1] {
			t.Errorf("%q: %d, %d", text, offset, length)
		}
	}
}

// TestPacketLeadsToBytesAndFilters: fields link to their bytes and to their filter, and rows have
// a length, the seconds since the first packet, and marks.
func TestPacketLeadsToBytesAndFilters(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(3))
	view := capturesPath + "/view/a.cap"
	expectPage(t, b.get(view), http.StatusOK, `<td class="n">0.001000</td>`, `<td class="n">800</td>`,
		`<tr class="p-UDP" data-row>`)
	expectPage(t, b.get(view+"/packet/2?at=26-4"), http.StatusOK,
		`data-bytes="26-4" aria-label="Show the bytes of Source"`,
		"?filter=src&#43;host&#43;10.0.202.7", `aria-label="Apply as filter: src host 10.0.202.7"`,
		"<mark>0a 00 ca 07</mark>")
	twice := tcpPackets("hello", "", "again")
	twice = append(twice, twice[len(twice)-16-59:]...) // the last packet once more
	s.store("t.cap", twice)
	expectPage(t, b.get(capturesPath+"/view/t.cap"), http.StatusOK,
		`<b class="trouble">Retransmission: 1 packet</b>, the first is`, "packet 4",
		`<b class="trouble">Retransmission</b> `)
}
