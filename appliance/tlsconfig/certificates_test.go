package tlsconfig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

var now = time.Date(2015, 6, 25, 8, 50, 3, 0, time.UTC)

// issued returns a certificate made from template, signed by parent, or by itself if parent is nil.
func issued(t *testing.T, template *x509.Certificate, parent *Certificate) Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(7)
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = now.AddDate(0, 0, -1), now.AddDate(1, 0, 0)
	}
	signer, signingKey := template, any(key)
	if parent != nil {
		pair, err := parent.Pair()
		if err != nil {
			t.Fatal(err)
		}
		signer, signingKey = pair.Leaf, pair.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signingKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{Name: "partner", Chain: encode("CERTIFICATE", der), Key: private}
}

func authority(t *testing.T, name string) Certificate {
	return issued(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil)
}

func leaf(t *testing.T, c Certificate) *x509.Certificate {
	t.Helper()
	chain, err := ParseChain(c.Chain)
	if err != nil {
		t.Fatal(err)
	}
	return chain[0]
}

func TestSelfSigned(t *testing.T) {
	c, err := SelfSigned("own", Request{
		CommonName: "mail.example.com", Organization: "Example", Unit: "Mail", Locality: "Berlin",
		State: "Berlin", Country: "DE", Bits: 1024, Days: 30,
	}, rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pair(); err != nil {
		t.Fatal(err)
	}
	l := leaf(t, c)
	if got := l.Subject.String(); got != "CN=mail.example.com,OU=Mail,O=Example,L=Berlin,ST=Berlin,C=DE" {
		t.Errorf("the subject is %s", got)
	}
	if l.DNSNames[0] != "mail.example.com" || !l.NotAfter.Equal(now.AddDate(0, 0, 30)) {
		t.Errorf("for %v until %v", l.DNSNames, l.NotAfter)
	}
	block, _ := pem.Decode([]byte(c.CSR))
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || request.CheckSignature() != nil || request.Subject.String() != l.Subject.String() {
		t.Errorf("the request is %+v, %v", request, err)
	}
	ca := authority(t, "CA")
	pair, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(8), Subject: request.Subject, NotBefore: now, NotAfter: now.AddDate(1, 0, 0),
	}, pair.Leaf, request.PublicKey, pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := c.Renewed(encode("CERTIFICATE", der))
	if err != nil || IssuerName(leaf(t, renewed)) != "CA" {
		t.Errorf("the signed certificate gives %v", err)
	}
	if same, err := c.Renewed(ca.Chain); err == nil || same != c {
		t.Error("a certificate for another key is accepted")
	}
}

func TestListOfCertificatesIsChecked(t *testing.T) {
	good := authority(t, "CA")
	other := authority(t, "other")
	named := func(name string) Certificate { c := good; c.Name = name; return c }
	wrongKey, noKey := good, good
	wrongKey.Key, noKey.Key = other.Key, ""
	for want, list := range map[string][]Certificate{
		"must be 1 to 63 characters":         {named("")},
		"belongs to the certificate that":    {named("demo")},
		"Two certificates are named":         {named("a"), named("A")},
		"does not belong to the certificate": {wrongKey},
		"The private key is none":            {noKey},
		"The text is no certificate":         {{Name: "x", Chain: "nothing", Key: good.Key}},
	} {
		text, _ := refusal.Text(CertificateList{list}.check(nil))
		if !strings.Contains(text, want) {
			t.Errorf("%q, want %q", text, want)
		}
	}
	if err := (CertificateList{[]Certificate{named("a"), named("b")}}).check(nil); err != nil {
		t.Error(err)
	}
}

func TestParseChainAndKey(t *testing.T) {
	c := authority(t, "CA")
	for want, text := range map[string]string{
		"expected PEM format":          "hello",
		"expected PEM format, from":    c.Chain + "junk",
		"The text holds a private key": c.Key,
		"The certificate is damaged":   encode("CERTIFICATE", []byte("no")),
		"-----BEGIN CERTIFICATE-----":  "",
		"The text holds a ":            encode("", []byte("x")),
	} {
		_, err := ParseChain(text)
		if got, _ := refusal.Text(err); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, text := range map[string]string{
		"The text is no private key":                          "hello",
		"The text holds a certificate":                        c.Chain,
		"damaged, or protected with a passphrase":             encode("RSA PRIVATE KEY", []byte("no")),
		"The text holds a encrypted private key: expected a ": encode("ENCRYPTED PRIVATE KEY", []byte("x")),
	} {
		_, err := ParseKey(text)
		if got, _ := refusal.Text(err); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if key, err := ParseKey("\n" + c.Key + "\n"); err != nil || key != c.Key {
		t.Errorf("%q, %v", key, err)
	}
}

func TestPKCS12(t *testing.T) {
	ca := authority(t, "CA")
	c := issued(t, &x509.Certificate{Subject: pkix.Name{CommonName: "mail"}}, &ca)
	c.Chain += ca.Chain
	file, err := c.PKCS12("secret")
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePKCS12(c.Name, file, "secret")
	if err != nil || again != c {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := ParsePKCS12(c.Name, file, "wrong"); err == nil || err.Error() != "The passphrase is wrong." {
		t.Errorf("a wrong passphrase gives %v", err)
	}
	_, err = ParsePKCS12(c.Name, []byte("text"), "")
	if text, _ := refusal.Text(err); !strings.HasPrefix(text, "The file is not in PKCS #12 format") {
		t.Errorf("a damaged file gives %v", err)
	}
}

func TestDemoSurvivesADamagedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gui.pem")
	log := slog.New(slog.DiscardHandler)
	hosts := []string{"esa.example.com", "10.0.202.7"}
	first, err := OpenDemo(file, rand.Reader, hosts, log)
	if err != nil || first.Leaf.VerifyHostname("esa.example.com") != nil ||
		first.Leaf.VerifyHostname("10.0.202.7") != nil {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := OpenDemo(file, rand.Reader, nil, log)
	if err != nil || !second.Leaf.Equal(first.Leaf) {
		t.Errorf("the second start has another certificate, %v", err)
	}
	if err := os.WriteFile(file, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := OpenDemo(file, rand.Reader, hosts, log)
	if err != nil || third.Leaf.Equal(first.Leaf) {
		t.Errorf("after damage: %v", err)
	}
}

// FuzzOpenDemo: whatever the file contains, there is a certificate afterwards, and the next start
// has the same.
func FuzzOpenDemo(f *testing.F) {
	c, err := newDemo(rand.Reader, []string{"esa.example.com"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c)
	f.Add(c[:len(c)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "gui.pem")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		first, err := OpenDemo(file, rand.Reader, nil, log)
		if err != nil {
			t.Fatal(err)
		}
		again, err := OpenDemo(file, rand.Reader, nil, log)
		if err != nil || string(again.Certificate[0]) != string(first.Certificate[0]) {
			t.Errorf("the next start has another certificate, %v", err)
		}
	})
}

// FuzzParseChain: any text is a chain or refused.
func FuzzParseChain(f *testing.F) {
	c, err := newDemo(rand.Reader, []string{"esa.example.com"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(c))
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		chain, err := ParseChain(text)
		if _, refused := refusal.Text(err); (len(chain) == 0) != refused {
			t.Errorf("%d certificates, %v", len(chain), err)
		}
		if key, err := ParseKey(text); (key == "") == (err == nil) {
			t.Errorf("key %q, %v", key, err)
		}
	})
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		from, to time.Time
		status   string
		days     int
	}{
		{now.AddDate(0, 0, -1), now.AddDate(0, 0, 30), "Active", 30},
		{now.AddDate(0, 0, -9), now.AddDate(0, 0, -1), "Expired", 0},
		{now.AddDate(0, 0, 1), now.AddDate(0, 0, 11), "Not yet valid", 11},
	} {
		status, days := Status(&x509.Certificate{NotBefore: c.from, NotAfter: c.to}, now)
		if status != c.status || days != c.days {
			t.Errorf("%s, %d days; want %s, %d", status, days, c.status, c.days)
		}
	}
}

func TestAuthorities(t *testing.T) {
	one, two := authority(t, "One"), authority(t, "Two")
	l, n := AuthorityList{UseSystem: true}.Add(leaf(t, one), leaf(t, two), leaf(t, one))
	if n != 2 || len(l.Custom) != 2 || !l.UseCustom {
		t.Errorf("%d added: %+v", n, l)
	}
	if err := l.check(nil); err != nil {
		t.Error(err)
	}
	pool := x509.NewCertPool()
	l.AddTo(pool)
	server := issued(t, &x509.Certificate{DNSNames: []string{"mx.example.com"}}, &one)
	chain := []*x509.Certificate{leaf(t, server)}
	if err := VerifyChain(chain, pool, now); err != nil {
		t.Error(err)
	}
	l.UseCustom, pool = false, x509.NewCertPool()
	l.AddTo(pool)
	if err := VerifyChain(chain, pool, now); err == nil {
		t.Error("an authority of an unused list is trusted")
	}
	_, err := ParseAuthorities(server.Chain)
	if text, _ := refusal.Text(err); !strings.HasSuffix(text, "is none of a certificate authority.") {
		t.Errorf("a server's certificate as authority gives %v", err)
	}
}

func TestUseOfCertificates(t *testing.T) {
	store := config.NewStore()
	d := store.NewDraft()
	c := authority(t, "CA")
	Certificates.Set(d, CertificateList{[]Certificate{c}})
	committed, err := store.Commit(t.Context(), d, config.CommitInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{"": true, "demo": true, "PARTNER": true, "nobody": false} {
		if err := CheckUse(committed, name, "The listener In"); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := Certificates.Get(committed).Names(); strings.Join(got, " ") != "partner Demo" {
		t.Errorf("the names are %v", got)
	}
}
