package tlsconfig

import (
	"crypto/tls"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// SSL is the section of sslconfig. The factory configuration holds the values of its version of
// AsyncOS.
var SSL = config.Define("ssl_settings", DefaultSSL(product.Version{Major: 14}), SSLSettings.check,
	config.In(config.System, 60))

// SSLSettings is the value of SSL.
type SSLSettings struct {
	GUI      SSLUse `xml:"gui_https"`
	Inbound  SSLUse `xml:"inbound_smtp"`
	Outbound SSLUse `xml:"outbound_smtp"`
}

// SSLUse says which protocols and ciphers one use of TLS has.
type SSLUse struct {
	Method  Method `xml:"method"`
	Ciphers string `xml:"ciphers"` // in OpenSSL's form; without effect on TLS 1.3
}

// DefaultSSL returns the settings of a new appliance.
func DefaultSSL(v product.Version) SSLSettings {
	u := SSLUse{Method: defaultMethod(v), Ciphers: defaultCiphers(v)}
	return SSLSettings{GUI: u, Inbound: u, Outbound: u}
}

func (s SSLSettings) check(*config.Config) error {
	for _, u := range []struct {
		name string
		use  SSLUse
	}{{"GUI HTTPS", s.GUI}, {"inbound SMTP", s.Inbound}, {"outbound SMTP", s.Outbound}} {
		err := u.use.Method.check()
		if err == nil {
			err = CheckCiphers(u.use.Ciphers)
		}
		if err != nil {
			return refusal.Because(err, "The settings for %s: %v", u.name, err)
		}
	}
	return nil
}

// CheckCiphers returns a refusal unless the program has the ciphers that s selects. The values of
// new appliances are accepted as they are, although they name ciphers that only the real appliance
// has.
func CheckCiphers(s string) error {
	if isDefaultCiphers(s) {
		return nil
	}
	_, err := ParseCiphers(s)
	return err
}

func isDefaultCiphers(s string) bool {
	for _, v := range []product.Version{{}, flexible12, separate} {
		if s == defaultCiphers(v) {
			return true
		}
	}
	return false
}

// apply restricts c to what u allows.
func (u SSLUse) apply(c *tls.Config) error {
	list, err := parseCiphers(u.Ciphers, isDefaultCiphers(u.Ciphers))
	if err != nil {
		return err
	}
	c.MinVersion, c.MaxVersion = u.Method.versions()
	c.CipherSuites = nil
	for _, cipher := range list {
		c.CipherSuites = append(c.CipherSuites, cipher.ID)
	}
	return nil
}
