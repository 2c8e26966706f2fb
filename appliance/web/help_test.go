package web

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheHelpIsSearched(t *testing.T) { // B23
	b := newStand(t).login("admin")
	wants(t, b.get("/help_and_support/online_help?search=Packet+Capture"), http.StatusOK, `value="Packet Capture"`, `<a href="/help_and_support/online_help?topic=running_a_packet_capture">Running a Packet Capture</a>`)
	wants(t, b.get("/help_and_support/online_help?topic=running_a_packet_capture"), http.StatusOK, "Running a Packet Capture", "Start Capture", "Stop Capture")
	w := b.get("/help_and_support/online_help?search=%3Cscript%3Exyzzy")
	if wants(t, w, http.StatusOK, "No topic has"); strings.Contains(w.Body.String(), "<script>x") {
		t.Error("the query is not escaped")
	}
	wants(t, b.get("/help_and_support/online_help?topic=../running_a_packet_capture"), http.StatusNotFound)
}

func TestATitleCountsForMoreThanText(t *testing.T) {
	found := searchHelp("filter")
	if len(found) < 2 || found[0].Title != "Packet Capture Filters" {
		t.Errorf("%+v", found)
	}
	if all := searchHelp(""); len(all) != len(topics()) {
		t.Errorf("%d of %d topics", len(all), len(topics()))
	}
}
