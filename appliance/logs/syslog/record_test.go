package syslog_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/network"
)

// segments taps the appliance's interface. It returns a function that returns, for each segment
// of the connection to the server so far, its direction, its flags, and its length.
func (h *harness) segments() func() []string {
	h.t.Helper()
	type segment struct {
		out      bool
		seq, ack uint32
		size     int
		flags    [2]bool
	}
	var mu sync.Mutex
	var rows []string
	seen := map[segment]bool{}
	sink := func(f network.Frame) {
		p := gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.Default)
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			return
		}
		row := "<"
		if tcp.DstPort == 514 {
			row = ">"
		}
		for _, flag := range []struct {
			set  bool
			name string
		}{{tcp.SYN, " SYN"}, {tcp.FIN, " FIN"}, {tcp.RST, " RST"}, {tcp.ACK, " ACK"}} {
			if flag.set {
				row += flag.name
			}
		}
		if n := len(tcp.Payload); n > 0 {
			row += " " + itoa(n)
		}
		mu.Lock()
		defer mu.Unlock()
		// On a loaded machine a segment may be retransmitted.
		if s := (segment{tcp.DstPort == 514, tcp.Seq, tcp.Ack, len(tcp.Payload), [2]bool{tcp.SYN, tcp.RST}}); !seen[s] {
			seen[s] = true
			rows = append(rows, row)
		}
	}
	_, err := h.world.Network().Tap(network.TapConfig{Interface: "Data 1", Sink: sink})
	if err != nil {
		h.t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), rows...)
	}
}

// sizes returns the lengths of the segments with data.
func sizes(rows []string) (n []string) {
	for _, r := range rows {
		if i := strings.LastIndexByte(r, ' '); r[i+1] >= '0' && r[i+1] <= '9' {
			n = append(n, r[i+1:])
		}
	}
	return n
}

// alertRecord returns the record of A4: the log line about an alert that was sent by mail.
func alertRecord(host, subscription string, cut int) string {
	text := "Log Error: Subscription " + subscription +
		": Network error while sending log data to syslog server"
	return "A System/Critical alert was sent to alerts@ironport.com with subject \"Critical <System> " + host + ": " + text[:cut] + "...\"."
}

// The test checks the table of A3, row by row: with a subscription name of 5 letters and a host
// name of 31, the segments are 47 and 365 bytes, both are acknowledged, and then the server
// resets.
func TestSegmentsAreThoseOfTheSeedDocument(t *testing.T) {
	h := newHarness(t, "after: 4 records, then: reset", 1375*time.Microsecond)
	rows := h.segments()
	h.start()
	h.push("%s", alertRecord("mail-gateway-01.corp.example.com"[1:], "Mails", 60))
	h.wantEvents(brokenText)
	want := []string{
		"> SYN", "< SYN ACK", "> ACK", "> ACK 47", "< ACK", "> ACK 365", "< ACK", "< RST ACK",
	}
	h.eventually("the reset", func() bool { return len(rows()) >= len(want) })
	if diff := cmp.Diff(want, rows()); diff != "" {
		t.Error(diff)
	}
	stream := string(h.server.Connections()[0].Data)
	if want := header + "<22>Jun 25 08:50:03 Mails: Info: " + alertRecord("mail-gateway-01.corp.example.com"[1:], "Mails", 60) + "\n"; stream != want {
		t.Errorf("the stream is\n%swant\n%s", stream, want)
	}
}

// The literal text of A4 needs a tag other than the name, and a cut at 63 (A28, A29).
func TestStreamIsThatOfTheSeedDocument(t *testing.T) {
	h := newHarness(t, "", 1375*time.Microsecond)
	rows := h.segments()
	h.settings.Subscription, h.settings.Tag = "Mail_Log", "example.com"
	h.start()
	h.push("%s", alertRecord("mail.example.com", "Mail_Log", 63))
	h.waitRecords(4)
	const want = `<22>Jun 25 08:50:03 example.com: Info: Begin Logfile
<22>Jun 25 08:50:03 example.com: Info: Version: 8.0.1-023 SN: A4BADB4712A9-511AA1E
<22>Jun 25 08:50:03 example.com: Info: Time offset from UTC: 7200 seconds
<22>Jun 25 08:50:03 example.com: Info: A System/Critical alert was sent to alerts@ironport.com with subject "Critical <System> mail.example.com: Log Error: Subscription Mail_Log: Network error while sending l...".
`
	if got := string(h.server.Connections()[0].Data); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if diff := cmp.Diff([]string{"53", "371"}, sizes(rows())); diff != "" { // 74 + 83 + 214
		t.Error(diff)
	}
}

// On a path without delay too, the first record is alone in its segment (A30).
func TestFirstRecordIsAloneOnFastPath(t *testing.T) {
	h := newHarness(t, "", 0)
	rows := h.segments()
	h.start()
	h.push("one")
	h.waitRecords(4)
	if diff := cmp.Diff([]string{"47", "182"}, sizes(rows())); diff != "" {
		t.Error(diff)
	}
}

// A text that is too long is split into records that each have a stamp and a tag, but never
// within a character.
func TestLongRecordsAreSplit(t *testing.T) {
	h := newHarness(t, "", 0)
	h.settings.MaxMessage = 1024
	h.start()
	text := strings.Repeat("é", 1000)
	h.push("%s", text)
	const beginning = "<22>Jun 25 08:50:03 Mails: Info: "
	got := h.waitRecords(6)[3:]
	joined := ""
	for _, r := range got {
		if len(r) > 1024 || !strings.HasPrefix(r, beginning) {
			t.Errorf("a record of %d bytes: %.40q", len(r), r)
		}
		joined += strings.TrimPrefix(r, beginning)
	}
	if len(got) != 3 || joined != text {
		t.Errorf("%d records with %d of %d bytes", len(got), len(joined), len(text))
	}
}

// A text cannot end its record. An event without a level has no word for one.
func TestControlCharactersAreEscaped(t *testing.T) {
	h := newHarness(t, "", 0)
	h.start()
	h.push("a\nb\rc\td\x00e")
	h.Push(h.clock.Now().AddDate(0, 0, -20), "", "CEF:0|Cisco")
	got := h.waitRecords(5)[3:]
	want := []string{
		`<22>Jun 25 08:50:03 Mails: Info: a\nb\rc\td\x00e`,
		"<22>Jun  5 08:50:03 Mails: CEF:0|Cisco",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The PRI is 8 times the code of the facility, plus 6 (A5, logs.md 2.2).
func TestFacilities(t *testing.T) {
	want := map[string]string{
		"kern": "<6>", "mail": "<22>", "authpriv": "<86>",
		"security": "<110>", "console": "<118>", "local0": "<134>", "local7": "<190>",
	}
	if n := len(syslog.Facilities()); n != 23 {
		t.Errorf("%d facilities", n)
	}
	h := newHarness(t, "protocol: udp", 0)
	h.settings.Protocol = syslog.UDP
	n := 0
	for _, f := range syslog.Facilities() {
		h.settings.Facility = f
		h.start()
		h.push("text")
		n += 4 // with the header
		got := h.waitRecords(n)
		if w, ok := want[f]; ok && !strings.HasPrefix(got[n-1], w) {
			t.Errorf("%s: %q", f, got[n-1])
		}
		h.stop()
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := syslog.Settings{Subscription: "s", Server: "h", Protocol: syslog.TCP, Facility: "mail"}
	for name, change := range map[string]func(*syslog.Settings){
		"no server":       func(s *syslog.Settings) { s.Server = "" },
		"no subscription": func(s *syslog.Settings) { s.Subscription = "" },
		"protocol":        func(s *syslog.Settings) { s.Protocol = "sctp" },
		"facility":        func(s *syslog.Settings) { s.Facility = "local8" },
		"tiny":            func(s *syslog.Settings) { s.MaxMessage = 10 },
		"no directory":    func(s *syslog.Settings) { s.Buffer = 1 << 20 },
	} {
		s := good
		change(&s)
		if p, err := syslog.New(syslog.Options{}, s); err == nil {
			t.Errorf("%s is accepted", name)
			p.Close(t.Context())
		}
	}
}
