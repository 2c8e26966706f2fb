package tlsconfig

import (
	"crypto/tls"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Method says which protocols are used, in the words of sslconfig: "tlsv1_1tlsv1_2".
type Method string

// The first versions of AsyncOS with another set of methods.
var (
	flexible12   = product.Version{Major: 9, Minor: 5}
	withoutSSLv3 = product.Version{Major: 9}
	separate     = product.Version{Major: 12}
	withTLS13    = product.Version{Major: 15, Minor: 5}
	onlySMTP     = product.Version{Major: 7, Minor: 6} // before it, HTTPS had no settings
)

// A protocol is one that sslconfig of version 12 and later offers.
type protocol struct {
	title, key string
	version    uint16 // 0: not simulated
}

// protocols returns the protocols that a version offers, in the order of its list.
func protocols(v product.Version) []protocol {
	list := []protocol{
		{"TLS v1.0", "tlsv1_0", tls.VersionTLS10},
		{"TLS v1.1", "tlsv1_1", tls.VersionTLS11},
		{"TLS v1.2", "tlsv1_2", tls.VersionTLS12},
	}
	if !v.Before(withTLS13) {
		return append(list, protocol{"TLS v1.3", "tlsv1_3", tls.VersionTLS13})
	}
	return append(list, protocol{"SSL v2", "sslv2", 0}, protocol{"SSL v3", "sslv3", 0})
}

// legacyMethods returns the methods of the versions before 12, in the order of their list.
func legacyMethods(v product.Version) (methods []Method, titles []string) {
	key, title, first := "tlsv1", "TLS v1", "SSL v2."
	if !v.Before(flexible12) {
		key, title, first = "tlsv1/tlsv1.2", "TLS v1/TLS v1.2", "SSL v2"
	}
	for _, s := range []string{"sslv2", "sslv3", key, "sslv2sslv3", "sslv3" + key, "sslv2sslv3" + key} {
		methods = append(methods, Method(s))
	}
	return methods, []string{first, "SSL v3", title, "SSL v2 and v3", "SSL v3 and " + title,
		"SSL v2, v3 and " + title}
}

// MethodTitles returns the list of sslconfig in a version of AsyncOS, and the answer that stands for
// a method.
func MethodTitles(v product.Version, m Method) (titles []string, present string) {
	if v.Before(separate) {
		methods, titles := legacyMethods(v)
		if n := slices.Index(methods, m); n >= 0 {
			present = strconv.Itoa(n + 1)
		}
		return titles, present
	}
	if m.flexible() {
		m = "tlsv1_0tlsv1_1tlsv1_2"
	}
	first, last := 0, 0
	for i, p := range protocols(v) {
		titles = append(titles, p.title)
		if strings.Contains(string(m), p.key) {
			if first == 0 {
				first = i + 1
			}
			last = i + 1
		}
	}
	present = strconv.Itoa(first)
	if last > first {
		present += "-" + strconv.Itoa(last)
	}
	return titles, present
}

// ParseMethod returns the method that an answer to sslconfig's question selects in a version of
// AsyncOS. was is the present one, which may be kept whatever it is.
func ParseMethod(v product.Version, was Method, answer string) (Method, error) {
	titles, present := MethodTitles(v, was)
	if answer == present {
		return was, nil
	}
	if v.Before(separate) {
		methods, _ := legacyMethods(v)
		n, err := strconv.Atoi(answer)
		if err != nil || n < 1 || n > len(methods) {
			return "", refusal.Newf("The value must be an integer from 1 to %d.", len(methods))
		}
		if m := methods[n-1]; m == defaultMethod(v) || !strings.HasPrefix(string(m), "ssl") {
			return m, nil
		}
		return "", refusal.New("SSL v2 and SSL v3 are not simulated: choose TLS v1.")
	}
	chosen, err := parseNumbers(answer, len(titles))
	if err != nil {
		return "", err
	}
	m := Method("")
	for i, p := range protocols(v) {
		switch {
		case !chosen[i]:
		case p.version == 0:
			return "", refusal.Newf("%s is not simulated: choose TLS.", p.title)
		default:
			m += Method(p.key)
		}
	}
	return m, m.check()
}

// parseNumbers parses a list of numbers from 1 to n, such as "1-3" or "1,2". chosen says for each
// whether it is in the list.
func parseNumbers(list string, n int) (chosen []bool, err error) {
	chosen = make([]bool, n)
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(strings.TrimSpace(low))
		to, err2 := strconv.Atoi(strings.TrimSpace(high))
		if err1 != nil || err2 != nil || from < 1 || to > n || from > to {
			return nil, refusal.Newf("The value must be numbers from 1 to %d, such as 2, 1-3 or 1,2.", n)
		}
		for i := from; i <= to; i++ {
			chosen[i-1] = true
		}
	}
	return chosen, nil
}

// flexible reports whether m is the method of a version before 12. Like OpenSSL's method of that
// kind, it means the named protocols and all newer ones up to TLS 1.2.
func (m Method) flexible() bool {
	return m == "sslv2sslv3tlsv1" || m == "sslv3tlsv1" || m == "tlsv1" || m == "tlsv1/tlsv1.2"
}

// check returns a refusal unless the program can do what m says.
func (m Method) check() error {
	if m.flexible() {
		return nil
	}
	rest, last := string(m), protocol{}
	for _, p := range protocols(withTLS13) {
		left, found := strings.CutPrefix(rest, p.key)
		if !found {
			continue
		}
		if last.version != 0 && last.version != p.version-1 {
			return refusal.Newf("%s and %s cannot be used together without the protocols between them.",
				last.title, p.title)
		}
		rest, last = left, p
	}
	if rest != "" || last.version == 0 {
		return refusal.Newf("%q is no method of TLS: expected one such as tlsv1_2 or tlsv1_1tlsv1_2.", m)
	}
	return nil
}

// versions returns the oldest and the newest version of TLS that a method stands for.
func (m Method) versions() (oldest, newest uint16) {
	if m.flexible() {
		return tls.VersionTLS10, tls.VersionTLS12
	}
	for _, p := range protocols(withTLS13) {
		if strings.Contains(string(m), p.key) {
			if oldest == 0 {
				oldest = p.version
			}
			newest = p.version
		}
	}
	return oldest, newest
}

// defaultMethod returns the method of a new appliance (TAC 117855, 215282; the applied crypto
// hardening guide).
func defaultMethod(v product.Version) Method {
	switch {
	case v.Before(onlySMTP):
		return "sslv2sslv3tlsv1"
	case v.Before(withoutSSLv3):
		return "sslv3tlsv1"
	case v.Before(flexible12):
		return "tlsv1"
	case v.Before(separate):
		return "tlsv1/tlsv1.2"
	}
	return "tlsv1_2"
}

// defaultCiphers returns the ciphers of a new appliance, from the same sources.
func defaultCiphers(v product.Version) string {
	switch {
	case v.Before(flexible12):
		return "RC4-SHA:RC4-MD5:ALL"
	case v.Before(separate):
		return "MEDIUM:HIGH:-SSLv2:-aNULL:!RC4:@STRENGTH:-EXPORT"
	}
	return "RC4-SHA:RC4-MD5:ALL:-aNULL:-EXPORT"
}
