// Package control lets programs in any language control the world of a running box: break and
// repair its network, stop its servers and read what they have received, set its clock, and ask
// whether the appliance is up. The server speaks HTTP with JSON, over a Unix socket or a port
// of the loopback interface.
//
//	server := control.New(box)
//	l, err := control.ListenUnix("/var/lib/esasim/ctl.sock")
//	server.Serve(l)
//	...
//	err = server.Stop(ctx)
//
//	client := control.Dial("unix", "/var/lib/esasim/ctl.sock")
//	fault, err := client.AddFault(ctx, topology.Rule{Action: "drop", Path: "google"})
//
// or
//
//	curl --unix-socket ctl.sock http://esasim/v1/faults --json '{"action": "drop", "path": "google"}'
//
// The README.md of this folder describes faults, servers and the clock for users.
//
// # Requests
//
// The folder openapi holds an OpenAPI 3.1 document in parts, which describes all requests. The
// server answers with it (/v1/openapi.yaml), shows it to people (/v1/docs) and lists its requests
// (/v1). Each file with requests about one thing has a method that returns their routes, and a part
// of the document in openapi/paths and openapi/schemas. Tests compare the routes with the document,
// and every request and answer of the other tests too.
//
// A body is JSON and must say so: Content-Type application/json. A request that fails is
// answered with a Problem and status 400 (the request makes no sense), 404 (there is no such
// thing), 405 (not with this method: see the header Allow), 409 (it contradicts what there is),
// 403 or 415 (see below), or 503 (the appliance is not up). While the appliance reboots, requests
// about peers and the clock wait for the end of the reboot. Faults can be changed at any time, and
// /v1/health is answered immediately, with 503.
//
// # Why the page is our own
//
// Swagger UI would add 5 MB to the program, and a script to a page that needs none. The parser of
// YAML is in the program anyway, for topologies.
//
// # What lasts
//
// Faults, stopped servers and the setting of the clock outlast a reboot; see package box. Only
// the setting of the clock outlasts the process. An appliance that queries NTP servers, such
// as that of topology lab, corrects its clock at the next query: to keep another time, stop
// the server, or clear ntpconfig.
//
// # Access
//
// Only the owner of the socket can connect to it (mode 0600). Every user of the machine can
// connect to a port; that is why there is no port by default, and why a port is on a loopback
// address. A port also refuses the requests that a browser sends for web pages. The Host must
// be a loopback address, which defeats DNS rebinding, and the Origin must be the same; and
// because the Content-Type must be that of JSON, browsers ask the server before they send a
// request from another site.
//
// The package opens real sockets, which otherwise only the network does: control of a
// simulation is not part of the simulation.
package control
