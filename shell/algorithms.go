package shell

import (
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// Algorithms are the names of SSH algorithms, in order of preference.
type Algorithms struct {
	PublicKeys, Ciphers, MACs, KeyExchanges []string
}

// SSHAlgorithms returns the algorithms that the server offers to clients. None of them is known to
// be weak, and none uses SHA-1, which the library still considers secure in MACs.
func SSHAlgorithms() Algorithms {
	safe := gossh.SupportedAlgorithms()
	modern := func(names []string) []string {
		usesSHA1 := func(name string) bool { return strings.Contains(name, "sha1") }
		return slices.DeleteFunc(slices.Clone(names), usesSHA1)
	}
	return Algorithms{
		PublicKeys:   modern(safe.PublicKeyAuths),
		Ciphers:      modern(safe.Ciphers),
		MACs:         modern(safe.MACs),
		KeyExchanges: modern(safe.KeyExchanges),
	}
}
