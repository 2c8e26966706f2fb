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
//	GET    /v1/health          a Health if the appliance is up and its services listen
//	GET    /v1/faults          the faults, as netsim.Fault, in the order of evaluation
//	POST   /v1/faults          add one: a topology.Rule; the answer is the fault with its id (201)
//	DELETE /v1/faults          remove all, including those of the topology (204)
//	GET    /v1/faults/ID       one fault, with its counts
//	DELETE /v1/faults/ID       remove it (204)
//	GET    /v1/peers           the simulated servers, as netsim.Server, with their reports
//	GET    /v1/peers/NAME      one of them; NAME may contain slashes
//	PUT    /v1/peers/NAME      {"running": false} stops it, {"running": true} starts it
//	GET    /v1/mail            the names of the mail servers
//	GET    /v1/mail/SERVER/messages  the mail that a mail server has received, a box.Mailbox;
//	                           a slash in its name is written as %2F
//	GET    /v1/clock           the appliance's clock, a Clock
//	PUT    /v1/clock           {"time": "2015-06-25T08:50:03Z"} sets it,
//	                           {"advance": "2h"} sets it forward
//	GET    /v1/guard           the addresses with failed logins, as GuardAddress, blocked ones first
//	DELETE /v1/guard           forget them all (204)
//	DELETE /v1/guard/ADDR      forget the failed logins of an address, which unblocks it (204)
//
// A body is JSON and must say so: Content-Type application/json. A request that fails is
// answered with {"error": "one line"} and status 400 (the request makes no sense), 404 (there
// is no such thing), 403 or 415 (see below), or 503 (the appliance is not up). While the
// appliance reboots, requests about peers and the clock wait for the end of the reboot.
// Faults can be changed at any time, and /v1/health is answered immediately, with 503.
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
