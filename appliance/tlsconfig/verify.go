package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"
)

// A VerifyError says why the certificate of a server is not accepted. Reason is OpenSSL's text,
// such as "certificate has expired".
type VerifyError struct{ Reason string }

func (e *VerifyError) Error() string { return e.Reason }

// VerifyChain returns a *VerifyError unless an authority of roots has signed the certificate of a
// server, directly or through others of the chain, and all of them are valid at the time.
func VerifyChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if len(chain) == 0 {
		return &VerifyError{"no certificate from server"}
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return &VerifyError{verifyReason(chain, err, now)}
	}
	return nil
}

// verifyReason returns OpenSSL's words for an error of x509.
func verifyReason(chain []*x509.Certificate, err error, now time.Time) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid):
		switch invalid.Reason {
		case x509.Expired:
			if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
				return "certificate is not yet valid"
			}
			return "certificate has expired"
		case x509.IncompatibleUsage:
			return "unsupported certificate purpose"
		case x509.NotAuthorizedToSign:
			return "invalid CA certificate"
		case x509.CANotAuthorizedForThisName:
			return "permitted subtree violation"
		}
	case errors.As(err, &unknown):
		last := chain[len(chain)-1]
		switch self := last.CheckSignatureFrom(last) == nil ||
			slices.Equal(last.RawSubject, last.RawIssuer); {
		case self && len(chain) == 1:
			return "self signed certificate"
		case self:
			return "self signed certificate in certificate chain"
		}
		return "unable to get local issuer certificate"
	}
	return "certificate verify failed"
}

// MatchName returns the first of the names that a certificate is for. The names of hosts in the
// extension for them count; only if there is none, the common name does (RFC 6125 6.4.4). A name in
// the certificate may begin with "*.", which stands for one label.
func MatchName(c *x509.Certificate, names []string) (name string, ok bool) {
	presented := c.DNSNames
	if len(presented) == 0 && c.Subject.CommonName != "" {
		presented = []string{c.Subject.CommonName}
	}
	for _, n := range names {
		if slices.ContainsFunc(presented, func(p string) bool { return matches(p, n) }) {
			return n, true
		}
	}
	return "", false
}

// matches reports whether a presented name means a host.
func matches(presented, host string) bool {
	presented = strings.ToLower(strings.TrimSuffix(presented, "."))
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || presented == "" {
		return false
	}
	below, wild := strings.CutPrefix(presented, "*.")
	if !wild {
		return presented == host && !strings.Contains(presented, "*")
	}
	label, rest, _ := strings.Cut(host, ".")
	// A wild card directly below a top-level domain would mean everybody's hosts.
	return label != "" && rest == below && strings.Contains(below, ".")
}

// Alert returns the text of an alert that ended a handshake; ok is false if none did.
func Alert(err error) (text string, ok bool) {
	var alert tls.AlertError
	if !errors.As(err, &alert) {
		return "", false
	}
	return strings.TrimPrefix(alert.Error(), "tls: "), true
}
