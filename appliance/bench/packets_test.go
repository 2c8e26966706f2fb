package bench_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// TestRecordPackets records a neighbor and a host behind the gateways, shows rows live, one packet,
// and a connection.
func TestRecordPackets(t *testing.T) {
	b, c := open(t)
	has(t, c.get("/?at=host%2Fgoogle"), `name="cable" value="google"`)
	has(t, c.get("/packets?cable=gateway%2FData+1"), `<option value="gateway/Data 1" selected>`)
	has(t, c.post("/packets/start", "cable", "resolver", "filter", "udp port 53"), "Packets at resolver")
	rows := c.follow(t, "/packets/1/live?since=0")
	b.Exec("nslookup google.com")
	rows.until("row", "google.com")
	has(t, c.get("/packets/1/packet/1"), "DNS", "Ethernet", "Bytes of the packet")
	if status, _ := c.do(http.MethodGet, "/packets/1/stream/1", nil); status != http.StatusNotFound {
		t.Errorf("the stream of a UDP packet: %d", status)
	}

	c.post("/packets/start", "cable", "mail", "filter", "tcp port 25")
	talk := c.follow(t, "/packets/2/live?since=0")
	sendMail(t, b, "Subject: hello there\r\n\r\nhello\r\n")
	talk.until("row", "QUIT")
	has(t, c.get("/packets/2/stream/1"), "EHLO", "220 ", "Subject: hello there")
	has(t, c.get("/packets/2"), "Stop recording", `aria-label="Packet 1"`)
	has(t, c.post("/packets/stop", "id", "2"), "Packets at mail")
	talk.next("end")
	for id, link := range map[string]layers.LinkType{"1": layers.LinkTypeEthernet, "2": layers.LinkTypeRaw} {
		r, err := pcapgo.NewReader(strings.NewReader(c.get("/packets/" + id + "/file")))
		if err != nil || r.LinkType() != link {
			t.Fatalf("the file is %v: %v", r, err)
		}
		data, info, err := r.ReadPacketData()
		if err != nil || info.CaptureLength != len(data) || link == layers.LinkTypeRaw && data[0]>>4 != 4 {
			t.Errorf("the packet is %x: %v", data, err)
		}
	}
	has(t, c.post("/packets/remove", "id", "2"), "Recordings")
	if status, _ := c.do(http.MethodGet, "/packets/2", nil); status != http.StatusNotFound {
		t.Errorf("a removed recording: %d", status)
	}
}

// TestRecordingMistakes: places and filters that do not exist, and too many recordings.
func TestRecordingMistakes(t *testing.T) {
	_, c := open(t)
	for want, fields := range map[string][]string{
		"nobody":                  {"cable", "nobody"},
		"filter is not valid at":  {"cable", "resolver", "filter", "udp port"},
		"There is no recording 7": {"id", "7"},
	} {
		path := "/packets/start"
		if fields[0] == "id" {
			path = "/packets/stop"
		}
		status, text := c.try(path, fields...)
		if status == http.StatusOK || status >= 500 {
			t.Errorf("%v: %d", fields, status)
		}
		has(t, text, want)
	}
	for range 8 {
		c.post("/packets/start", "cable", "resolver")
	}
	status, text := c.try("/packets/start", "cable", "resolver")
	if status != http.StatusConflict {
		t.Errorf("the ninth recording: %d", status)
	}
	has(t, text, "remove one first")
	has(t, c.get("/packets"), "Remove recording 8")
}
