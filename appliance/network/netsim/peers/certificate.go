package peers

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// wrongName is the name in a certificate of another server.
const wrongName = "other.server.invalid"

// tlsConfig returns a configuration with the certificate that rules demand, or a correct one. It
// is made when a client needs it, which in most worlds is never.
func (x *MailExchanger) tlsConfig() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if kind := x.rules.certificate(); kind != "" {
			return x.badCertificate(kind)
		}
		x.certify.Do(func() { x.certificate, x.certifyErr = x.authority().Certify(x.certified()) })
		return x.certificate, x.certifyErr
	}}
}

// certified returns the names and addresses of the server for its certificate.
func (x *MailExchanger) certified() []string {
	names := []string{x.behavior.hostname}
	for _, a := range x.config.Addrs {
		if x.config.Records != nil && x.config.Records.Names[a] != "" {
			names = append(names, x.config.Records.Names[a])
		}
		names = append(names, a.String())
	}
	return names
}

// authority returns the authority of the world, or one that nobody knows if there is none.
func (x *MailExchanger) authority() *Authority {
	if x.config.Authority != nil {
		return x.config.Authority
	}
	return x.unknownAuthority()
}

func (x *MailExchanger) unknownAuthority() *Authority {
	return NewAuthority("Unknown Authority", entropy.System().Stream("authority"), x.config.Clock.Now)
}

// badCertificate makes a certificate as a rule demands it.
func (x *MailExchanger) badCertificate(kind string) (*tls.Certificate, error) {
	now := x.config.Clock.Now()
	switch kind {
	case topology.CertificateExpired:
		return x.authority().certify(x.certified(), now.AddDate(-1, 0, 0), now.AddDate(0, 0, -1))
	case topology.CertificateFuture:
		return x.authority().certify(x.certified(), now.AddDate(0, 0, 1), now.AddDate(1, 0, 0))
	case topology.CertificateWrongName:
		return x.authority().Certify([]string{wrongName})
	case topology.CertificateUnknownCA:
		return x.unknownAuthority().Certify(x.certified())
	case topology.CertificateSelfSigned:
		return selfSigned(x.behavior.hostname, now)
	}
	c, err := x.authority().Certify(x.certified()) // CertificateBroken
	if err == nil {
		c.Certificate[0] = c.Certificate[0][:len(c.Certificate[0])/2]
	}
	return c, err
}

// selfSigned returns a self-signed certificate.
func selfSigned(host string, now time.Time) (*tls.Certificate, error) {
	random := entropy.System().Stream("certificate")
	key, err := newKey(random)
	if err != nil {
		return nil, err
	}
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
