package ntp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/ntp"
)

// The test checks the layout of RFC 5905 7.3 byte by byte.
func TestPacketOnTheWire(t *testing.T) {
	at := time.Date(2015, 6, 25, 8, 50, 3, 500_000_000, time.UTC) // 0xd9363f3b.8 seconds after 1900
	p := ntp.Packet{
		Leap: 1, Version: 4, Mode: ntp.ModeServer, Stratum: 2, Poll: 6, Precision: -20,
		RootDelay: 500 * time.Millisecond, RootDisp: 2 * time.Second, RefID: [4]byte{10, 0, 0, 1},
		Reference: at.Add(-time.Minute), Origin: 0x0102030405060708, Receive: at,
		Transmit: ntp.TimestampOf(at),
	}
	want, _ := hex.DecodeString("640206ec" + "00008000" + "00020000" + "0a000001" +
		"d9363eff80000000" + "0102030405060708" + "d9363f3b80000000" + "d9363f3b80000000")
	got := p.Append(nil)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	back, err := ntp.ParsePacket(append(got, "an extension"...))
	if err != nil || back != p {
		t.Errorf("parsed as %+v, %v", back, err)
	}
	if _, err := ntp.ParsePacket(got[:47]); !errors.Is(err, ntp.ErrShortPacket) {
		t.Errorf("a short packet: %v", err)
	}
}

func TestTimestampsWrapIn2036(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(1968, 1, 20, 3, 14, 8, 0, time.UTC),
		time.Date(2015, 6, 25, 8, 50, 3, 123_456_789, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 15, 999_999_999, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 17, 1, time.UTC),
		time.Date(2104, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got := ntp.TimestampOf(at).Time(); !got.Equal(at) {
			t.Errorf("%v is converted back to %v", at, got)
		}
	}
	if ntp.TimestampOf(time.Time{}) != 0 || !ntp.Timestamp(0).Time().IsZero() {
		t.Error("the zero time is not converted to 0, or 0 not to the zero time")
	}
}

func FuzzParsePacket(f *testing.F) {
	f.Add(ntp.Packet{Version: 4, Mode: ntp.ModeClient}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ntp.ParsePacket(b)
		if err != nil {
			return
		}
		if got := p.Append(nil); !bytes.Equal(got[:8], b[:8]) || !bytes.Equal(got[12:16], b[12:16]) || !bytes.Equal(got[24:32], b[24:32]) {
			t.Errorf("%x is encoded as %x", b, got)
		}
	})
}
