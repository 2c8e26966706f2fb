package tlsconfig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Request says what a new certificate is like.
type Request struct {
	CommonName, Organization, Unit, Locality, State, Country string

	Bits int // of the RSA key
	Days int // of validity
}

// subject returns the name of the owner.
func (r Request) subject() pkix.Name {
	list := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	return pkix.Name{
		CommonName: r.CommonName, Organization: list(r.Organization),
		OrganizationalUnit: list(r.Unit), Locality: list(r.Locality), Province: list(r.State),
		Country: list(r.Country),
	}
}

// SelfSigned makes a key, and a certificate that it has signed itself, with a signing request for an
// authority. random must be unpredictable.
func SelfSigned(name string, r Request, random io.Reader, now time.Time) (Certificate, error) {
	key, err := rsa.GenerateKey(random, r.Bits)
	if err != nil {
		return Certificate{}, fmt.Errorf("make a key of %d bits: %w", r.Bits, err)
	}
	template, err := newTemplate(random, now, now.AddDate(0, 0, r.Days))
	if err != nil {
		return Certificate{}, err
	}
	template.Subject = r.subject()
	template.KeyUsage |= x509.KeyUsageKeyEncipherment // for the ciphers without ECDHE
	addHosts(template, r.CommonName)
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return Certificate{}, fmt.Errorf("sign the certificate %s: %w", name, err)
	}
	csr, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{
		Subject: template.Subject, DNSNames: template.DNSNames, IPAddresses: template.IPAddresses,
	}, key)
	if err != nil {
		return Certificate{}, fmt.Errorf("make a request for %s: %w", name, err)
	}
	private, err := EncodeKey(key)
	return Certificate{
		Name: name, Chain: encode("CERTIFICATE", der), Key: private,
		CSR: encode("CERTIFICATE REQUEST", csr),
	}, err
}

// newTemplate returns what all certificates of the appliance have in common. Each identifies a
// server, and a client on delivery.
func newTemplate(random io.Reader, from, to time.Time) (*x509.Certificate, error) {
	number := make([]byte, 16)
	if _, err := io.ReadFull(random, number); err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	number[0] &= 0x7f // positive (RFC 5280, 4.1.2.2)
	number[0] |= 0x40 // and always of the same length
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(number),
		NotBefore:    from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth,
		},
		BasicConstraintsValid: true,
	}, nil
}

// addHosts adds names and addresses to those that a certificate is for.
func addHosts(template *x509.Certificate, hosts ...string) {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
}

// OpenDemo reads the certificate Demo and its key from file. If the file does not exist, or is
// damaged or unreadable, OpenDemo makes a self-signed certificate for the names and addresses
// in hosts, and writes it to the file. If it cannot be written, the next start makes another one.
// Whatever is wrong with the file is logged. random must be unpredictable.
func OpenDemo(file string, random io.Reader, hosts []string, log *slog.Logger) (
	*tls.Certificate, error,
) {
	both, err := os.ReadFile(file)
	if err == nil && len(both) > 0 {
		var cert tls.Certificate
		if cert, err = tls.X509KeyPair(both, both); err == nil {
			return &cert, nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the certificate of the page is replaced by a new one", "file", file, "err", err)
	}
	if both, err = newDemo(random, hosts); err != nil {
		return nil, fmt.Errorf("make the certificate of the page: %w", err)
	}
	if err := atomicfile.Write(file, both); err != nil {
		log.Warn("the certificate of the page is not saved", "err", err)
	}
	cert, err := tls.X509KeyPair(both, both)
	return &cert, err
}

// The certificate Demo is valid at any time that the clock of the appliance or of a client may
// show.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
)

// newDemo returns a certificate and its key, in PEM.
func newDemo(random io.Reader, hosts []string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(random, validFrom, validUntil)
	if err != nil {
		return nil, err
	}
	addHosts(template, hosts...)
	if len(template.DNSNames) > 0 {
		template.Subject = pkix.Name{CommonName: template.DNSNames[0]}
	}
	cert, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := EncodeKey(key)
	if err != nil {
		return nil, err
	}
	var both bytes.Buffer
	both.WriteString(encode("CERTIFICATE", cert))
	both.WriteString(private)
	return both.Bytes(), nil
}

// Renewed returns c with another certificate for the same key, such as one that an authority has
// signed at c's request.
func (c Certificate) Renewed(chain string) (Certificate, error) {
	next := c
	next.Chain = chain
	if _, err := next.Pair(); err != nil {
		return c, refusal.Because(err, "The certificate is not for the key of %s.", c.Name)
	}
	return next, nil
}
