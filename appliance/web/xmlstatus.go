package web

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/product"
)

// xmlStatusPath is the address of the XML status page, which monitoring programs read (doors.md 7).
const xmlStatusPath = "/xml/status"

// xmlStatus answers with the XML status page. Its readers send credentials once they are challenged;
// they do not follow a redirect to the login page.
func (s *site) xmlStatus(w http.ResponseWriter, r *http.Request) {
	session := s.sessionOf(r, false)
	if session == nil {
		if session = s.authorize(w, r); session == nil {
			return
		}
		defer session.authority.Close()
	}
	account, err := session.authority.Check()
	if err != nil {
		s.challenge(w, "The session has ended.")
		return
	}
	if !s.mayRun(account.Role, "status") {
		s.plainError(w, http.StatusForbidden, "Your user role does not permit this page.")
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	if _, err := w.Write([]byte(statusDocument(s.appliance))); err != nil {
		s.appliance.Logger.Debug("a client did not read the XML status page", "err", err)
	}
}

// xmlTime is the form of times on the page, in the appliance's zone.
const xmlTime = "20060102150405"

// statusDocument returns the page. Readers depend on the order of elements and attributes and on
// the line breaks; they take no empty value but that of last_counter_reset. The element features is
// empty: no feature keys are simulated.
func statusDocument(a *appliance.Appliance) string {
	f := a.Figures()
	reset := ""
	if !f.LastReset.IsZero() {
		reset = f.LastReset.In(a.Zone()).Format(xmlTime)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" standalone=\"yes\"?>\n\n")
	fmt.Fprintf(&b, "<status build=\"phoebe %v\" hostname=\"%s\" timestamp=\"%s\">\n",
		a.Product.Version, escapeXML(a.Hostname()), f.Time.Format(xmlTime))
	fmt.Fprintf(&b, "  <birth_time timestamp=\"%s (%s)\"/>\n",
		f.Time.Add(-f.Uptime).Format(xmlTime), xmlUptime(f.Uptime))
	fmt.Fprintf(&b, "  <last_counter_reset timestamp=\"%s\"/>\n", reset)
	fmt.Fprintf(&b, "  <system status=\"%s\" />\n", strings.ToLower(string(f.Condition)))
	fmt.Fprintf(&b, "  <oldest_message secs=\"%d\" mid=\"%d\" />\n",
		f.OldestAge/time.Second, f.OldestMID)
	b.WriteString("  <features>\n  </features>\n  <counters>\n")
	for _, c := range metrics.Counters() {
		v := f.Counter(c)
		fmt.Fprintf(&b, "    <counter name=\"%s\"\n        reset=\"%d\"\n        uptime=\"%d\"\n"+
			"        lifetime=\"%d\" />\n", c.Key(), v.Reset, v.Uptime, v.Lifetime)
	}
	fmt.Fprintf(&b, "  </counters>\n  <current_ids\n    message_id=\"%d\"\n"+
		"    injection_conn_id=\"%d\"\n    delivery_conn_id=\"%d\" />\n  <rates>\n",
		f.MID, f.ICID, f.DCID)
	for _, c := range []metrics.Counter{
		metrics.InjectedMessages, metrics.InjectedRecipients, metrics.SoftBounces,
		metrics.CompletedRecipients, metrics.HardBounces, metrics.DeliveredRecipients,
	} {
		r := f.Rate(c)
		fmt.Fprintf(&b, "    <rate name=\"%s\"\n      last_1_min=\"%d\"\n      last_5_min=\"%d\"\n"+
			"      last_15_min=\"%d\" />\n", c.Key(), r.OneMinute, r.FiveMinutes, r.FifteenMinutes)
	}
	b.WriteString("  </rates>\n  <gauges>\n")
	for _, g := range xmlGauges(a.Product.Version, &f) {
		fmt.Fprintf(&b, "    <gauge name=\"%s\" current=\"%v\" />\n", g.name, g.value)
	}
	b.WriteString("  </gauges>\n</status>\n")
	return b.String()
}

// A gauge has an integer or a text as its value.
type gauge struct {
	name  string
	value any
}

// xmlGauges returns the gauges in the order of the page. Those of engines that are not simulated are
// there, with 0.
func xmlGauges(v product.Version, f *appliance.Figures) []gauge {
	list := []gauge{
		{"ram_utilization", f.RAM}, {"total_utilization", f.CPU}, {"cpu_utilization", f.CPU},
		{"av_utilization", 0}, {"case_utilization", 0}, {"bm_utilization", 0},
		{"disk_utilization", 0}, {"resource_conservation", f.Conservation},
		{"log_used", f.LogUsed}, {"log_available", xmlSize(f.LogFree)},
		{"conn_in", f.ConnectionsIn}, {"conn_out", f.ConnectionsOut},
		{"active_recips", f.Queue.Recipients}, {"unattempted_recips", f.Queue.Unattempted},
		{"attempted_recips", f.Queue.Attempted}, {"msgs_in_work_queue", f.WorkQueue},
		{"dests_in_memory", f.Destinations}, {"kbytes_used", f.Queue.BytesUsed >> 10},
		{"kbytes_free", f.Queue.BytesFree >> 10},
	}
	if v.Before(product.Version{Major: 10}) {
		list = append(list, gauge{"msgs_in_quarantine", 0})
	} else {
		list = append(list, gauge{"msgs_in_policy_virus_outbreak_quarantine", 0},
			gauge{"kbytes_in_policy_virus_outbreak_quarantine", 0})
	}
	return append(list, gauge{"reporting_utilization", 0}, gauge{"quarantine_utilization", 0})
}

// xmlSize formats a number of bytes in the largest unit of which there are two or more, such as 34M.
func xmlSize(bytes int64) string {
	n, units := bytes>>10, "KMGT"
	for n >= 2048 && len(units) > 1 {
		n, units = n>>10, units[1:]
	}
	return fmt.Sprintf("%d%c", n, units[0])
}

// xmlUptime formats a duration as 169d 1h 39m 8s.
func xmlUptime(d time.Duration) string {
	s := int64(d / time.Second)
	text := fmt.Sprintf("%dh %dm %ds", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		text = fmt.Sprintf("%dd %s", days, text)
	}
	return text
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
