package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
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
)

// Certificate reads the certificate and the key in file. If the file does not exist, or is
// damaged or unreadable, Certificate makes a self-signed certificate for the names and addresses
// in hosts, and writes it to the file. If it cannot be written, the next start makes another one.
// Whatever is wrong with the file is logged. random must be unpredictable.
func Certificate(file string, random io.Reader, hosts []string, log *slog.Logger) (
	tls.Certificate, error,
) {
	both, err := os.ReadFile(file)
	if err == nil && len(both) > 0 {
		var cert tls.Certificate
		if cert, err = tls.X509KeyPair(both, both); err == nil {
			return cert, nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the certificate of the page is replaced by a new one", "file", file, "err", err)
	}
	if both, err = newCertificate(random, hosts); err != nil {
		return tls.Certificate{}, fmt.Errorf("make the certificate of the page: %w", err)
	}
	if err := atomicfile.Write(file, both); err != nil {
		log.Warn("the certificate of the page is not saved", "err", err)
	}
	return tls.X509KeyPair(both, both)
}

// A new certificate is valid at any time that the clock of the appliance or of a browser may
// show.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
)

// newCertificate returns a certificate and its key, in PEM.
func newCertificate(random io.Reader, hosts []string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, err
	}
	number := make([]byte, 16)
	if _, err := io.ReadFull(random, number); err != nil {
		return nil, err
	}
	number[0] &= 0x7f // positive (RFC 5280, 4.1.2.2)
	number[0] |= 0x40 // and always of the same length
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(number),
		NotBefore:    validFrom, NotAfter: validUntil,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		if template.Subject.CommonName == "" {
			template.Subject = pkix.Name{CommonName: h}
		}
		template.DNSNames = append(template.DNSNames, h)
	}
	cert, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var both bytes.Buffer
	for _, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: cert},
		{Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&both, b); err != nil {
			return nil, err
		}
	}
	return both.Bytes(), nil
}
