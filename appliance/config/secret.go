package config

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// mask replaces a passphrase that is not shown.
const mask = "*****"

// hideSecrets masks or encrypts the passphrases in n, which s describes.
func (s *schema) hideSecrets(n *node, p Passphrases) {
	switch {
	case s.secret == "" || n.Text == "" || p == Plain:
	case p == Masked:
		n.Text = mask
	case s.secret == "text":
		n.Text = encrypt(n.Text)
		n.Attrs = append(n.Attrs, attr{"encrypted", "true"})
	}
	for _, c := range n.Children {
		if cs := s.child(c.Name); cs != nil {
			cs.hideSecrets(c, p)
		}
	}
}

// revealSecrets undoes hideSecrets. It refuses masked passphrases.
func (s *schema) revealSecrets(n *node) error {
	if s.secret != "" && n.Text == mask {
		return xmlErrorf(n, "the passphrase in <%s> is masked; "+
			"a file with masked passphrases cannot be loaded", n.Name)
	}
	if s.secret == "text" && len(n.Attrs) == 1 && n.Attrs[0] == (attr{"encrypted", "true"}) {
		plain, ok := decrypt(n.Text)
		if !ok {
			return xmlErrorf(n, "the passphrase in <%s> cannot be decrypted", n.Name)
		}
		n.Text, n.Attrs = plain, nil
	}
	for _, c := range n.Children {
		if cs := s.child(c.Name); cs != nil {
			if err := cs.revealSecrets(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// sharedKey is the same in every appliance; Encrypted says what it protects from.
var sharedKey = sha256.Sum256([]byte("esasim configuration file"))

func gcm() cipher.AEAD {
	block, err := aes.NewCipher(sharedKey[:])
	if err != nil {
		panic(err) // the key has the right length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// encrypt encrypts s. The nonce is derived from s, so that an unchanged configuration always gives
// the same file.
func encrypt(s string) string {
	aead := gcm()
	h := hmac.New(sha256.New, sharedKey[:])
	h.Write([]byte(s))
	nonce := h.Sum(nil)[:aead.NonceSize()]
	return base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, []byte(s), nil))
}

// decrypt undoes encrypt; ok reports whether s is undamaged.
func decrypt(s string) (text string, ok bool) {
	aead := gcm()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) < aead.NonceSize() {
		return "", false
	}
	plain, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], nil)
	return string(plain), err == nil
}
