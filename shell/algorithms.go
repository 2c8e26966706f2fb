package shell

import (
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// Algorithms are the names of SSH algorithms, in order of preference.
type Algorithms struct {
	PublicKeys   []string `xml:"public_key_authentication_algorithms>algorithm"`
	Ciphers      []string `xml:"cipher_algorithms>algorithm"`
	MACs         []string `xml:"mac_methods>algorithm"`
	KeyExchanges []string `xml:"kex_algorithms>algorithm"`
}

// Settings is the section of the configuration that says which algorithms the SSH server offers.
// An empty list means the default of the appliance's version.
var Settings = config.Define("ssh_server", Algorithms{}, Algorithms.check,
	config.In(config.Access, 40))

// MinServerKeySize is the size of the smallest host key with a variable size, in bits.
const MinServerKeySize = rsaBits

// An AlgorithmKind is one of the lists of Algorithms.
type AlgorithmKind int

// The kinds, in the order in which the appliance lists them.
const (
	PublicKeyAlgorithms AlgorithmKind = iota
	CipherAlgorithms
	MACMethods
	KEXAlgorithms
)

// Of returns the list of a kind. The caller may assign to it.
func (a *Algorithms) Of(kind AlgorithmKind) *[]string {
	return [...]*[]string{&a.PublicKeys, &a.Ciphers, &a.MACs, &a.KeyExchanges}[kind]
}

// kinds returns all kinds.
func kinds() []AlgorithmKind {
	return []AlgorithmKind{PublicKeyAlgorithms, CipherAlgorithms, MACMethods, KEXAlgorithms}
}

// check refuses algorithms that the server does not have.
func (a Algorithms) check(*config.Config) error {
	for _, kind := range kinds() {
		if err := CheckAlgorithms(kind, *a.Of(kind)); err != nil {
			return err
		}
	}
	return nil
}

// CheckAlgorithms returns a refusal that names the first algorithm that the server does not have,
// or that is there twice.
func CheckAlgorithms(kind AlgorithmKind, names []string) error {
	all := SupportedAlgorithms()
	for i, name := range names {
		switch {
		case !slices.Contains(*all.Of(kind), name):
			return refusal.Newf("The SSH server does not support %q. It supports %s.",
				name, strings.Join(*all.Of(kind), ", "))
		case slices.Contains(names[:i], name):
			return refusal.Newf("The algorithm %s is listed twice.", name)
		}
	}
	return nil
}

// SupportedAlgorithms returns all algorithms that the server has, with those that are known to be
// weak at the end.
func SupportedAlgorithms() Algorithms {
	return joinAlgorithms(strongAlgorithms(), weakAlgorithms())
}

// DefaultAlgorithms returns the algorithms that an appliance of the given version offers unless it
// is configured otherwise. Version 14 and later offer none that is known to be weak. Older versions
// also offer SHA-1 and ciphers in CBC mode, which their clients may need.
func DefaultAlgorithms(v product.Version) Algorithms {
	if !v.Before(product.Version{Major: 14}) {
		return strongAlgorithms()
	}
	old := weakAlgorithms()
	for _, kind := range kinds() {
		list := old.Of(kind)
		*list = slices.DeleteFunc(*list, func(name string) bool {
			return name == "ssh-dss" || strings.HasPrefix(name, "arcfour")
		})
	}
	return joinAlgorithms(strongAlgorithms(), old)
}

// Offered returns the algorithms that an appliance of the given version offers with the settings a.
func (a Algorithms) Offered(v product.Version) Algorithms {
	offered := DefaultAlgorithms(v)
	for _, kind := range kinds() {
		if list := *a.Of(kind); len(list) > 0 {
			*offered.Of(kind) = list
		}
	}
	return offered
}

// strongAlgorithms returns the algorithms that are not known to be weak. None uses SHA-1, which the
// library still considers secure in MACs.
func strongAlgorithms() Algorithms {
	a := fromLibrary(gossh.SupportedAlgorithms())
	for _, kind := range kinds() {
		*a.Of(kind) = slices.DeleteFunc(*a.Of(kind), usesSHA1)
	}
	return a
}

func weakAlgorithms() Algorithms {
	secure := fromLibrary(gossh.SupportedAlgorithms())
	for _, kind := range kinds() {
		isStrong := func(name string) bool { return !usesSHA1(name) }
		*secure.Of(kind) = slices.DeleteFunc(*secure.Of(kind), isStrong)
	}
	return joinAlgorithms(secure, fromLibrary(gossh.InsecureAlgorithms()))
}

func usesSHA1(name string) bool { return strings.Contains(name, "sha1") }

func fromLibrary(a gossh.Algorithms) Algorithms {
	return Algorithms{
		PublicKeys: a.PublicKeyAuths, Ciphers: a.Ciphers, MACs: a.MACs, KeyExchanges: a.KeyExchanges,
	}
}

func joinAlgorithms(a, b Algorithms) Algorithms {
	var joined Algorithms
	for _, kind := range kinds() {
		*joined.Of(kind) = slices.Concat(*a.Of(kind), *b.Of(kind))
	}
	return joined
}
