// Package resolver is the appliance's only DNS client.
//
// It asks the servers of section DNS over the appliance's own network, so that a
// capture holds every query, and keeps answers in a cache, so that it holds no
// query twice. It never uses net.Resolver, which would read this machine's hosts
// and resolv.conf.
//
// Servers are asked in order of priority. One that does not answer in time, or
// answers with a failure of its own, is left for the next; a name that does not
// exist is an answer. Truncated answers are asked for again over TCP.
//
// Where the settings say so, the Internet's root servers are asked instead, and from them
// downwards whoever is responsible, without any server's recursion (RFC 1034, section
// 5.3.3); the network that is simulated must have such servers. Alternate servers are
// asked, in either case, in place of all others for the names of their domains.
//
// Query is for commands that show what one server says; it has its own types, for those
// of the library stay in here.
//
// Names that do not exist are remembered too, for their zone's negative TTL, or for a
// minute where the server does not tell it.
//
// A server's time is measured on the machine's clock, as everything that depends on
// packets; how long answers are kept is measured on the appliance's.
package resolver
