package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance/pcapfilter"
)

// formPaths are the addresses of all forms, and those with a query.
var formPaths = []string{
	"POST " + capturesPath + "/settings", "POST " + capturesPath + "/files",
	"POST " + capturesPath + "/delete",
	"POST " + logsPath + "/add", "POST " + logsPath + "/edit/mail_logs",
	"POST " + logsPath + "/rollover",
	"POST " + alertsPath + "/recipient", "POST " + alertsPath + "/settings",
	"POST " + alertsPath + "/delete",
	"GET /commit", "GET " + capturesPath + "/check", "GET " + capturesPath + "/check/view",
	"GET " + capturesPath + "/view/a.cap", "GET " + capturesPath + "/view/a.cap/packet/1",
	"GET " + capturesPath + "/view/a.cap/stream/1",
	"GET " + capturesPath + "/view/a.cap/live", "GET /help_and_support/online_help", "GET /login",
}

// FuzzForms sends forms. No form may cause an internal error, and pages are valid UTF-8.
func FuzzForms(f *testing.F) {
	for i, query := range []string{
		"size=20&duration=time&time=5m+30s&interface=Data+1&filter=predefined&ports=25,53/udp&clients=10.1.1.1&servers=::1&keep=y&leaveout=y",
		"file=a.cap&action=delete", "file=a.cap", url.Values{}.Encode(),
		"level=3&maxsize=10m&maxfiles=10&schedule=weekly&day=Friday&clock=23:30&method=syslog&pushhost=a&pushport=514",
		"log=mail_logs", "old=&address=joe@example.com&class=System&severity=Critical",
		"from=&initial=60&maximum=600&stored=20", "address=joe@example.com",
		"action=commit&comment=x", "filter=tcp.port==22", "filter=host+x",
		"filter=udp&page=last&numbers=absolute&shown=tcp", "filter=udp",
		"as=hex&from=7&side=client",
		"size=24&page=2", "search=%22packet+capture%22+filter", "referrer=/x&logout=done",
	} {
		f.Add(i, query)
	}
	s := newTestSite(f)
	s.store("a.cap", tcpPackets("hello", "world"))
	b := s.login("admin")
	f.Fuzz(func(t *testing.T, n int, query string) {
		form, err := url.ParseQuery(query)
		if err != nil || len(query) > maxForm/2 {
			return
		}
		s.t = t
		method, target, _ := strings.Cut(
			formPaths[(n%len(formPaths)+len(formPaths))%len(formPaths)], " ")
		body := form
		if method == http.MethodGet {
			target, body = target+"?"+form.Encode(), nil
		}
		w := b.request(method, target, body, nil)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		if !utf8.Valid(w.Body.Bytes()) && strings.HasPrefix(w.Header().Get("Content-Type"),
			"text/html") {
			t.Errorf("%s %s: the page is not valid UTF-8", method, target)
		}
	})
}

// FuzzWireshark translates filters. Every translation is valid in tcpdump's language, except for
// its values.
func FuzzWireshark(f *testing.F) {
	for _, expr := range []string{"tcp.port==22", "!(ip.addr==10.0.0.1) && dns",
		"tcp.flags.syn==1 or frame.len>=5", "ip.src==10.0.0.0/8"} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		if len(expr) > maxFilter {
			return
		}
		_ = wiresharkHint(expr)
		if translated, ok := fromWireshark(expr); ok {
			_, _ = pcapfilter.Compile(translated, pcapfilter.Options{}) // it must not panic
		}
	})
}
