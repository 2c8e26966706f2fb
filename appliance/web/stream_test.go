package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/capture"
)

// tcpPackets returns a capture of a TCP connection without its SYN. Each string is the data of
// one packet, from the client and from the server in turn.
func tcpPackets(data ...string) []byte {
	var b bytes.Buffer
	le := binary.LittleEndian
	h := le.AppendUint32(nil, 0xa1b2c3d4)
	h = append(h, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	h = le.AppendUint32(h, 262144)
	b.Write(le.AppendUint32(h, 1))
	next := [2]uint32{4_000_000_000, 70_000}
	ends := [2]netip.AddrPort{netip.MustParseAddrPort("10.0.201.4:40000"),
		netip.MustParseAddrPort("10.0.202.7:4022")}
	for i, text := range data {
		from := i % 2
		frame := make([]byte, 54, 54+len(text))
		copy(frame[12:], []byte{0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6})
		binary.BigEndian.PutUint16(frame[16:], uint16(40+len(text)))
		src, dst := ends[from], ends[1-from]
		copy(frame[26:], src.Addr().AsSlice())
		copy(frame[30:], dst.Addr().AsSlice())
		binary.BigEndian.PutUint16(frame[34:], src.Port())
		binary.BigEndian.PutUint16(frame[36:], dst.Port())
		binary.BigEndian.PutUint32(frame[38:], next[from])
		binary.BigEndian.PutUint32(frame[42:], next[1-from])
		frame[46], frame[47] = 0x50, 0x18
		frame = append(frame, text...)
		next[from] += uint32(len(text))
		r := le.AppendUint32(nil, 1_435_222_203+uint32(i))
		r = le.AppendUint32(r, 0)
		r = le.AppendUint32(r, uint32(len(frame)))
		b.Write(le.AppendUint32(r, uint32(len(frame))))
		b.Write(frame)
	}
	return b.Bytes()
}

func TestSequenceNumbersAreRelative(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", tcpPackets("hello", "world", "again"))
	view := capturesPath + "/view/a.cap"
	expectPage(t, b.get(view), http.StatusOK, view+"?numbers=absolute",
		"Show absolute sequence numbers", "Seq=1 Ack=1 ", "Seq=1 Ack=6 ", "/packet/3\"",
		"Seq=6 Ack=6 ")
	absolute := view + "?numbers=absolute"
	expectPage(t, b.get(absolute), http.StatusOK, `name="numbers" value="absolute"`,
		`href="`+view+`"`, "Show relative sequence numbers",
		"/packet/1?numbers=absolute", "Seq=4000000000 Ack=70000 ")
	expectPage(t, b.get(view+"/packet/3"), http.StatusOK, "Seq=6 Ack=6 ",
		"6 (relative), 4000000005", "6 (relative), 70005")
	expectPage(t, b.get(view+"/packet/3?numbers=absolute"), http.StatusOK,
		"/packet/2?numbers=absolute", "Seq=4000000005 Ack=70005 ")
}

func TestStreamAsTextHexAndRaw(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a b.cap", tcpPackets("GET /\x00\xff<b>", "\x01\x02ok"))
	stream := capturesPath + "/view/a%20b.cap/stream/1"
	expectPage(t, b.get(stream), http.StatusOK, "10.0.201.4:40000", "sent 10 bytes",
		"10.0.202.7:4022", "sent 4 bytes", `href="`+stream+`?from=0&amp;as=hex">Hex`,
		"GET /..&lt;b&gt;", "..ok")
	expectPage(t, b.get(stream+"?as=hex"), http.StatusOK, "<b>Hex</b>",
		"00000000  47 45 54 20 2f 00 ff 3c 62 3e", "GET /..&lt;b&gt;", "00000000  01 02 6f 6b")
	for query, want := range map[string]string{"": "GET /\x00\xff<b>\x01\x02ok",
		"?side=client": "GET /\x00\xff<b>", "?side=server": "\x01\x02ok"} {
		w := b.get(stream + "/raw" + query)
		if w.Body.String() != want ||
			w.Header().Get("Content-Type") != "application/octet-stream" ||
			!strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %q, %v", query, w.Body, w.Header())
		}
	}
	expectPage(t, b.get(stream+"/raw?side=both"), http.StatusBadRequest)
	expectPage(t, b.get(capturesPath+"/view/a%20b.cap/stream/9/raw"), http.StatusNotFound)
	s.store("silent.cap", tcpPackets(""))
	expectPage(t, b.get(capturesPath+"/view/silent.cap/stream/1"), http.StatusOK,
		"Neither end has sent any data.")
	if w := b.get(capturesPath + "/view/silent.cap/stream/1/raw"); w.Code != http.StatusOK ||
		w.Body.Len() != 0 {
		t.Errorf("%d, %q", w.Code, w.Body)
	}
}

func TestLargeStreamsHavePages(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	var packets []string
	for i := range 80 { // 40 from the client, 40 from the server
		packets = append(packets, fmt.Sprintf("<%04d>", i)+strings.Repeat("x", 1194))
	}
	s.store("a.cap", tcpPackets(packets...))
	stream := capturesPath + "/view/a.cap/stream/1"
	seen := ""
	pages := 0
	for next := stream; next != ""; pages++ {
		w := b.get(next)
		expectPage(t, w, http.StatusOK, `TCP Stream</h1>`)
		seen += w.Body.String()
		_, after, more := strings.Cut(w.Body.String(), `rel="next" href="`)
		if next = ""; more {
			next, _, _ = strings.Cut(after, `"`)
			next = strings.ReplaceAll(next, "&amp;", "&")
		}
	}
	if want := (80*1200 + streamPage - 1) / streamPage; pages != want {
		t.Errorf("%d pages, want %d", pages, want)
	}
	for i := range packets {
		if n := strings.Count(seen, fmt.Sprintf("&lt;%04d&gt;", i)); n != 1 {
			t.Errorf("the data of packet %d appears %d times", i+1, n)
		}
	}
}

func TestFollowACaptureInProgress(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	b.post(capturesPath + "/start")
	name := s.appliance.Captures.Status(capture.GUI).File
	view := capturesPath + "/view/" + name
	live := view + "/live?page=last"
	expectPage(t, b.get(view), http.StatusOK,
		`<label class="tick" hidden><input type="checkbox" id="follow">`,
		`data-follow="`+view+`/live?page=last"`, "data-growing>in progress",
		"The capture holds no packets.")
	w := b.get(live)
	expectPage(t, w, http.StatusOK, "data-growing")
	if strings.Contains(w.Body.String(), "<html") {
		t.Error("the part is a page of its own")
	}
	size := w.Header().Get("X-Capture-Size")
	if w := b.get(live + "&size=" + size); w.Code != http.StatusNoContent {
		t.Errorf("without new packets: %d", w.Code)
	}
	expectPage(t, b.get(live+"&size=0"), http.StatusOK, "data-growing")
	b.post(capturesPath + "/stop")
	w = b.get(live + "&size=" + size)
	if expectPage(t, w, http.StatusOK,
		"The capture holds no packets."); strings.Contains(w.Body.String(), "data-growing") {
		t.Error("the capture is still said to be in progress")
	}
	expectPage(t, s.browser().request("GET", live, url.Values{}, nil), http.StatusUnauthorized)
}

func TestLastPage(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(250))
	expectPage(t, b.get(capturesPath+"/view/a.cap?page=last"), http.StatusOK, "201 to 250")
}
