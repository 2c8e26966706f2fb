package shell

import (
	"crypto"

	gossh "golang.org/x/crypto/ssh"
)

// Fingerprint returns the fingerprint of a host key, as clients and ssh-keygen -l show it. If SSH
// does not support the type of the key, it returns "".
func Fingerprint(key crypto.PublicKey) string {
	k, err := gossh.NewPublicKey(key)
	if err != nil {
		return ""
	}
	return gossh.FingerprintSHA256(k)
}
