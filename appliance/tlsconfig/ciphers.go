package tlsconfig

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// A Cipher is a cipher suite of TLS 1.2 and before, in OpenSSL's words.
type Cipher struct {
	ID       uint16
	Name     string
	Protocol string // the first version with it: "SSLv3", "TLSv1.2"
	Exchange string // of keys: "ECDH", "RSA"
	Auth     string // "RSA", "ECDSA"
	Encrypt  string // such as "AES(128)"
	MAC      string // such as "SHA1", "AEAD"
	bits     int
}

// String returns the line that the command "openssl ciphers -v" prints.
func (c Cipher) String() string {
	return fmt.Sprintf("%-23s %s Kx=%-8s Au=%-4s Enc=%-9s Mac=%-4s",
		c.Name, c.Protocol, c.Exchange, c.Auth, c.Encrypt, c.MAC)
}

// ciphers returns the suites that the program can negotiate, in OpenSSL's order.
func ciphers() []Cipher {
	const (
		ssl, tls12           = "SSLv3", "TLSv1.2"
		gcm256, gcm128       = "AESGCM(256)", "AESGCM(128)"
		aes256, aes128, ccha = "AES(256)", "AES(128)", "CHACHA20/POLY1305(256)"
		des3, rc4            = "3DES(168)", "RC4(128)"
	)
	return []Cipher{
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", tls12,
			"ECDH", "ECDSA", gcm256, "AEAD", 256},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", tls12,
			"ECDH", "RSA", gcm256, "AEAD", 256},
		{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", tls12,
			"ECDH", "ECDSA", ccha, "AEAD", 256},
		{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", tls12,
			"ECDH", "RSA", ccha, "AEAD", 256},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", tls12,
			"ECDH", "ECDSA", gcm128, "AEAD", 128},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", tls12,
			"ECDH", "RSA", gcm128, "AEAD", 128},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", tls12,
			"ECDH", "ECDSA", aes128, "SHA256", 128},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", tls12,
			"ECDH", "RSA", aes128, "SHA256", 128},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", ssl,
			"ECDH", "ECDSA", aes256, "SHA1", 256},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", ssl,
			"ECDH", "RSA", aes256, "SHA1", 256},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", ssl,
			"ECDH", "ECDSA", aes128, "SHA1", 128},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", ssl,
			"ECDH", "RSA", aes128, "SHA1", 128},
		{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", tls12,
			"RSA", "RSA", gcm256, "AEAD", 256},
		{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", tls12,
			"RSA", "RSA", gcm128, "AEAD", 128},
		{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", tls12,
			"RSA", "RSA", aes128, "SHA256", 128},
		{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", ssl, "RSA", "RSA", aes256, "SHA1", 256},
		{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", ssl, "RSA", "RSA", aes128, "SHA1", 128},
		{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, "ECDHE-RSA-DES-CBC3-SHA", ssl,
			"ECDH", "RSA", des3, "SHA1", 168},
		{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "DES-CBC3-SHA", ssl, "RSA", "RSA", des3, "SHA1", 168},
		{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, "ECDHE-ECDSA-RC4-SHA", ssl,
			"ECDH", "ECDSA", rc4, "SHA1", 128},
		{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, "ECDHE-RSA-RC4-SHA", ssl, "ECDH", "RSA", rc4, "SHA1", 128},
		{tls.TLS_RSA_WITH_RC4_128_SHA, "RC4-SHA", ssl, "RSA", "RSA", rc4, "SHA1", 128},
	}
}

// CipherName returns OpenSSL's name of a cipher suite, which the real appliance shows. One without
// a name there has that of the standard.
func CipherName(suite uint16) string {
	for _, c := range ciphers() {
		if c.ID == suite {
			return c.Name
		}
	}
	return tls.CipherSuiteName(suite)
}

// ProtocolName returns OpenSSL's name of a version of TLS, such as "TLSv1.2".
func ProtocolName(version uint16) string {
	switch version {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return "unknown"
}

// groups returns OpenSSL's words for several ciphers, with a function that says which have it. A
// function that returns false for every cipher that the program has is for one that only OpenSSL
// has: such a word may exclude ciphers, but not add them.
func groups() map[string]func(Cipher) bool {
	exchange := func(s string) func(Cipher) bool { return func(c Cipher) bool { return c.Exchange == s } }
	auth := func(s string) func(Cipher) bool { return func(c Cipher) bool { return c.Auth == s } }
	mac := func(s string) func(Cipher) bool { return func(c Cipher) bool { return c.MAC == s } }
	encrypt := func(s string) func(Cipher) bool {
		return func(c Cipher) bool { return strings.HasPrefix(c.Encrypt, s) }
	}
	protocol := func(s string) func(Cipher) bool { return func(c Cipher) bool { return c.Protocol == s } }
	all := func(Cipher) bool { return true }
	weak := func(c Cipher) bool { return strings.HasPrefix(c.Encrypt, "RC4") }
	m := map[string]func(Cipher) bool{
		"ALL": all, "DEFAULT": func(c Cipher) bool { return !weak(c) },
		"HIGH": func(c Cipher) bool { return !weak(c) }, "MEDIUM": weak,
		"RSA": exchange("RSA"), "kRSA": exchange("RSA"), "aRSA": auth("RSA"),
		"ECDSA": auth("ECDSA"), "aECDSA": auth("ECDSA"),
		"ECDH": exchange("ECDH"), "ECDHE": exchange("ECDH"), "EECDH": exchange("ECDH"),
		"kECDHE": exchange("ECDH"), "kEECDH": exchange("ECDH"),
		"TLSv1.2": protocol("TLSv1.2"), "TLSv1": protocol("SSLv3"), "TLSv1.0": protocol("SSLv3"),
		"SSLv3": protocol("SSLv3"),
		"AES":   encrypt("AES"), "AESGCM": encrypt("AESGCM"), "CHACHA20": encrypt("CHACHA20"),
		"AES128": func(c Cipher) bool { return encrypt("AES")(c) && c.bits == 128 },
		"AES256": func(c Cipher) bool { return encrypt("AES")(c) && c.bits == 256 },
		"3DES":   encrypt("3DES"), "RC4": encrypt("RC4"),
		"SHA": mac("SHA1"), "SHA1": mac("SHA1"), "SHA256": mac("SHA256"),
	}
	for word := range strings.FieldsSeq("COMPLEMENTOFALL COMPLEMENTOFDEFAULT LOW EXP EXPORT EXPORT40 " +
		"EXPORT56 NULL eNULL aNULL SSLv2 kDHr kDHd kDH kDHE kEDH DH DHE EDH ADH AECDH aDH aDSS DSS " +
		"kECDH kECDHr kECDHe aECDH AESCCM AESCCM8 CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIA128 " +
		"ARIA256 ARIAGCM DES RC2 IDEA SEED MD5 SHA384 PSK kPSK kDHEPSK kECDHEPSK kRSAPSK aPSK SRP " +
		"kSRP aSRP KRB5 GOST GOST94 GOST89MAC aGOST aGOST01 kGOST FZA") {
		m[word] = func(Cipher) bool { return false }
	}
	return m
}

// ParseCiphers returns the ciphers that a string in OpenSSL's form selects (openssl-ciphers(1)):
// words that are separated by colons, commas or blanks, each a cipher or one or more groups that are
// joined by +, and after !, - or + a word that excludes ciphers or moves them to the end. A word
// that adds ciphers must add at least one that the program has: what it lacks is refused by name.
func ParseCiphers(s string) ([]Cipher, error) { return parseCiphers(s, false) }

// parseCiphers is ParseCiphers. If lacking is true, a word that adds nothing is skipped instead of
// refused.
func parseCiphers(s string, lacking bool) ([]Cipher, error) {
	separator := func(r rune) bool { return r == ':' || r == ',' || r == ' ' || r == ';' }
	var list []Cipher
	gone := map[uint16]bool{} // by !, for ever
	for _, word := range strings.FieldsFunc(s, separator) {
		if word == "@STRENGTH" {
			slices.SortStableFunc(list, func(a, b Cipher) int { return b.bits - a.bits })
			continue
		}
		operator, name := "", word
		if strings.ContainsRune("!-+", rune(word[0])) {
			operator, name = word[:1], word[1:]
		}
		has, err := matcher(name)
		if err != nil {
			if lacking {
				continue
			}
			return nil, err
		}
		switch operator {
		case "":
			found := slices.DeleteFunc(ciphers(), func(c Cipher) bool { return !has(c) })
			if len(found) == 0 && !lacking {
				return nil, refusal.Newf("No cipher that is simulated matches %q.", name)
			}
			for _, c := range found {
				if !gone[c.ID] && !slices.Contains(list, c) {
					list = append(list, c)
				}
			}
		case "+":
			moved := slices.DeleteFunc(slices.Clone(list), func(c Cipher) bool { return !has(c) })
			list = append(slices.DeleteFunc(list, has), moved...)
		default:
			list = slices.DeleteFunc(list, has)
			for _, c := range ciphers() {
				gone[c.ID] = gone[c.ID] || operator == "!" && has(c)
			}
		}
	}
	if len(list) == 0 {
		return nil, refusal.New("The value selects no cipher: expected a list such as HIGH:!aNULL.")
	}
	return list, nil
}

// matcher returns a function that reports whether a cipher has the name, or is in all groups of a
// word such as EECDH+AESGCM.
func matcher(word string) (func(Cipher) bool, error) {
	known := groups()
	var all []func(Cipher) bool
	for name := range strings.SplitSeq(word, "+") {
		has := known[name]
		if n := slices.IndexFunc(ciphers(), func(c Cipher) bool { return c.Name == name }); n >= 0 {
			has = func(c Cipher) bool { return c.Name == name }
		}
		if has == nil {
			return nil, refusal.Newf("%q is no cipher and no group of ciphers that is simulated.", name)
		}
		all = append(all, has)
	}
	return func(c Cipher) bool {
		for _, has := range all {
			if !has(c) {
				return false
			}
		}
		return true
	}, nil
}
