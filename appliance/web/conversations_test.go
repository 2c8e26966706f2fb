package web

import (
	"archive/zip"
	"bytes"
	"net/http"
	"testing"
)

// TestConversations: the page lists them, and leads to their packets.
func TestConversationsPage(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("t.cap", tcpPackets("hello", "hello to you"))
	s.store("u.cap", manyPackets(4))
	view := capturesPath + "/view/"
	expectPage(t, b.get(view+"t.cap"), http.StatusOK, `/view/t.cap/conversations"`)
	expectPage(t, b.get(view+"t.cap/conversations"), http.StatusOK, "<h1>Conversations</h1>",
		"<td>TCP</td><td>10.0.201.4:40000</td><td>10.0.202.7:4022</td>", "/stream/1")
	expectPage(t, b.get(view+"u.cap/conversations"), http.StatusOK, "<td>UDP</td>", "udp&#43;port",
		"<td>UDP</td>")
	expectPage(t, b.get(view+"u.cap/conversations?filter=udp+port+1001"), http.StatusOK,
		"(<span class=\"code\">udp port 1001</span>)", "1001")
	expectPage(t, b.get(view+"none.cap/conversations"), http.StatusNotFound)
}

// TestSeveralCapturesAsZip: the button downloads an archive if more than one file is chosen.
func TestSeveralCapturesAsZip(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a b.cap", manyPackets(4))
	s.store("c.cap", manyPackets(2))
	w := b.post(capturesPath+"/files", "action", "download", "file", "a b.cap", "file", "c.cap")
	if w.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w = b.get(w.Header().Get("Location"))
	data := w.Body.Bytes()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(z.File) != 2 || z.File[0].Name != "a b.cap" {
		t.Fatalf("%d: %v", w.Code, err)
	}
	r, err := z.File[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var content bytes.Buffer
	if _, err := content.ReadFrom(r); err != nil || !bytes.Equal(content.Bytes(), manyPackets(2)) {
		t.Errorf("the archive has %d other bytes: %v", content.Len(), err)
	}
	expectPage(t, b.get(capturesPath+"/zip?file=c.cap&file=none.cap"), http.StatusNotFound)
	expectPage(t, b.get(capturesPath+"/zip"), http.StatusBadRequest)
}
