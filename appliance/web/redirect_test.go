package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestHTTPIsRedirectedToHTTPS(t *testing.T) {
	s := newTestSite(t) // its front door to HTTPS is 127.0.0.1:8443
	for host, want := range map[string]string{
		"127.0.0.1:8080": "https://127.0.0.1:8443/login?x=1",
		"localhost:8080": "https://localhost:8443/login?x=1",
		"[::1]:8080":     "https://[::1]:8443/login?x=1",
		"192.0.2.1":      "https://192.0.2.1:8443/login?x=1",
		// a line of a hosts file
		"mail.example.com:8080": "https://mail.example.com:8443/login?x=1",
		"MAIL.example.com":      "https://MAIL.example.com:8443/login?x=1",
		"example.com:8080":      "https://example.com:8443/login?x=1",
		"10.0.202.7":            "https://10.0.202.7/login?x=1", // a client inside the network
		"evil.com":              "https://127.0.0.1:8443/login?x=1",
		"evil.com:8080":         "https://127.0.0.1:8443/login?x=1",
		"evil\".example":        "https://127.0.0.1:8443/login?x=1",
		"10.0.202.7.evil.com":   "https://127.0.0.1:8443/login?x=1",
		"fe80::1%25eth0":        "https://127.0.0.1:8443/login?x=1",
		"":                      "https://127.0.0.1:8443/login?x=1",
	} {
		if got := s.redirectTarget(host); got != want {
			t.Errorf("%q leads to %s, want %s", host, got, want)
		}
	}
}

// A front door in a container listens on all addresses, so its own address is of no use outside.
func TestDoorOnAllAddressesKeepsTheHostName(t *testing.T) {
	s := newTestSite(t)
	s.site.outside = func() (netip.AddrPort, bool) {
		return netip.MustParseAddrPort("0.0.0.0:6443"),
			true
	}
	for host, want := range map[string]string{
		"host.docker.internal:8080": "https://host.docker.internal:6443/login?x=1",
		"192.168.1.5:8080":          "https://192.168.1.5:6443/login?x=1",
	} {
		if got := s.redirectTarget(host); got != want {
			t.Errorf("%q leads to %s, want %s", host, got, want)
		}
	}
}

// redirectTarget returns the address to which a plain HTTP request for a host is redirected.
func (s *testSite) redirectTarget(host string) string {
	s.t.Helper()
	r := httptest.NewRequest("GET", "http://127.0.0.1/login?x=1", nil)
	r.Host, r.RemoteAddr = host, address+":40000"
	w := httptest.NewRecorder()
	s.ServeHTTP(w, withLocalAddr(r, "10.0.202.7:80"))
	if w.Code != http.StatusFound {
		s.t.Errorf("%q: status %d", host, w.Code)
	}
	return w.Header().Get("Location")
}
