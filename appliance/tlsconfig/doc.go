// Package tlsconfig is the TLS of the appliance as configuration: its certificates, the certificate
// authorities that it trusts, and the protocols and ciphers that it uses.
//
// # Terms
//
//   - A certificate profile, or certificate, has a name under which other parts of the configuration
//     use it: a listener, deliveries, the HTTPS service of an IP interface. Demo is the one that
//     every appliance has.
//   - A use is one of those that sslconfig distinguishes: GUI HTTPS, inbound SMTP, outbound SMTP.
//   - A method says which protocols a use has, in the words of sslconfig: "tlsv1_1tlsv1_2".
//   - The system list holds the authorities that come with the appliance, the custom list those that
//     an administrator has added.
//
// # How it is used
//
// The sections Certificates, Authorities and SSL hold the settings of certconfig and sslconfig.
// Servers and clients of TLS ask a Store for a configuration at each connection, so that a commit
// takes effect with the next handshake:
//
//	store := tlsconfig.NewStore(tlsconfig.Options{...})
//	config, err := store.Server(tlsconfig.Inbound, listener.Certificate)
//	config, err := store.Client(destinations.Certificate)
//
// A client verifies the certificate of a server with VerifyChain and MatchName, after the handshake:
// a handshake that fails on the appliance's side would not tell the certificate's owner from that of
// a failed negotiation, and some deliveries go on although the certificate is not verified.
//
// # Decisions
//
// Demo is made when it is first needed, in the name of the appliance, and kept in a file outside the
// configuration. Its key is one of an elliptic curve, because a machine makes that in microseconds,
// while an RSA key takes most of a second. So a client needs a cipher with ECDSA. For
// clients without one, an administrator makes a certificate with an RSA key with certconfig.
//
// Ciphers are selected by strings in OpenSSL's form. The program has what crypto/tls has. A string
// that adds a cipher or a group which it lacks is refused by name. The strings of new appliances
// name some of these and are accepted as they are: what the program lacks of them is not offered.
// The order of ciphers is that of crypto/tls, which does not depend on the string. The ciphers of
// TLS 1.3 cannot be chosen, as in the real appliance.
//
// SSL 2.0 and 3.0 do not exist in crypto/tls, so they are refused, too. The methods of versions
// before 12 are read as OpenSSL's flexible ones: they mean the protocols that they name and the
// newer ones up to TLS 1.2. "TLS v1" became "TLS v1/TLS v1.2" when the real appliance got a library
// with TLS 1.2, so its name says no more than what that library had.
//
// The reasons in VerifyError are OpenSSL's texts, which the real appliance shows.
//
// Files in PKCS #12 format are read and written by software.sslmate.com/src/go-pkcs12: they come
// with ciphers of three decades, which that library knows.
//
// # Locks
//
// Store.mu is held while a configuration is made, and is a leaf, except that Options.Demo is called
// with it held.
package tlsconfig
