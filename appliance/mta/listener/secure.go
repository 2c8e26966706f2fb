package listener

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/mta/mailevents"
	"github.com/esasim/esasim/appliance/tlsconfig"
)

// handshakeTimeout bounds a TLS handshake.
const handshakeTimeout = time.Minute

// startTLS answers STARTTLS and makes the connection secure.
func (s *session) startTLS() error {
	switch {
	case s.limits.TLS == Off || s.tls != nil:
		s.reply(500, "#5.5.1 command not recognized")
		return s.badCommand()
	case s.message != nil:
		s.reply(503, "#5.5.0 STARTTLS not permitted during a mail transaction")
		return nil
	}
	config, err := s.server.o.TLS(s.conf.Certificate)
	if err != nil {
		s.reply(454, "TLS not available due to a temporary reason")
		return nil
	}
	if !s.countTLS() {
		s.reply(421, "#4.4.5 Too many TLS sessions at this time")
		return errRefused
	}
	s.reply(220, "Go ahead with TLS")
	// What the client sent before the handshake must not be taken for commands inside TLS.
	s.in.Reset(s.conn)
	secure := tls.Server(s.conn, config)
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	defer cancel()
	s.conn.SetWriteDeadline(clock.System().Now().Add(handshakeTimeout)) //nolint:errcheck // see reply
	if err := secure.HandshakeContext(ctx); err != nil {
		publish(s, mailevents.ClientTLS{ICID: s.icid, Reason: err.Error()})
		return err
	}
	state := secure.ConnectionState()
	s.tls, s.conn = secure, secure
	s.resetBuffers()
	s.helo, s.user = "", "" // the client starts again (RFC 3207 4.2)
	publish(s, mailevents.ClientTLS{
		ICID: s.icid, OK: true, Protocol: tlsconfig.ProtocolName(state.Version),
		Cipher: tlsconfig.CipherName(state.CipherSuite),
	})
	return nil
}

// countTLS counts a connection with TLS. It reports whether the limit allows it.
func (s *session) countTLS() bool {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return s.server.clients.enterTLS(s, s.settings)
}

// offersAuth reports whether the client may authenticate now.
func (s *session) offersAuth() bool {
	return s.limits.Auth != Off && (s.tls != nil || !s.limits.AuthNeedsTLS)
}

// auth answers AUTH (RFC 4954).
func (s *session) auth(rest string) error {
	mechanism, initial, hasInitial := strings.Cut(rest, " ")
	mechanism = strings.ToUpper(mechanism)
	switch {
	case s.limits.Auth == Off:
		s.reply(503, "#5.3.3 AUTH not available")
		return nil
	case !s.offersAuth():
		s.reply(538, "#5.7.11 Encryption required")
		return nil
	case s.message != nil:
		s.reply(503, "#5.5.0 AUTH not permitted during a mail transaction")
		return nil
	case s.user != "":
		s.reply(503, "#5.5.0 Already authenticated")
		return nil
	case mechanism == "":
		s.reply(501, "#5.5.4 Invalid arguments to AUTH command")
		return nil
	case mechanism != "PLAIN" && mechanism != "LOGIN":
		s.reply(504, "#5.5.1 AUTH mechanism "+printable(mechanism)+" is not available")
		return nil
	}
	user, passphrase, ok, err := s.credentials(mechanism, initial, hasInitial)
	switch {
	case err != nil:
		return err
	case !ok:
		s.reply(501, "#5.5.4 Invalid arguments to AUTH command")
	case s.authenticate(s.ctx, mechanism, user, passphrase):
		s.user = user
		s.reply(235, "#2.0.0 OK Authenticated")
	default:
		s.reply(535, "#5.7.8 Authentication failed")
		return s.badCommand()
	}
	return nil
}

// credentials reads the user's name and passphrase. ok is false if the client gave up or sent what
// is none.
func (s *session) credentials(mechanism, initial string, hasInitial bool) (
	user, passphrase string, ok bool, err error,
) {
	if mechanism == "PLAIN" {
		text, ok, err := s.challenge("", initial, hasInitial)
		parts := strings.Split(text, "\x00")
		if err != nil || !ok || len(parts) != 3 || parts[1] == "" {
			return "", "", false, err
		}
		return parts[1], parts[2], true, nil
	}
	if user, ok, err = s.challenge("Username:", initial, hasInitial); err != nil || !ok {
		return "", "", false, err
	}
	passphrase, ok, err = s.challenge("Password:", "", false)
	return user, passphrase, ok && user != "", err
}

// challenge returns what the client answers to a question. If the client has sent the answer with
// the command, nothing is asked.
func (s *session) challenge(question, initial string, hasInitial bool) (string, bool, error) {
	if !hasInitial {
		s.reply(334, base64.StdEncoding.EncodeToString([]byte(question)))
		line, ok, err := s.readLine()
		if err != nil || !ok || line == "*" {
			return "", false, err
		}
		initial = line
	}
	if initial == "=" {
		return "", true, nil
	}
	text, err := base64.StdEncoding.DecodeString(initial)
	return string(text), err == nil, nil
}
