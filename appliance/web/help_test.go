package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/product"
)

func TestSearchHelp(t *testing.T) { // B23
	b := newTestSite(t).login("admin")
	expectPage(t, b.get("/help_and_support/online_help?search=Packet+Capture"), http.StatusOK,
		`value="Packet Capture"`,
		`<a href="/help_and_support/online_help?topic=running_a_packet_capture">Running a Packet Capture</a>`)
	expectPage(t, b.get("/help_and_support/online_help?topic=running_a_packet_capture"),
		http.StatusOK, "Running a Packet Capture", "Start Capture", "Stop Capture")
	w := b.get("/help_and_support/online_help?search=%3Cscript%3Exyzzy")
	if expectPage(t, w, http.StatusOK, "No topic has"); strings.Contains(w.Body.String(),
		"<script>x") {
		t.Error("the query is not escaped")
	}
	expectPage(t, b.get("/help_and_support/online_help?topic=../running_a_packet_capture"),
		http.StatusNotFound)
}

func TestTitlesRankAboveText(t *testing.T) {
	all := topicsFor(product.Version{Major: 14})
	found := searchHelp(all, "filter")
	if len(found) < 2 || found[0].Title != "Packet Capture Filters" {
		t.Errorf("%+v", found)
	}
	if found := searchHelp(all, ""); len(found) != len(all) {
		t.Errorf("%d of %d topics", len(found), len(all))
	}
}

func TestQuotedPhrases(t *testing.T) {
	list := []topic{{Title: "A", text: "packet capture"},
		{Title: "B", text: "capture every packet"}}
	for query, want := range map[string]int{`"packet capture"`: 1, `“Packet  Capture”`: 1,
		`packet capture`: 2, `"packet`: 2, `""`: 2, `"`: 2} {
		if found := searchHelp(list, query); len(found) != want {
			t.Errorf("%s finds %d topics, want %d", query, len(found), want)
		}
	}
}

func TestHelpTopicsOfAVersion(t *testing.T) { // B4
	for major, want := range map[int]string{6: "Capturing Packets with TCPDUMP",
		7: "Packet Capture Filters"} {
		var titles []string
		for _, f := range searchHelp(topicsFor(product.Version{Major: major}), "tcpdump filter") {
			titles = append(titles, f.Title)
		}
		if len(titles) == 0 || titles[0] != want || major == 6 && len(titles) > 1 {
			t.Errorf("version %d: %q", major, titles)
		}
	}
}
