package tlsconfig

import (
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/config"
)

// A Use is what TLS is used for.
type Use int

// The uses that sslconfig distinguishes.
const (
	GUI Use = iota
	Inbound
	Outbound
)

// settings returns the settings for a use.
func (s SSLSettings) settings(u Use) SSLUse {
	switch u {
	case GUI:
		return s.GUI
	case Inbound:
		return s.Inbound
	}
	return s.Outbound
}

// Options connect a Store with the appliance.
type Options struct {
	Committed func() *config.Config
	// Demo returns the certificate that every appliance has. It may take a while the first time.
	Demo func() (*tls.Certificate, error)
	// Now returns the time at which certificates must be valid.
	Now func() time.Time
}

// A Store makes the configurations of crypto/tls that the committed configuration asks for. A
// commit takes effect with the next handshake. It is safe for concurrent use.
type Store struct {
	o Options

	mu   sync.Mutex
	of   *config.Config // that made was made of
	made map[key]*tls.Config
}

// A key says what a configuration is for.
type key struct {
	use         Use
	certificate string
}

// NewStore returns a Store.
func NewStore(o Options) *Store { return &Store{o: o} }

// Certificate returns the certificate with a name; "" is Demo.
func (s *Store) Certificate(name string) (*tls.Certificate, error) {
	c, ok := Certificates.Get(s.o.Committed()).Find(name)
	if !ok { // Demo; the checks of sections refuse names that do not exist
		return s.o.Demo()
	}
	pair, err := c.Pair()
	return &pair, err
}

// Server returns the configuration of a server that shows the certificate with a name. It is shared
// and must not be changed.
func (s *Store) Server(use Use, certificate string) (*tls.Config, error) {
	return s.config(key{use, certificate}, func(c *tls.Config) error {
		cert, err := s.Certificate(certificate)
		if err != nil {
			return err
		}
		c.Certificates = []tls.Certificate{*cert}
		return nil
	})
}

// Client returns the configuration of connections to mail servers, which are shown the certificate
// with a name if they ask for one; "" shows none. The caller must Clone it before it changes it. It
// verifies nothing.
func (s *Store) Client(certificate string) (*tls.Config, error) {
	return s.config(key{Outbound, certificate}, func(c *tls.Config) error {
		c.InsecureSkipVerify = true // callers verify with VerifyChain and MatchName
		if certificate == "" {
			return nil
		}
		cert, err := s.Certificate(certificate)
		if err != nil {
			return err
		}
		// Certificates would leave it out if the server names other authorities.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return cert, nil
		}
		return nil
	})
}

// config returns the configuration for k. It is made once for each committed version, so that
// clients can resume their sessions.
func (s *Store) config(k key, complete func(*tls.Config) error) (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	committed := s.o.Committed()
	if s.of != committed {
		s.of, s.made = committed, map[key]*tls.Config{}
	}
	if c := s.made[k]; c != nil {
		return c, nil
	}
	c := &tls.Config{Time: s.o.Now}
	err := SSL.Get(committed).settings(k.use).apply(c)
	if err == nil {
		err = complete(c)
	}
	if err != nil {
		return nil, fmt.Errorf("set up TLS: %w", err)
	}
	s.made[k] = c
	return c, nil
}
