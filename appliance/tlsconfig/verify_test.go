package tlsconfig

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

func TestVerifyChain(t *testing.T) {
	ca, other := authority(t, "CA"), authority(t, "Other")
	roots := x509.NewCertPool()
	roots.AddCert(leaf(t, ca))
	good := func() *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: "mx"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
	}
	expired, early, client := good(), good(), good()
	expired.NotBefore, expired.NotAfter = now.AddDate(0, -2, 0), now.AddDate(0, -1, 0)
	early.NotBefore, early.NotAfter = now.AddDate(0, 1, 0), now.AddDate(0, 2, 0)
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	between := issued(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Between"}, IsCA: true, BasicConstraintsValid: true,
	}, &ca)
	below := issued(t, good(), &between)
	for _, c := range []struct {
		name, want string
		chain      []Certificate
	}{
		{"good", "", []Certificate{issued(t, good(), &ca)}},
		{"good, by another authority", "", []Certificate{below, between}},
		{"none", "no certificate from server", nil},
		{"expired", "certificate has expired", []Certificate{issued(t, expired, &ca)}},
		{"early", "certificate is not yet valid", []Certificate{issued(t, early, &ca)}},
		{"self-signed", "self signed certificate", []Certificate{issued(t, good(), nil)}},
		{"unknown", "unable to get local issuer certificate", []Certificate{issued(t, good(), &other)}},
		{"unknown chain", "self signed certificate in certificate chain",
			[]Certificate{issued(t, good(), &other), other}},
		{"of a client", "unsupported certificate purpose", []Certificate{issued(t, client, &ca)}},
		{"without the one between", "unable to get local issuer certificate", []Certificate{below}},
	} {
		var chain []*x509.Certificate
		for _, p := range c.chain {
			chain = append(chain, leaf(t, p))
		}
		got := ""
		if err := VerifyChain(chain, roots, now); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMatchName(t *testing.T) {
	for _, c := range []struct {
		common string
		names  []string // in the certificate
		host   string
		want   bool
	}{
		{"", []string{"mx.example.com"}, "mx.example.com", true},
		{"", []string{"MX.Example.COM."}, "mx.example.com.", true},
		{"mx.example.com", nil, "mx.example.com", true},
		{"mx.example.com", []string{"other.example.com"}, "mx.example.com", false}, // RFC 6125
		{"", []string{"*.example.com"}, "mx.example.com", true},
		{"", []string{"*.example.com"}, "a.mx.example.com", false},
		{"", []string{"*.example.com"}, "example.com", false},
		{"", []string{"*.com"}, "example.com", false},
		{"", []string{"*"}, "example", false},
		{"", []string{"m*.example.com"}, "mx.example.com", false},
		{"", []string{"*.example.com"}, ".example.com", false},
		{"*.example.com", nil, "mx.example.com", true},
		{"", nil, "mx.example.com", false},
		{"", []string{"mx.example.com"}, "", false},
	} {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: c.common}, DNSNames: c.names}
		if _, ok := MatchName(cert, []string{c.host}); ok != c.want {
			t.Errorf("%q, %v for %q: %v", c.common, c.names, c.host, ok)
		}
	}
	cert := &x509.Certificate{DNSNames: []string{"b.example"}}
	if name, ok := MatchName(cert, []string{"a.example", "b.example"}); !ok || name != "b.example" {
		t.Errorf("the name that matches is %q, %v", name, ok)
	}
}
