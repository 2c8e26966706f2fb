package web

import (
	"net/http"
	"testing"

	"github.com/esasim/esasim/appliance/capture"
)

func TestFollowedPagesWaitForTheEnd(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	b.post(capturesPath + "/start")
	view := capturesPath + "/view/" + s.appliance.Captures.Status(capture.GUI).File
	expectPage(t, b.get(view), http.StatusOK, "data-growing")
	for _, query := range []string{"?until=end", "?page=last&size=24"} {
		if w := b.get(view + "/live" + query); w.Code != http.StatusNoContent {
			t.Errorf("%s of a capture in progress: %d", query, w.Code)
		}
	}
	for _, below := range []string{"/packet/1/live", "/stream/1/live"} {
		if w := b.get(view + below + "?until=end"); w.Code != http.StatusNoContent {
			t.Errorf("%s of a capture in progress: %d", below, w.Code)
		}
		expectPage(t, b.get(view+below), http.StatusNotFound, "There is no packet of this number")
	}
	b.post(capturesPath + "/stop")
	for _, query := range []string{"?until=end", "?page=last&size=24"} {
		w := b.get(view + "/live" + query)
		expectPage(t, w, http.StatusOK, "The capture holds no packets.")
		if h := w.Header(); h.Get("X-Capture-Growing") != "false" ||
			h.Get("X-Capture-Size") != "24" {
			t.Errorf("%s when the capture has ended: %v", query, h)
		}
	}
	expectPage(t, b.get(capturesPath+"/view/none.cap/live?until=end"), http.StatusNotFound)
}

func TestFollowedPacketShowsItsNeighbors(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(3))
	packet := b.get(capturesPath + "/view/a.cap/packet/2")
	expectPage(t, packet, http.StatusOK, `/packet/2/live?follow=y"`, "‹ Previous")
	expectPage(t, b.get(capturesPath+"/view/a.cap/packet/2/live?follow=y"), http.StatusOK,
		`<nav class="pager"`, `/packet/1"`, `/packet/3"`)
}

// A page of a part leads to the joined file when the capture has ended.
func TestPartsLeadToTheJoinedFile(t *testing.T) {
	s := newTestSite(t)
	b := s.login("admin")
	s.store("a.cap", manyPackets(3))
	view := capturesPath + "/view/"
	for _, page := range []string{"a-1.cap", "a-10.cap", "a-2.cap/packet/1", "a-2.cap/stream/1"} {
		expectRedirect(t, b.get(view+page), view+"a.cap")
	}
	expectPage(t, b.get(view+"a.cap"), http.StatusOK,
		"The capture has ended, and its parts have been joined into this file.")
	for _, page := range []string{"b-1.cap", "a-11.cap", "a-0.cap", "a-1.cap/live"} {
		expectPage(t, b.get(view+page), http.StatusNotFound, "It may have been deleted.")
	}
}
