package dissect_test

import (
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// TestConversations: both directions of a connection are one conversation, the largest comes first.
func TestConversations(t *testing.T) {
	x := newCaptureBuilder(t)
	plain := func(*layers.TCP) {}
	x.tcp(true, func(t *layers.TCP) { t.SrcPort = 40000 }, "")
	x.tcp(true, plain, "hello")
	x.tcp(false, plain, "hello to you, too, and some more bytes that make it longer than others")
	x.raw([]byte("not an IP packet, and long enough for a header of Ethernet"))
	list, more, err := x.open().Conversations(t.Context(), nil)
	if err != nil || more != 0 || len(list) != 2 {
		t.Fatalf("%+v, %d, %v", list, more, err)
	}
	first := list[0]
	if first.Protocol != "TCP" || first.A.Port() != 26040 || first.B.Port() != 514 ||
		first.FromA.Packets != 1 || first.FromB.Packets != 1 || first.Number != 2 ||
		!first.Last.After(first.First) || first.Bytes() != first.FromA.Bytes+first.FromB.Bytes {
		t.Errorf("%+v", first)
	}
	_, filter := scan(t, x.open(), "port 40000")
	if list, _, err := x.open().Conversations(t.Context(), filter); err != nil || len(list) != 1 {
		t.Errorf("with a filter: %+v, %v", list, err)
	}
}
