// Package bench is the test bench: a page on which a person sees the simulated world of a box and
// changes it. It belongs to the simulator. The appliance's own page is package web, and never shows
// that the appliance is simulated.
//
//	l, err := bench.Listen(netip.MustParseAddrPort("127.0.0.1:8090"), false)
//	s := bench.New(bench.Options{Box: b, Token: bench.NewToken(), Addr: l.Addr()})
//	s.Serve(l)
//	fmt.Println(s.URL()) // with the token
//	...
//	err = s.Stop(ctx)
//
// # Terms
//
//   - place: a part of the network that can be broken (box.Place): an interface of the appliance, a
//     path, a host.
//   - picture: the network, drawn as SVG (layout.go).
//   - stream: an answer that goes on, as server-sent events. Each event replaces a part of a page
//     or adds to it.
//   - recording: packets at a place, kept in memory while the simulator runs (tape.go).
//
// # Purpose
//
// The page only translates. Whatever it shows or does is a method of package box, so that the
// control API, Go tests and this page cannot disagree.
//
// # Access
//
// Whoever may use the page may do everything, and read what the appliance's console shows. Every
// request therefore needs a token, on loopback addresses too, because all users of the machine can
// connect to those. The address that is printed at the start has the token. The first request
// exchanges it for a cookie (HttpOnly, SameSite=Strict) and is answered with a redirect to the
// address without the token, so that the token stays out of the history and of headers.
//
// The cookie is computed from the token: it stays valid as long as the token does, and the server
// stores nothing. Listen refuses addresses that other machines can connect to, unless the user has
// chosen the token: it then is the only thing that protects the appliance, and the page has no TLS
// of its own.
//
// A listener on a loopback address refuses other names in the header Host, which defeats DNS
// rebinding. Elsewhere the cookie, which browsers send to its host only, does that. Requests that
// change something need a second value, which only pages of this server contain, and are refused if
// the browser says that they come from another site. WebSockets check the Origin.
//
// # Pages
//
// Pages are rendered by the server and work without scripts, except for streams and the terminal.
// Scripts are files of this package: the Content-Security-Policy permits no others and no inline
// styles.
//
// # Bounds
//
// At most maxStreams streams and maxTerminals terminals are open, and maxTapes recordings kept,
// each with up to maxTapeBytes; another one is refused. A stream that is too slow misses events and
// says so. A recording that is full ends.
//
// # Locks
//
// Server.mu is held while a watch of packets begins. tape.mu is a leaf.
//
// The package opens real sockets, which otherwise only the network does: the bench is not part of
// the simulation.
package bench
