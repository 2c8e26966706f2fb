package dhcp_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/dhcp"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func offer() dhcp.Message {
	return dhcp.Message{
		Type: dhcp.Offer, XID: 0x01020304, Secs: 3, Broadcast: true, MAC: dhcp.MAC{2, 0, 0, 0, 0, 9},
		YourAddr: addr("192.0.2.100"), NextServer: addr("192.0.2.3"), Relay: addr("192.0.2.4"),
		ClientAddr: addr("192.0.2.99"), Server: addr("192.0.2.2"), ClientID: []byte{1, 2},
		MaskBits: 24, Routers: []netip.Addr{addr("192.0.2.1")}, HostName: "mail.example.com",
		DNS: []netip.Addr{addr("192.0.2.53"), addr("192.0.2.54")}, Domain: "example.com",
		LeaseTime: time.Hour, T1: 30 * time.Minute, T2: 50 * time.Minute,
		Parameters: []byte{1, 3}, MaxSize: 1500, Text: "why", Requested: addr("192.0.2.98"),
	}
}

func TestMessagesAreReadBack(t *testing.T) {
	for _, m := range []dhcp.Message{
		offer(), {Type: dhcp.Discover}, {Type: dhcp.NAK, LeaseTime: dhcp.Infinite, MaskBits: 32},
	} {
		b := m.Append([]byte("before"))
		if !bytes.HasPrefix(b, []byte("before")) || len(b) < 300 {
			t.Errorf("%d bytes, beginning with %q", len(b), b[:6])
		}
		got, err := dhcp.Parse(b[len("before"):])
		if err != nil || !reflect.DeepEqual(*got, m) {
			t.Errorf("%+v\nis read as\n%+v, %v", m, got, err)
		}
	}
}

// discover has the fixed fields of a message and its options, as RFC 2131 and RFC 2132 define them.
const discover = "01010600" + "deadbeef" + "0005" + "8000" + "00000000" + "00000000" + "00000000" +
	"00000000" + "020000000009"

func raw(t *testing.T, options string) []byte {
	t.Helper()
	b, err := hex.DecodeString(discover)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, make([]byte, 236-len(b))...)
	rest, err := hex.DecodeString("63825363" + strings.ReplaceAll(options, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return append(b, rest...)
}

func TestOptionsOfOtherPrograms(t *testing.T) {
	m, err := dhcp.Parse(raw(t, "350101 3d0701020000000009 0c03616263 0c03646566 3204c0000264 00 ff 35"))
	if err != nil || m.Type != dhcp.Discover || m.XID != 0xdeadbeef || m.Secs != 5 || !m.Broadcast ||
		m.MAC.String() != "02:00:00:00:00:09" || m.HostName != "abcdef" || // joined: RFC 3396
		m.Requested != addr("192.0.2.100") || hex.EncodeToString(m.ClientID) != "01020000000009" {
		t.Errorf("%+v, %v", m, err)
	}
	// Option 52 says that the field for a file has options too.
	b := raw(t, "350101 340101 ff")
	copy(b[108:], "\x0c\x04file\xff")
	if m, err := dhcp.Parse(b); err != nil || m.HostName != "file" {
		t.Errorf("%+v, %v", m, err)
	}
	// A mask with a hole, a list that is not of addresses, and a short time are ignored.
	m, err = dhcp.Parse(raw(t, "350101 0104ff00ff00 0303c00002 33020001 ff"))
	if err != nil || m.MaskBits != 0 || m.Routers != nil || m.LeaseTime != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	for name, b := range map[string][]byte{
		"short": raw(t, "350101")[:239], "no type": raw(t, "ff"), "type 9": raw(t, "350109 ff"),
		"an option beyond the end": raw(t, "350101 0cff61"), "a request of a server": raw(t, "350102 ff"),
		"another cookie": bytes.Replace(raw(t, "350101 ff"), []byte{0x63}, []byte{0x64}, 1),
	} {
		if m, err := dhcp.Parse(b); err == nil {
			t.Errorf("%s is read as %+v", name, m)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	m := dhcp.Message{Type: dhcp.Offer, HostName: strings.Repeat("x", 300)}
	for range 100 {
		m.DNS = append(m.DNS, addr("192.0.2.1"))
	}
	got, err := dhcp.Parse(m.Append(nil))
	if err != nil || len(got.HostName) != 255 || len(got.DNS) != 63 {
		t.Errorf("%d bytes, %d addresses, %v", len(got.HostName), len(got.DNS), err)
	}
}

func TestFramesHaveChecksums(t *testing.T) {
	m := offer()
	d := dhcp.Datagram{
		From: dhcp.MAC{2, 1}, To: dhcp.BroadcastMAC(), Data: m.Append(nil),
		Source: netip.MustParseAddrPort("0.0.0.0:68"), Target: netip.MustParseAddrPort("255.255.255.255:67"),
	}
	frame := d.Frame()
	if got, ok := dhcp.ParseFrame(frame); !ok || !reflect.DeepEqual(got, d) {
		t.Errorf("read as %+v, %v", got, ok)
	}
	if got, ok := dhcp.ParseFrame(append(bytes.Clone(frame), 0, 0)); !ok || !bytes.Equal(got.Data, d.Data) {
		t.Errorf("with padding: %+v, %v", got, ok)
	}
	for i := 14; i < len(frame); i++ { // every byte after the Ethernet header is covered
		bad := bytes.Clone(frame)
		bad[i] ^= 0x55
		if _, ok := dhcp.ParseFrame(bad); ok && i != 40 && i != 41 {
			t.Errorf("a wrong byte %d is not noticed", i)
		}
	}
	frame[40], frame[41] = 0, 0
	if _, ok := dhcp.ParseFrame(frame); !ok {
		t.Error("a datagram without a checksum is refused")
	}
}

// FuzzMessage reads messages of servers and clients. What is read can be written and read again.
func FuzzMessage(f *testing.F) {
	m := offer()
	f.Add(m.Append(nil))
	f.Add((&dhcp.Message{Type: dhcp.Request, Requested: addr("192.0.2.7")}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcp.Parse(b)
		if err != nil {
			return
		}
		once := m.Append(nil)
		again, err := dhcp.Parse(once)
		if err != nil {
			t.Fatalf("%+v is not read back: %v", m, err)
		}
		if twice := again.Append(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x\nis written as\n%x", once, twice)
		}
	})
}

// FuzzFrame reads frames from a cable.
func FuzzFrame(f *testing.F) {
	m := offer()
	d := dhcp.Datagram{
		Source: netip.MustParseAddrPort("192.0.2.1:67"), Target: netip.MustParseAddrPort("192.0.2.2:68"),
		Data: m.Append(nil),
	}
	f.Add(d.Frame())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := dhcp.ParseFrame(b)
		if !ok {
			return
		}
		if again, ok := dhcp.ParseFrame(d.Frame()); !ok || !bytes.Equal(again.Data, d.Data) {
			t.Fatalf("%+v is read back as %+v, %v", d, again, ok)
		}
	})
}
