package tlsconfig

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

func TestMethods(t *testing.T) {
	v14 := product.Version{Major: 14}
	v16 := product.Version{Major: 16}
	v97 := product.Version{Major: 9, Minor: 7}
	v8 := product.Version{Major: 8}
	for _, c := range []struct {
		version product.Version
		was     Method
		answer  string
		want    Method // "": refused
		text    string
	}{
		{v14, "tlsv1_2", "1-3", "tlsv1_0tlsv1_1tlsv1_2", ""},
		{v14, "tlsv1_2", "2,3", "tlsv1_1tlsv1_2", ""},
		{v14, "tlsv1_2", "2", "tlsv1_1", ""},
		{v14, "tlsv1_2", "1,3", "", "TLS v1.0 and TLS v1.2 cannot be used together"},
		{v14, "tlsv1_2", "5", "", "SSL v3 is not simulated"},
		{v14, "tlsv1_2", "3-4", "", "SSL v2 is not simulated"},
		{v14, "tlsv1_2", "6", "", "numbers from 1 to 5"},
		{v14, "tlsv1_2", "3-2", "", "numbers from 1 to 5"},
		{v14, "tlsv1_2", "x", "", "numbers from 1 to 5"},
		{v16, "tlsv1_2", "3-4", "tlsv1_2tlsv1_3", ""},
		{v97, "tlsv1/tlsv1.2", "3", "tlsv1/tlsv1.2", ""},
		{v97, "tlsv1/tlsv1.2", "5", "", "SSL v2 and SSL v3 are not simulated"},
		{v8, "sslv3tlsv1", "5", "sslv3tlsv1", ""},
		{v8, "sslv3tlsv1", "3", "tlsv1", ""},
		{v8, "tlsv1", "5", "sslv3tlsv1", ""}, // as the version has it by default
		{v8, "sslv3tlsv1", "2", "", "SSL v2 and SSL v3 are not simulated"},
		{v8, "sslv3tlsv1", "7", "", "from 1 to 6"},
	} {
		got, err := ParseMethod(c.version, c.was, c.answer)
		text, refused := refusal.Text(err)
		if refused != (c.want == "") || !refused && got != c.want || !strings.Contains(text, c.text) {
			t.Errorf("%v: %s: %q, %v; want %q, %s", c.version, c.answer, got, err, c.want, c.text)
		}
	}
}

// TestPresentMethod: the answer that is offered keeps the method.
func TestPresentMethod(t *testing.T) {
	for _, v := range []product.Version{
		{Major: 7}, {Major: 7, Minor: 6}, {Major: 9}, {Major: 9, Minor: 7}, {Major: 14}, {Major: 15, Minor: 5},
	} {
		m := defaultMethod(v)
		_, present := MethodTitles(v, m)
		if again, err := ParseMethod(v, m, present); err != nil || again != m || present == "" {
			t.Errorf("%v: %q is offered for %s, and gives %s, %v", v, present, m, again, err)
		}
		if err := DefaultSSL(v).check(nil); err != nil {
			t.Errorf("%v: the default is refused: %v", v, err)
		}
		var c tls.Config
		if err := DefaultSSL(v).GUI.apply(&c); err != nil || len(c.CipherSuites) < 10 ||
			c.MaxVersion != tls.VersionTLS12 {
			t.Errorf("%v: the default cannot be used: %+v, %v", v, &c, err)
		}
	}
}

func TestVersionsOfMethod(t *testing.T) {
	for m, want := range map[Method][2]uint16{
		"tlsv1_0":               {tls.VersionTLS10, tls.VersionTLS10},
		"tlsv1_1tlsv1_2":        {tls.VersionTLS11, tls.VersionTLS12},
		"tlsv1_2tlsv1_3":        {tls.VersionTLS12, tls.VersionTLS13},
		"sslv2sslv3tlsv1":       {tls.VersionTLS10, tls.VersionTLS12},
		"tlsv1":                 {tls.VersionTLS10, tls.VersionTLS12},
		"tlsv1_0tlsv1_1tlsv1_2": {tls.VersionTLS10, tls.VersionTLS12},
	} {
		oldest, newest := m.versions()
		if err := m.check(); err != nil || [2]uint16{oldest, newest} != want {
			t.Errorf("%s: %x to %x, %v; want %x", m, oldest, newest, err, want)
		}
	}
	for _, m := range []Method{"", "sslv3", "tlsv1_4", "tlsv1_0tlsv1_2", "tlsv1_2tlsv1_1", "tlsv1_2x"} {
		if _, refused := refusal.Text(m.check()); !refused {
			t.Errorf("%q is accepted", m)
		}
	}
}

func TestSettingsOfSSLAreChecked(t *testing.T) {
	s := DefaultSSL(product.Version{Major: 14})
	s.Inbound.Ciphers = "HIGH:SEED-SHA"
	text, _ := refusal.Text(s.check(nil))
	if want := `The settings for inbound SMTP: "SEED-SHA" is no cipher`; !strings.HasPrefix(text, want) {
		t.Errorf("%q, want %q", text, want)
	}
	s = DefaultSSL(product.Version{Major: 14})
	s.Outbound.Method = "sslv3"
	text, _ = refusal.Text(s.check(nil))
	if want := `The settings for outbound SMTP: "sslv3" is no method`; !strings.HasPrefix(text, want) {
		t.Errorf("%q, want %q", text, want)
	}
}
