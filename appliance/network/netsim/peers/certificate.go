package peers

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"github.com/esasim/esasim/appliance/entropy"
)

// tlsConfig returns a configuration that makes a certificate for the server's name when the
// first client needs it, which in most worlds is never.
func (x *MailExchanger) tlsConfig() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		x.certify.Do(func() {
			x.certificate, x.certifyErr = selfSigned(x.behavior.hostname, x.config.Clock.Now())
		})
		return x.certificate, x.certifyErr
	}}
}

// selfSigned returns a self-signed certificate.
func selfSigned(host string, now time.Time) (*tls.Certificate, error) {
	seed := make([]byte, ed25519.SeedSize)
	random := entropy.System().Stream("certificate")
	if _, err := random.Read(seed); err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(random.Uint64()),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    now.AddDate(0, 0, -1),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", host, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
