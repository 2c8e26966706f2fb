package bench

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/entropy"
)

// minToken is the least number of characters of a token.
const minToken = 16

// NewToken returns a token that nobody can guess.
func NewToken() string {
	b := make([]byte, 20)
	_, _ = entropy.System().Stream("bench").Read(b) // it never fails
	return hex.EncodeToString(b)
}

// ReadToken returns the token in a file. If there is no file, it makes one with a new token, which
// only this user may read.
func ReadToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		token := NewToken()
		if err := atomicfile.Write(file, []byte(token+"\n")); err != nil {
			return "", fmt.Errorf("make a token for the bench: %w", err)
		}
		return token, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the token of the bench: %w", err)
	}
	token := strings.TrimSpace(string(text))
	notPlain := func(c rune) bool { return c <= ' ' || c > '~' }
	switch {
	case len(token) < minToken:
		return "", fmt.Errorf("the token in %s has %d characters: expected at least %d,"+
			" as in the output of: openssl rand -hex 20", file, len(token), minToken)
	case strings.ContainsFunc(token, notPlain):
		return "", fmt.Errorf("the token in %s has spaces or characters that are not ASCII:"+
			" expected one word of letters, digits and signs", file)
	}
	return token, nil
}

// Listen listens on an address. Port 0 takes a free port. An address to which other machines can
// connect is an error unless the user has chosen the token.
func Listen(addr netip.AddrPort, ownToken bool) (net.Listener, error) {
	if !addr.Addr().IsLoopback() && !ownToken {
		return nil, fmt.Errorf("other machines can connect to %v: expected a loopback address, such as"+
			" 127.0.0.1:8090, or a token of your own in a file: --bench-token FILE", addr.Addr())
	}
	l, err := net.Listen("tcp", addr.String()) //nolint:forbidigo // the machine's own socket
	if err != nil {
		return nil, fmt.Errorf("open the port of the bench: %w", err)
	}
	return l, nil
}

// An access decides who may use the page.
type access struct {
	token    [sha256.Size]byte // its digest
	cookie   string            // the value of the cookie
	form     string            // the value that forms contain
	name     string            // of the cookie
	loopback bool              // whether only this machine can connect
	origin   *http.CrossOriginProtection
}

// newAccess returns the access to a server that listens on addr. The name of the cookie has the
// port, because browsers share cookies among all ports of a host.
func newAccess(token string, addr netip.AddrPort) *access {
	derive := func(use string) string {
		m := hmac.New(sha256.New, []byte(token))
		m.Write([]byte("esasim bench " + use))
		return hex.EncodeToString(m.Sum(nil))
	}
	return &access{
		token: sha256.Sum256([]byte(token)), cookie: derive("cookie"), form: derive("form"),
		name: fmt.Sprintf("esasim-bench-%d", addr.Port()), loopback: addr.Addr().IsLoopback(),
		origin: http.NewCrossOriginProtection(),
	}
}

// same reports whether two texts are equal, in a time that does not depend on where they differ.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// isToken reports whether a text is the token.
func (a *access) isToken(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

// has reports whether a request has the cookie.
func (a *access) has(r *http.Request) bool {
	for _, c := range r.CookiesNamed(a.name) {
		if same(c.Value, a.cookie) {
			return true
		}
	}
	return false
}

// grant gives the browser the cookie.
func (a *access) grant(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: a.name, Value: a.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// check refuses requests that may not be answered. ok is false if it has answered.
func (a *access) check(w http.ResponseWriter, r *http.Request) (ok bool) {
	refuse := func(status int, title, text string) bool {
		showLogin(w, status, title, text)
		return false
	}
	if a.loopback && !isLoopback(r.Host) {
		return refuse(http.StatusForbidden, "Wrong host", fmt.Sprintf(
			"The host %q is not this machine: open the page at 127.0.0.1 or localhost.", r.Host))
	}
	if err := a.origin.Check(r); err != nil {
		return refuse(http.StatusForbidden, "Request of another site",
			"A page of another site may not change anything here.")
	}
	if r.URL.Path == "/login" && r.Method == http.MethodPost {
		return a.login(w, r, r.PostFormValue("token"))
	}
	if token := r.URL.Query().Get("token"); token != "" && r.Method == http.MethodGet {
		return a.login(w, r, token)
	}
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		return true // they are the same everywhere, and the page without a cookie uses them
	}
	if !a.has(r) {
		return refuse(http.StatusUnauthorized, "The bench needs its token",
			"Open the address that esasim printed when it started, or enter its token.")
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads && !same(r.PostFormValue("form"), a.form) {
		return refuse(http.StatusForbidden, "This form is too old",
			"Load the page again, and then send the form.")
	}
	return true
}

// login exchanges the token for the cookie. It has always answered.
func (a *access) login(w http.ResponseWriter, r *http.Request, token string) bool {
	if !a.isToken(token) {
		showLogin(w, http.StatusUnauthorized, "Wrong token",
			"That is not the token of this bench. A new one is made at each start of esasim,"+
				" unless --bench-token names a file.")
		return false
	}
	a.grant(w)
	to := "/"
	if r.Method == http.MethodGet {
		q := r.URL.Query()
		q.Del("token")
		to = (&url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/"), RawQuery: q.Encode()}).String()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return false
}

// isLoopback reports whether a Host header is localhost or a loopback address.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
