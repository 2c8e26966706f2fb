package check

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzReadRecord: whatever a file contains, it is read or refused, and checked.
func FuzzReadRecord(f *testing.F) {
	f.Add([]byte(`{"seq":1,"time":"2015-06-25T08:50:03Z","kind":"login.opened","fields":{"id":1}}` + "\n"))
	f.Add([]byte(`{"seq":1,"kind":"connection.opened","fields":{"local":"10.0.0.1:1","remote":"[::1]:2"}}
{"seq":2,"kind":"connection.closed","cause":1,"fields":{"local":"10.0.0.1:1","sent":1e300}}
{"seq":3,"kind":"capture.started","fields":{"file":"x","interfaces":["a",1,null]}}
{"seq":4,"kind":"interface.changed","fields":{"addrs":["10.0.0.1/24"]}}
`))
	f.Add([]byte(`{"seq":1,"kind":"events.lost","fields":{"oldest":7}}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := ReadRecord("record", bytes.NewReader(data))
		if err != nil {
			return
		}
		if n := bytes.Count(data, []byte("\n")) + 1; len(record.Events) > n {
			t.Errorf("%d events on %d lines", len(record.Events), n)
		}
		(&Run{Record: record}).Check()
	})
}

// FuzzReadCapture: whatever a file contains, it is read or refused.
func FuzzReadCapture(f *testing.F) {
	var pcap []byte
	for _, v := range []uint32{0xa1b2c3d4, 0x00040002, 0, 0, 262144, 1, 1435222203, 250, 42, 42} {
		pcap = binary.LittleEndian.AppendUint32(pcap, v)
	}
	f.Add(append(pcap, make([]byte, 42)...))
	var next []byte
	for _, v := range []uint32{
		blockSection, 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28,
		blockInterface, 20, 1, 0, 20,
		blockEnhanced, 36, 0, 1, 2, 4, 4, 7, 36,
		blockSimple, 20, 4, 7, 20,
	} {
		next = binary.LittleEndian.AppendUint32(next, v)
	}
	f.Add(next)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ReadCapture("capture", bytes.NewReader(data))
		if err != nil {
			return
		}
		if c.Size > int64(len(data)) {
			t.Errorf("%d bytes of %d were read", c.Size, len(data))
		}
		for _, x := range c.Frames {
			_ = x.String()
		}
		(&Run{Record: &Record{}, Captures: []*Capture{c}}).Check()
	})
}
