// Package resolver is the appliance's DNS client.
//
// It queries the servers of section DNS over the appliance's own network, so that a capture
// contains every query, and caches the answers, so that no query is sent twice. It never uses
// net.Resolver, which would read this machine's hosts file and resolv.conf.
//
// # Terms
//
//   - A question is a name and a type; the cache is indexed by questions.
//   - A query is a question and how it is put to a server.
//   - A look-up answers a question from the cache or by queries.
//   - A zone cut is the place where a zone begins, with the addresses of its servers.
//
// # Look-ups
//
// Servers are queried in order of priority. If one does not answer in time, or answers with a
// failure of its own, the next one is queried. That a name does not exist is an answer. Truncated
// answers are fetched again over TCP.
//
// If the settings say so, the Internet's root servers are queried instead, and the resolver
// follows their referrals down to the servers that are responsible (RFC 1034, section 5.3.3); the
// simulated network must have such servers. Alternate servers are queried, in either case, instead
// of all others for the names in their domains.
//
// Names that do not exist are cached too, for their zone's negative TTL, or for a minute if the
// server does not tell it.
//
// Query is for commands that show what one server answers. Its types are this package's own: those
// of the DNS library are not exported.
//
// # Time
//
// The time that a server takes is measured on the machine's clock, as everything that depends on
// packets. The time that an answer is cached is measured on the appliance's.
package resolver
