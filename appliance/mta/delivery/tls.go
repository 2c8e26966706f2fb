package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// errTLS means that a connection has not become as secure as the destination asks for.
var errTLS = errors.New("TLS failed")

// secure starts TLS. Without an error, the connection may be used: with TLS, or without it if the
// destination only prefers TLS and the server does not offer it or refuses to start it.
func (w *worker) secure(c *connection) error {
	s, mode := w.server, w.limits.TLS
	config, err := s.TLSConfig(c.host)
	if err != nil {
		s.o.Logger.Warn("deliveries cannot use TLS", "err", err)
		return w.insecure(c, "TLS not available")
	}
	_, err = c.StartTLS(w.ctx, config)
	switch {
	case err == nil:
	case errors.Is(err, mail.ErrNoTLS) && !mode.required(), isRefusal(err) && !mode.required():
		w.leaveTLS()
		return nil // in clear text, as the negotiation has not begun
	case errors.Is(err, mail.ErrNoTLS):
		return w.insecure(c, "STARTTLS not offered")
	case isRefusal(err):
		return w.insecure(c, "STARTTLS refused")
	default:
		return w.insecure(c, handshakeReason(err))
	}
	state, _ := c.TLS()
	event := mailevents.ServerTLS{
		DCID: c.dcid, Domain: w.d.domain, OK: true, Protocol: tlsconfig.ProtocolName(state.Version),
		Cipher: tlsconfig.CipherName(state.CipherSuite),
	}
	if mode.verifies() {
		_, err := s.Verify(w.ctx, state, w.d.domain, c.host)
		if err != nil && mode.required() {
			return w.insecure(c, "verify error: "+err.Error())
		}
		if event.Verified = err == nil; err != nil {
			event.VerifyError = err.Error()
		}
	}
	w.publish(c.opened, event)
	_, err = c.Hello(w.ctx)
	return err
}

// insecure publishes why TLS has failed, and returns errTLS. If the administrator wants to know, an
// alert is raised, unless the message is an alert itself.
func (w *worker) insecure(c *connection, reason string) error {
	s := w.server
	if w.ctx.Err() != nil {
		return errTLS // the server stops
	}
	w.publish(c.opened, mailevents.ServerTLS{
		DCID: c.dcid, Domain: w.d.domain, Reason: reason,
	})
	if w.limits.TLS.required() && !w.d.internal && Destinations.Get(s.o.Committed()).AlertTLS {
		s.o.OnTLSFailed(fmt.Sprintf("Mail for the domain %s cannot be delivered to %v: a TLS connection "+
			"is required, but it failed. (%s)", w.d.domain, c.host.Addr.Addr(), reason))
	}
	return errTLS
}

// TLSConfig returns the configuration for a connection to a server. It verifies nothing: Verify
// does.
func (s *Server) TLSConfig(h Host) (*tls.Config, error) {
	config, err := s.o.TLS(Destinations.Get(s.o.Committed()).Certificate)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName = strings.Trim(h.Name, "[]")
	return config, nil
}

// Verify verifies the certificate of a server that takes the mail of a domain. It must be signed by
// a trusted authority, and be for the domain, for the host as the MX record or the SMTP route names
// it, or for the host as its address resolves; name is the one of these. An error is a
// *tlsconfig.VerifyError.
func (s *Server) Verify(
	ctx context.Context, state tls.ConnectionState, domain string, h Host,
) (name string, err error) {
	roots, err := s.o.TrustedRoots()
	if err != nil {
		s.o.Logger.Warn("the trusted certificate authorities are not known", "err", err)
		return "", &tlsconfig.VerifyError{Reason: "unable to get local issuer certificate"}
	}
	chain := state.PeerCertificates
	if err := tlsconfig.VerifyChain(chain, roots, s.o.Clock.Now()); err != nil {
		return "", err
	}
	name, ok := tlsconfig.MatchName(chain[0], []string{domain, strings.Trim(h.Name, "[]")})
	if ok {
		return name, nil
	}
	if ptr, err := s.o.Resolver.LookupAddr(ctx, h.Addr.Addr()); err == nil {
		if name, ok := tlsconfig.MatchName(chain[0], []string{ptr}); ok {
			return name, nil
		}
	}
	return "", &tlsconfig.VerifyError{Reason: "hostname mismatch"}
}

// handshakeReason returns why a handshake failed, in a few words.
func handshakeReason(err error) string {
	switch text, ok := tlsconfig.Alert(err); {
	case ok:
		return text
	case errors.Is(err, io.EOF), errors.Is(err, mail.ErrClosed):
		return "connection closed"
	}
	return "handshake failed"
}

// SourceAddr returns the address that deliveries to a server come from. It is invalid if the
// routing table chooses.
func SourceAddr(v config.View, remote netip.Addr) netip.Addr { return localAddr(v, remote) }

// enterTLS counts the worker's next connection as one that uses TLS, if the destination asks for
// it. It reports whether the limit allows it.
func (w *worker) enterTLS() bool {
	if w.limits.TLS == TLSOff {
		w.leaveTLS()
		return true
	}
	s := w.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.countedTLS && s.tlsIsCrowded() {
		return false
	}
	if !w.countedTLS {
		w.countedTLS = true
		s.tlsConnections++
	}
	return true
}

// waitForTLS has a job wait until there are fewer connections with TLS. Recipients that another host
// has deferred are tried again later. The worker ends.
func (w *worker) waitForTLS(j job, left map[int]failure) (goOn bool) {
	if len(left) > 0 {
		w.server.deferRecipients(w, j, left)
	} else {
		w.server.putBack(w.d, j.env.MID, j.rids, time.Time{})
	}
	return false
}

// leaveTLS ends what enterTLS has counted, and lets destinations that wait for it go on.
func (w *worker) leaveTLS() {
	s := w.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.countedTLS {
		return
	}
	w.countedTLS = false
	s.tlsConnections--
	if s.crowded {
		s.scheduleAll()
	}
}

// tlsIsCrowded reports whether there are as many connections with TLS as the settings allow. mu
// must be held.
func (s *Server) tlsIsCrowded() bool {
	return s.tlsConnections >= Config.Get(s.o.Committed()).MaxTLSConnections
}
