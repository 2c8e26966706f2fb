package shell

import (
	"crypto"

	gossh "golang.org/x/crypto/ssh"
)

// Fingerprint is a host key's, as clients and ssh-keygen -l show it; "" for a key of
// a kind that SSH does not know.
func Fingerprint(key crypto.PublicKey) string {
	k, err := gossh.NewPublicKey(key)
	if err != nil {
		return ""
	}
	return gossh.FingerprintSHA256(k)
}
