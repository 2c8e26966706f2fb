package peers

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/entropy"
)

// An Authority is the world's certificate authority. Its key and certificate are made at
// first use. Its methods are safe for concurrent use.
type Authority struct {
	name   string
	random *entropy.Stream
	now    func() time.Time

	file string // keeps key and certificate; "": they are lost with the process
	once sync.Once
	cert *x509.Certificate
	key  ed25519.PrivateKey
	err  error
}

// NewAuthority returns an authority that takes its random numbers from random.
func NewAuthority(name string, random *entropy.Stream, now func() time.Time) *Authority {
	return &Authority{name: name, random: random, now: now}
}

// validity returns the period in which certificates are valid. It begins a day ago, for
// clients whose clocks are slow.
func (a *Authority) validity() (from, to time.Time) {
	now := a.now()
	return now.AddDate(0, 0, -1), now.AddDate(10, 0, 0)
}

// KeepIn has the authority use the key and the certificate in a file, or write new ones to it if it
// does not exist or is damaged. So a client that trusts the authority still does after a restart.
// KeepIn must be called before the first use.
func (a *Authority) KeepIn(file string) { a.file = file }

// restore reports whether the file has a key and a certificate of this authority.
func (a *Authority) restore() bool {
	both, err := os.ReadFile(a.file)
	if err != nil {
		return false
	}
	pair, err := tls.X509KeyPair(both, both)
	if err != nil || !pair.Leaf.IsCA {
		return false
	}
	key, ok := pair.PrivateKey.(ed25519.PrivateKey)
	if ok {
		a.cert, a.key = pair.Leaf, key
	}
	return ok
}

// save writes key and certificate to the file. If that fails, the next start makes new ones.
func (a *Authority) save() {
	private, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil || a.file == "" {
		return
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	_ = atomicfile.Write(a.file, both) // see above
}

// An authority is valid at any time that a clock of its world may show.
var (
	authorityFrom = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	authorityTo   = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
)

func (a *Authority) make() error {
	a.once.Do(func() {
		if a.file != "" && a.restore() {
			return
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: a.name},
			NotBefore: authorityFrom, NotAfter: authorityTo, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign,
		}
		var der []byte
		if a.key, a.err = newKey(a.random); a.err != nil {
			return
		}
		der, a.err = x509.CreateCertificate(a.random, template, template, a.key.Public(), a.key)
		if a.err == nil {
			a.cert, a.err = x509.ParseCertificate(der)
		}
		if a.err == nil {
			a.save()
		}
	})
	if a.err != nil {
		return fmt.Errorf("make a certificate authority: %w", a.err)
	}
	return nil
}

func newKey(random *entropy.Stream) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := random.Read(seed); err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// PEM returns the authority's own certificate, for clients that trust it.
func (a *Authority) PEM() ([]byte, error) {
	if err := a.make(); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), nil
}

// Certify makes a certificate for a server with these names and addresses.
func (a *Authority) Certify(names []string) (*tls.Certificate, error) {
	from, to := a.validity()
	return a.certify(names, from, to)
}

// certify makes a certificate that is valid from one time to another.
func (a *Authority) certify(names []string, from, to time.Time) (*tls.Certificate, error) {
	if err := a.make(); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(a.random.Uint64()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	key, err := newKey(a.random)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(a.random, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", names[0], err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tlsConfig returns a configuration that makes a certificate when the first client needs it.
func (s *SyslogServer) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Time: s.config.Clock.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.certify.Do(func() {
				ca := s.config.Authority
				if ca == nil || s.behavior.unknown {
					ca = NewAuthority("Unknown Authority", entropy.System().Stream("authority"),
						s.config.Clock.Now)
				}
				s.certificate, s.certifyErr = ca.Certify(s.behavior.names)
			})
			return s.certificate, s.certifyErr
		},
	}
}
