package tlsconfig

import (
	"crypto/x509"
	"slices"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// Authorities is the section of the certificate authorities that identify other servers.
var Authorities = config.Define("certificate_authorities", AuthorityList{UseSystem: true},
	AuthorityList.check, config.In(config.System, 55))

// AuthorityList is the value of Authorities. An authority is trusted if it is in a list that is
// used.
type AuthorityList struct {
	UseSystem bool        `xml:"use_system_list"` // that comes with the appliance
	UseCustom bool        `xml:"use_custom_list"`
	Custom    []Authority `xml:"authority"`
}

// An Authority is one that an administrator has added.
type Authority struct {
	Certificate string `xml:"certificate"` // PEM
}

func (l AuthorityList) check(*config.Config) error {
	if len(l.Custom) > maxAuthorities {
		return refusal.Newf("There are %d certificate authorities. At most %d are possible.",
			len(l.Custom), maxAuthorities)
	}
	for _, a := range l.Custom {
		list, err := ParseAuthorities(a.Certificate)
		if err == nil && len(list) != 1 {
			err = refusal.New("Each certificate authority needs an element of its own.")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ParseAuthorities returns the authorities in a text of certificates in PEM. A certificate that may
// not sign others is refused.
func ParseAuthorities(text string) ([]*x509.Certificate, error) {
	chain, err := ParseChain(text)
	if err != nil {
		return nil, err
	}
	for _, c := range chain {
		if !c.IsCA {
			return nil, refusal.Newf("The certificate of %s is none of a certificate authority.",
				CommonName(c))
		}
	}
	return chain, nil
}

// Add returns l with further authorities in the custom list, which is then used. Those that it has
// already are skipped; n is the number of the others.
func (l AuthorityList) Add(authorities ...*x509.Certificate) (next AuthorityList, n int) {
	l.Custom = slices.Clone(l.Custom)
	for _, c := range authorities {
		a := Authority{Certificate: EncodeChain(c)}
		if !slices.Contains(l.Custom, a) {
			l.Custom = append(l.Custom, a)
			n++
		}
	}
	l.UseCustom = len(l.Custom) > 0
	return l, n
}

// Certificates returns the custom list.
func (l AuthorityList) Certificates() []*x509.Certificate {
	var out []*x509.Certificate
	for _, a := range l.Custom {
		if list, err := ParseAuthorities(a.Certificate); err == nil { // check has refused others
			out = append(out, list...)
		}
	}
	return out
}

// AddTo adds the trusted authorities of the custom list to a pool.
func (l AuthorityList) AddTo(pool *x509.CertPool) {
	if !l.UseCustom {
		return
	}
	for _, c := range l.Certificates() {
		pool.AddCert(c)
	}
}

// CommonName returns the name of a certificate's owner in lists.
func CommonName(c *x509.Certificate) string { return nameIn(c.Subject.CommonName, c.Subject.String()) }

// IssuerName returns the name of the authority that has signed a certificate.
func IssuerName(c *x509.Certificate) string { return nameIn(c.Issuer.CommonName, c.Issuer.String()) }

func nameIn(common, all string) string {
	if common != "" {
		return common
	}
	return all
}
