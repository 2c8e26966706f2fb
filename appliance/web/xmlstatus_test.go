package web

import (
	"encoding/xml"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// TestXMLStatusAsReadersReadIt: programs find each value by patterns that depend on the order of
// attributes and on line breaks.
func TestXMLStatusAsReadersReadIt(t *testing.T) {
	s := newTestSite(t)
	s.addUser("watcher", users.Guest)
	s.appliance.Metrics.Reset()
	s.clock.Advance(25*time.Hour + 8*time.Second)
	events.Publish(s.appliance.Events, 0, mailevents.MessageReady{Recipients: 2})
	b := s.browser()
	r := b.request("GET", xmlStatusPath, nil, basic("watcher", users.FactoryPassphrase))
	text := r.Body.String()
	if r.Code != http.StatusOK || r.Header().Get("Content-Type") != "text/xml" || len(b.cookies) != 0 {
		t.Fatalf("got %d, %v", r.Code, r.Header())
	}
	const counters = "inj_msgs inj_recips gen_bounce_recips rejected_recips dropped_msgs soft_bounced_evts completed_recips " +
		"hard_bounced_recips dns_hard_bounced_recips 5xx_hard_bounced_recips filter_hard_bounced_recips expired_hard_bounced_recips " +
		"other_hard_bounced_recips delivered_recips deleted_recips global_unsub_hits"
	const rates = "inj_msgs inj_recips soft_bounced_evts completed_recips hard_bounced_recips delivered_recips"
	const gauges = "ram_utilization total_utilization cpu_utilization av_utilization case_utilization bm_utilization disk_utilization " +
		"resource_conservation log_used log_available conn_in conn_out active_recips unattempted_recips attempted_recips " +
		"msgs_in_work_queue dests_in_memory kbytes_used kbytes_free msgs_in_policy_virus_outbreak_quarantine " +
		"kbytes_in_policy_virus_outbreak_quarantine reporting_utilization quarantine_utilization"
	for _, kind := range []struct{ pattern, names string }{
		{`<counter\s+name="(\w+)"\n\s+reset="\d+"\n\s+uptime="\d+"\n\s+lifetime="\d+" />\n`, counters},
		{`<rate name="(\w+)"\n\s+last_1_min="\d+"\n\s+last_5_min="\d+"\n\s+last_15_min="\d+" />\n`, rates},
		{`(?m)^\s+<gauge name="(\w+)" current="\d+[KMGT]?" />$`, gauges},
	} {
		var names []string
		for _, m := range regexp.MustCompile(kind.pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		if diff := cmp.Diff(strings.Fields(kind.names), names); diff != "" {
			t.Errorf("%s\n%s", kind.pattern, diff)
		}
	}
	for _, want := range []string{
		"<?xml version=\"1.0\" encoding=\"ISO-8859-1\" standalone=\"yes\"?>\n\n<status build=\"phoebe 14.0.0-698\" hostname=\"",
		" timestamp=\"20150626095011\">\n  <birth_time timestamp=\"20150625085003 (1d 1h 0m 8s)\"/>\n" +
			"  <last_counter_reset timestamp=\"20150625085003\"/>\n  <system status=\"online\" />\n" +
			"  <oldest_message secs=\"0\" mid=\"0\" />\n",
		"    <counter name=\"inj_recips\"\n        reset=\"2\"\n        uptime=\"2\"\n        lifetime=\"2\" />\n",
		"  <current_ids\n    message_id=\"0\"\n    injection_conn_id=\"0\"\n    delivery_conn_id=\"0\" />\n",
		"    <rate name=\"inj_recips\"\n      last_1_min=\"120\"\n      last_5_min=\"24\"\n      last_15_min=\"8\" />\n",
		"<gauge name=\"kbytes_free\" current=\"8388608\" />",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// How many lines of logs are in their files by now is a matter of time.
	if !regexp.MustCompile(`<gauge name="log_available" current="102[34]M" />`).MatchString(text) {
		t.Errorf("log_available has no unit, or another value in\n%s", text)
	}
	if n := strings.Count(text, "conn_in"); n != 1 {
		t.Errorf("%d lines match conn_in", n)
	}
	var document struct{}
	body := strings.Replace(text, "ISO-8859-1", "UTF-8", 1) // encoding/xml knows no other
	if err := xml.Unmarshal([]byte(body), &document); err != nil {
		t.Error(err)
	}
}

// TestXMLStatusChallenges: a client without credentials, or with wrong ones, gets 401 and no
// redirect.
func TestXMLStatusChallenges(t *testing.T) {
	s := newTestSite(t)
	for _, change := range []func(*http.Request){func(*http.Request) {}, basic("admin", "wrong")} {
		r := s.browser().request("GET", xmlStatusPath, nil, change)
		if r.Code != http.StatusUnauthorized || !strings.HasPrefix(r.Header().Get("WWW-Authenticate"), `Basic realm="`) {
			t.Errorf("got %d, %v", r.Code, r.Header())
		}
	}
}

// TestXMLGaugesOfOldVersions: before AsyncOS 10 there is one gauge for the quarantines.
func TestXMLGaugesOfOldVersions(t *testing.T) {
	s := newTestSite(t)
	f := s.appliance.Figures()
	list := xmlGauges(product.Version{Major: 9}, &f)
	if n := len(list); n != 22 || list[19].name != "msgs_in_quarantine" {
		t.Errorf("%d gauges: %v", n, list)
	}
}

// TestXMLSize: sizes have the unit that readers multiply by.
func TestXMLSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0K", 379323 << 10: "370M", 34 << 20: "34M", 388 << 30: "388G", 5 << 40: "5T", 1 << 30: "1024M",
	} {
		if got := xmlSize(bytes); got != want {
			t.Errorf("%d bytes: %s, want %s", bytes, got, want)
		}
	}
}
