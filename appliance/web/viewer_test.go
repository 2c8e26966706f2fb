package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/esasim/esasim/appliance/users"
)

func TestViewCapture(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a b.cap", manyPackets(250))
	view := capturesPath + "/view/a%20b.cap"
	expectPage(t, b.get(view), http.StatusOK, "a b.cap", "250 packets", "<svg",
		`aria-label="250 packets and 195.3 K from 2015-06-25 08:50:03.000000 to`,
		"250 packets in 249ms", "Next ›", "1 to 100",
		`/packet/1"`, "2015-06-25 08:50:03.000000", "10.0.202.7", "10.0.201.4", "UDP",
		"40000 &gt; cadlock2 Len=758", `/packet/100"`)
	expectPage(t, b.get(view+"?page=3"), http.StatusOK, "201 to 250", `/packet/250"`)
	expectPage(t, b.get(view+"?filter=udp+port+1001&page=2"), http.StatusOK,
		`value="udp port 1001"`, "125 of 250 packets", "‹ Previous", "101 to 125",
		`/packet/202?filter=udp+port+1001"`, `/packet/250?filter=udp+port+1001"`)
	expectPage(t, b.get(view+"?filter=tcp"), http.StatusOK, "0 of 250 packets",
		"No packet matches the filter.")
	for _, page := range []string{"-1", "0", "999999999999999999999", "x", ""} {
		expectPage(t, b.get(view+"?page="+page), http.StatusOK, "250 packets in")
	}
	expectPage(t, b.get(view+"/packet/2"), http.StatusOK, "Packet 2", "‹ Previous",
		"40000 &gt; 1001", "Internet Protocol Version 4", "User Datagram Protocol", "0000")
	for _, n := range []string{"0", "251", "-1", "x", "99999999999999999999"} {
		expectPage(t, b.get(view+"/packet/"+n), http.StatusNotFound,
			"There is no packet of this number")
		expectPage(t, b.get(view+"/stream/"+n), http.StatusNotFound)
	}
	expectPage(t, b.get(view+"/stream/1"), http.StatusNotFound,
		"The packet is not of a TCP connection.")
}

func TestInvalidViewFilterKeepsTheList(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(250))
	view := capturesPath + "/view/a.cap"
	expectPage(t, b.get(view+"?filter=host+google.com"), http.StatusUnprocessableEntity,
		`value="host google.com"`, "unknown host",
		"Names are not looked up here: enter an address.", "The list still shows all packets.",
		"<svg", "250 packets in", `/packet/1"`)
	expectPage(t, b.get(view+"?filter=udp+port+1001"), http.StatusOK,
		`name="shown" value="udp port 1001"`)
	expectPage(t, b.get(view+"?filter=tcp+port&shown=udp+port+1001"),
		http.StatusUnprocessableEntity, `value="tcp port"`,
		"The filter is not valid at character 9", "udp port 1001", "125 of 250 packets",
		"?filter=udp&#43;port&#43;1001&amp;page=2")
	expectPage(t, b.get(view+"?filter=tcp+port&shown=udp+port"), http.StatusUnprocessableEntity,
		"250 packets in")
}

func TestViewFilterCheckWhileTyping(t *testing.T) {
	b := newTestSite(t).login("admin")
	for expr, want := range map[string]string{
		"":                        `{"ok":true,"text":""`,
		"host 10.1.1.1":           `{"ok":true,"text":"The filter is valid."`,
		"host google.com":         `unknown host 'google.com'. Names are not looked up here: enter an address.","before":"host ","fault":"google.com"`,
		strings.Repeat("(", 5000): `"text":"The filter must not be longer than 4096 characters."`,
	} {
		expectPage(t, b.get(capturesPath+"/check/view?filter="+url.QueryEscape(expr)),
			http.StatusOK, want)
	}
}

func TestLinksKeepTheFilter(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(250))
	view := capturesPath + "/view/a.cap"
	query := "?filter=udp&#43;port&#43;1001"
	expectPage(t, b.get(view+"?filter=udp+port+1001&page=2"), http.StatusOK,
		`/packet/202?filter=udp+port+1001"`)
	expectPage(t, b.get(view+"/packet/202?filter=udp+port+1001"), http.StatusOK,
		`href="`+view+query+`&amp;page=2#packets"`,
		`rel="prev" href="`+view+`/packet/200`+query+`"`,
		`rel="next" href="`+view+`/packet/204`+query+`"`)
	expectPage(t, b.get(view+"/packet/202?filter=udp+port"), http.StatusOK, `/packet/201"`,
		`/packet/203"`)
	if w := b.get(view + "/packet/250?filter=udp+port+1001"); strings.Contains(w.Body.String(),
		`rel="next"`) {
		t.Error("there is a packet after the last one")
	}
}

func TestViewFilesThatGrowOrAreReplaced(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	view := capturesPath + "/view/a.cap"
	all := manyPackets(300)
	s.store("a.cap", all[:24+100*816])
	expectPage(t, b.get(view), http.StatusOK, "100 packets in")
	s.store("a.cap", all)
	expectPage(t, b.get(view+"?page=3"), http.StatusOK, "300 packets in", "201 to 300")
	s.store("a.cap", manyPackets(7))
	expectPage(t, b.get(view), http.StatusOK, "7 packets in")
	s.store("a.cap", all[:24])
	expectPage(t, b.get(view), http.StatusOK, "The capture holds no packets.")
}

func TestViewFilesThatAreNotCaptures(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("text.cap", []byte(strings.Repeat("hello ", 100)))
	s.store("empty.cap", nil)
	for _, name := range []string{"text.cap", "empty.cap"} {
		expectPage(t, b.get(capturesPath+"/view/"+name), http.StatusUnprocessableEntity,
			"The file is not a packet capture that can be shown here.")
	}
	expectPage(t, b.get(capturesPath+"/view/none.cap"), http.StatusNotFound,
		"There is no such packet capture file.")
}

func TestNumberOfIndexesIsBounded(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(10))
	for i := range 40 {
		b.get(capturesPath + "/view/a.cap?filter=" +
			url.QueryEscape("len > "+strings.Repeat("1", i%5+1)))
	}
	if n := len(s.site.indexes.order); n > maxIndexes {
		t.Errorf("%d indexes are kept", n)
	}
}

func TestCanceledRequestDoesNotWaitForAScan(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(10))
	s.site.indexes.slot("a.cap", "").scan <- struct{}{} // another request is scanning the file
	b.request("GET", capturesPath+"/view/a.cap", nil, func(r *http.Request) {
		gone, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(gone)
	})
}

func TestStreamsTakeTurnsWithScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSite(t)
		b := s.login("admin")
		s.store("a.cap", manyPackets(10))
		b.get(capturesPath + "/view/a.cap")
		for range maxScans { // other requests are scanning files
			s.site.indexes.slots <- struct{}{}
		}
		shown := make(chan struct{})
		go func() {
			b.get(capturesPath + "/view/a.cap/stream/1")
			close(shown)
		}()
		synctest.Wait()
		select {
		case <-shown:
			t.Error("the stream did not wait")
		default:
		}
		<-s.site.indexes.slots
		<-shown
	})
}

func TestViewerHasTheRolesOfPacketcapture(t *testing.T) {
	s := newTestSite(t)
	s.addUser("visitor", users.Guest)
	s.store("a.cap", manyPackets(10))
	b := s.login("visitor")
	for _, below := range []string{"/view/a.cap", "/view/a.cap/packet/1", "/view/a.cap/stream/1",
		"/files/a.cap"} {
		expectPage(t, b.get(capturesPath+below), http.StatusForbidden)
	}
}
