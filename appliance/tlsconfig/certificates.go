package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Demo is the name of the certificate that every appliance has. It is not part of the
// configuration, and cannot be changed or removed.
const Demo = "Demo"

// Certificates is the section of the certificates that an administrator has installed.
var Certificates = config.Define("certificates", CertificateList{}, CertificateList.check,
	config.In(config.System, 50))

// CertificateList is the value of Certificates.
type CertificateList struct {
	List []Certificate `xml:"certificate_profile"`
}

// A Certificate is one that the appliance identifies itself with, under a name of its own.
type Certificate struct {
	Name  string `xml:"profile_name"`
	Chain string `xml:"certificate"`               // PEM, the certificate itself first
	Key   string `xml:"private_key" secret:"text"` // PEM, PKCS #8
	CSR   string `xml:"signing_request,omitempty"` // PEM; "" if the certificate was not made here
}

// Limits of the sections, so that a pasted or loaded configuration cannot grow without bound.
const (
	maxCertificates = 100
	maxAuthorities  = 1000
	maxChain        = 10
)

func (l CertificateList) check(*config.Config) error {
	if len(l.List) > maxCertificates {
		return refusal.Newf("There are %d certificates. At most %d are possible.", len(l.List),
			maxCertificates)
	}
	seen := map[string]bool{}
	for _, c := range l.List {
		if err := l.checkName(c.Name); err != nil {
			return err
		}
		if key := strings.ToLower(c.Name); seen[key] {
			return refusal.Newf("Two certificates are named %s.", c.Name)
		} else {
			seen[key] = true
		}
		if _, err := c.Pair(); err != nil {
			return refusal.Because(err, "The certificate %s cannot be used: %s", c.Name, textOf(err))
		}
	}
	return nil
}

func textOf(err error) string {
	if text, ok := refusal.Text(err); ok {
		return text
	}
	return err.Error()
}

// checkName returns a refusal if a name is none for a certificate.
func (l CertificateList) checkName(name string) error {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`"'<>&`, r) }
	switch {
	case name == "" || len(name) > 63 || strings.TrimSpace(name) != name ||
		strings.ContainsFunc(name, odd):
		return refusal.New("The name of a certificate must be 1 to 63 characters without quotes.")
	case strings.EqualFold(name, Demo):
		return refusal.Newf("The name %s belongs to the certificate that every appliance has.", Demo)
	}
	return nil
}

// CheckNewName returns a refusal if a new certificate cannot have the name.
func (l CertificateList) CheckNewName(name string) error {
	if _, taken := l.Find(name); taken {
		return refusal.Newf("There is already a certificate with the name %s.", name)
	}
	return l.checkName(name)
}

// Find returns the certificate with a name, in any case.
func (l CertificateList) Find(name string) (c Certificate, ok bool) {
	n := slices.IndexFunc(l.List, func(c Certificate) bool { return strings.EqualFold(c.Name, name) })
	if n < 0 {
		return c, false
	}
	return l.List[n], true
}

// Names returns the names of all certificates, Demo last.
func (l CertificateList) Names() []string {
	var names []string
	for _, c := range l.List {
		names = append(names, c.Name)
	}
	return append(names, Demo)
}

// CheckUse returns a refusal if a part of the configuration names a certificate that does not exist.
// user says which part, at the beginning of a sentence. "" means Demo.
func CheckUse(c *config.Config, name, user string) error {
	if name == "" || strings.EqualFold(name, Demo) {
		return nil
	}
	if _, ok := Certificates.Get(c).Find(name); !ok {
		return refusal.Newf("%s uses the certificate %s, which does not exist.", user, name)
	}
	return nil
}

// Pair returns the certificate with its key, or a refusal that says what is wrong with them.
func (c Certificate) Pair() (tls.Certificate, error) {
	chain, err := ParseChain(c.Chain)
	if err != nil {
		return tls.Certificate{}, err
	}
	if len(chain) > maxChain {
		return tls.Certificate{}, refusal.Newf("There are more than %d intermediate certificates.",
			maxChain-1)
	}
	pair, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key))
	if err != nil {
		return tls.Certificate{}, refusal.Because(err,
			"The private key is none, or does not belong to the certificate.")
	}
	pair.Leaf = chain[0]
	return pair, nil
}

// ParseChain returns the certificates in a text, which must have at least one and nothing else.
func ParseChain(text string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, refusal.Newf("The text holds a %s: expected a certificate in PEM format.",
				strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, refusal.Because(err, "The certificate is damaged.")
		}
		if chain = append(chain, cert); len(chain) > maxAuthorities {
			return nil, refusal.Newf("There are more than %d certificates.", maxAuthorities)
		}
	}
	if chain == nil || strings.TrimSpace(string(rest)) != "" {
		return nil, refusal.New("The text is no certificate: expected PEM format, from " +
			"-----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.")
	}
	return chain, nil
}

// ParseKey returns a private key in PEM in the form that Certificate.Key has. Keys that are
// protected with a passphrase are refused.
func ParseKey(text string) (string, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return "", refusal.New("The text is no private key: expected PEM format, from " +
			"-----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----.")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return "", refusal.Newf("The text holds a %s: expected a private key without passphrase in "+
			"PEM format.", strings.ToLower(block.Type))
	}
	if err != nil {
		return "", refusal.Because(err,
			"The private key is damaged, or protected with a passphrase.")
	}
	return EncodeKey(key)
}

// EncodeKey returns a private key in PEM.
func EncodeKey(key any) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", refusal.Because(err, "A private key of this kind is not simulated.")
	}
	return encode("PRIVATE KEY", der), nil
}

// EncodeChain returns certificates in PEM.
func EncodeChain(chain ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range chain {
		b.WriteString(encode("CERTIFICATE", c.Raw))
	}
	return b.String()
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Status returns whether a certificate is valid at a time, in the words of the list of certconfig,
// and how many days are left.
func Status(c *x509.Certificate, now time.Time) (status string, days int) {
	days = int(c.NotAfter.Sub(now) / (24 * time.Hour))
	switch {
	case now.After(c.NotAfter):
		return "Expired", 0
	case now.Before(c.NotBefore):
		return "Not yet valid", days
	}
	return "Active", days
}
