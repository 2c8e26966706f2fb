package shell

import gossh "golang.org/x/crypto/ssh"

// Algorithms are names of SSH's algorithms, in the order of preference.
type Algorithms struct {
	PublicKeys, Ciphers, MACs, KeyExchanges []string
}

// SSHAlgorithms is what the server offers to clients: nothing that is known to be
// weak.
func SSHAlgorithms() Algorithms {
	safe := gossh.SupportedAlgorithms()
	return Algorithms{safe.PublicKeyAuths, safe.Ciphers, safe.MACs, safe.KeyExchanges}
}
