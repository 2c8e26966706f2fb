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

// kept is the attribute of a passphrase that a file leaves out, because it was made for somebody who
// may not see it.
var kept = attr{"kept", "true"}

// omitSecrets leaves out the passphrases in n, which s describes.
func (s *schema) omitSecrets(n *node) {
	if s.secret != "" && n.Text != "" {
		n.Text, n.Attrs = "", []attr{kept}
	}
	for _, c := range n.Children {
		if cs := s.child(c.Name); cs != nil {
			cs.omitSecrets(c)
		}
	}
}

// keepSecrets undoes omitSecrets: the passphrases are those of base, in which elements of a list are
// found by their keys. base may be nil. An element that differs from that of base in anything else
// is refused: otherwise an operator could have an unknown passphrase sent to a server of
// his own.
func (s *schema) keepSecrets(n, base *node) error {
	for _, c := range n.Children {
		cs := s.child(c.Name)
		if cs == nil {
			continue
		}
		var was *node
		for _, x := range base.all(c.Name) {
			if !cs.repeated || cs.key(x) == cs.key(c) {
				was = x
				break
			}
		}
		if cs.secret == "" || len(c.Attrs) != 1 || c.Attrs[0] != kept {
			if err := cs.keepSecrets(c, was); err != nil {
				return err
			}
			continue
		}
		if was == nil || was.Text == "" || !s.sameBesidesSecrets(n, base) {
			return xmlErrorf(c, "the passphrase in <%s> is not in the file, and it cannot be kept, "+
				"because <%s> has changed", c.Name, n.Name)
		}
		c.Text, c.Attrs = was.Text, nil
	}
	return nil
}

// sameBesidesSecrets reports whether the values of n besides passphrases are those of base. A value
// that n lacks is that of base, unless it is optional.
func (s *schema) sameBesidesSecrets(n, base *node) bool {
	for _, cs := range s.children {
		is, was := n.child(cs.name), base.child(cs.name)
		switch {
		case cs.secret != "" || cs.repeated:
		case is == nil && (was == nil || !cs.optional):
		case is == nil || was == nil || !was.equal(is):
			return false
		}
	}
	return true
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
