package shell

import (
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// Algorithms are names of SSH's algorithms, in the order of preference.
type Algorithms struct {
	PublicKeys, Ciphers, MACs, KeyExchanges []string
}

// SSHAlgorithms is what the server offers to clients: nothing that is known to be
// weak, and nothing with SHA-1, which the library still counts as safe in MACs.
func SSHAlgorithms() Algorithms {
	safe := gossh.SupportedAlgorithms()
	modern := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.Contains(n, "sha1") })
	}
	return Algorithms{modern(safe.PublicKeyAuths), modern(safe.Ciphers), modern(safe.MACs), modern(safe.KeyExchanges)}
}
