package dissect_test

import (
	"bytes"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// TestFieldsHaveTheirBytes: the bytes of fields are where their values are, and the filters of
// fields select their own packet.
func TestFieldsHaveTheirBytes(t *testing.T) {
	x := newCaptureBuilder(t)
	x.tcp(true, func(t *layers.TCP) { t.PSH, t.ACK, t.Seq = true, true, 0x01020304 }, "hello")
	c := x.open()
	all, _ := scan(t, c, "")
	p, err := c.Packet(t.Context(), all, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{
		"Internet Protocol Version 4/Source":            esa.To4(),
		"Internet Protocol Version 4/Destination":       syslog.To4(),
		"Internet Protocol Version 4/Time to live":      {64},
		"Transmission Control Protocol/Source port":     {26040 >> 8, 26040 & 0xff},
		"Transmission Control Protocol/Sequence number": {1, 2, 3, 4},
		"Transmission Control Protocol/Data":            []byte("hello"),
		"Data/Length":                                   []byte("hello"),
		"Ethernet/Type":                                 {8, 0},
	}
	filters := 0
	for _, l := range p.Layers {
		for _, f := range l.Fields {
			got := p.Data[f.Offset : f.Offset+f.Length]
			if bytes, ok := want[l.Name+"/"+f.Name]; ok {
				delete(want, l.Name+"/"+f.Name)
				if string(got) != string(bytes) {
					t.Errorf("%s of %s has the bytes % x, want % x", f.Name, l.Name, got, bytes)
				}
			}
			if f.Filter == "" {
				continue
			}
			filters++
			filter, err := pcapfilter.Compile(f.Filter, pcapfilter.Options{})
			if err != nil || !filter.Match(p.Data, p.WireLen) {
				t.Errorf("the filter %q of %s does not select the packet: %v", f.Filter, f.Name, err)
			}
		}
	}
	if len(want) > 0 || filters != 7 || !bytes.Contains(p.Data, []byte("hello")) {
		t.Errorf("missing: %v; %d filters, want 7", want, filters)
	}
}
