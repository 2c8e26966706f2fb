package tlsconfig

import (
	"crypto/x509"
	"errors"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/esasim/esasim/appliance/refusal"
)

// maxPKCS12 bounds the size of a file that is imported.
const maxPKCS12 = 1 << 20

// ParsePKCS12 returns the certificate in a PKCS #12 file.
func ParsePKCS12(name string, data []byte, passphrase string) (Certificate, error) {
	if len(data) > maxPKCS12 {
		return Certificate{}, refusal.Newf("The file is too large: at most %d bytes are imported.",
			maxPKCS12)
	}
	key, leaf, more, err := pkcs12.DecodeChain(data, passphrase)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return Certificate{}, refusal.New("The passphrase is wrong.")
	case err != nil:
		return Certificate{}, refusal.Because(err,
			"The file is not in PKCS #12 format with one certificate and its private key.")
	}
	private, err := EncodeKey(key)
	if err != nil {
		return Certificate{}, err
	}
	c := Certificate{
		Name: name, Chain: EncodeChain(append([]*x509.Certificate{leaf}, more...)...), Key: private,
	}
	_, err = c.Pair()
	return c, err
}

// PKCS12 returns the certificate as a PKCS #12 file.
func (c Certificate) PKCS12(passphrase string) ([]byte, error) {
	pair, err := c.Pair()
	if err != nil {
		return nil, err
	}
	chain, err := ParseChain(c.Chain)
	if err != nil {
		return nil, err
	}
	return pkcs12.Modern.Encode(pair.PrivateKey, chain[0], chain[1:], passphrase)
}
