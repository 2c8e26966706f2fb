package web

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
)

// upload sends a file as the form does.
func (b *browser) upload(name string, data []byte) *httptest.ResponseRecorder {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("capture", name)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := part.Write(data); err != nil {
		b.t.Fatal(err)
	}
	w.Close()
	return b.request("POST", capturesPath+"/open", nil, func(r *http.Request) {
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Body = io.NopCloser(&body)
		r.ContentLength = int64(body.Len())
	})
}

// TestOpenOwnCapture: a capture that the user sends is stored and shown; others are refused.
func TestOpenOwnCapture(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	w := b.upload(`C:\Users\me\my trace.pcap`, manyPackets(3))
	if to := w.Header().Get("Location"); to != capturesPath+"/view/my_trace.cap" {
		t.Fatalf("%d %s %s", w.Code, to, w.Body)
	}
	expectPage(t, b.get(capturesPath+"/view/my_trace.cap"), http.StatusOK, "3 packets in")
	for want, file := range map[string]struct {
		name string
		data []byte
	}{
		"There is a file my_trace.cap already.":                    {"my trace.pcap", manyPackets(1)},
		"is in the format pcapng.":                                 {"x.pcapng", []byte("\n\r\r\n and more than the header of a file")},
		"The file is not a packet capture that can be shown here.": {"x.cap", []byte("hello")},
		"Choose a file to open.":                                   {"..", manyPackets(1)},
	} {
		expectRedirect(t, b.upload(file.name, file.data), capturesPath)
		expectPage(t, b.get(capturesPath), http.StatusOK, want)
	}
	for name, want := range map[string]string{
		"../../etc/passwd": "passwd.cap", "a.cap": "a.cap", "grüße.pcap": "gr__e.cap", "": "", "...": "",
	} {
		if got := captureName(name); got != want {
			t.Errorf("%q is stored as %q, want %q", name, got, want)
		}
	}
}

// TestChartZooms: a bar leads to a part of the chart, which leads to its packets and back.
func TestChartZooms(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(250))
	view := capturesPath + "/view/a.cap"
	expectPage(t, b.get(view), http.StatusOK, `id="chart"`, `aria-label="Zoom in at `, "A click on a bar zooms in.")
	expectPage(t, b.get(view+"?from=200000&to=220000"), http.StatusOK, "20 packets and",
		"0.2 s", "0.22 s", "?page=3#packets", "Show the whole capture")
	for _, query := range []string{"?from=5&to=4", "?from=x&to=7", "?from=-1&to=7", "?from=1"} {
		expectPage(t, b.get(view+query), http.StatusOK, "250 packets and", "A click on a bar zooms in.")
	}
}
