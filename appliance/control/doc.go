// Package control lets programs in any language change the world of a running box: break
// its network and repair it, stop its servers and read what they have received, set its
// clock. It speaks HTTP with JSON, over a Unix socket or a port of the loopback interface.
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
// # Requests
//
//	GET    /v1/health          a Health while the appliance is up and its services listen
//	GET    /v1/faults          the faults, as netsim.Fault, in the order in which they are asked
//	POST   /v1/faults          set one: a topology.Rule; the answer is the fault, with its id (201)
//	DELETE /v1/faults          remove all, the topology's too (204)
//	GET    /v1/faults/ID       one fault, with its counts
//	DELETE /v1/faults/ID       remove it (204)
//	GET    /v1/peers           the simulated servers, as netsim.Server, with what they report
//	GET    /v1/peers/NAME      one of them; NAME may have slashes
//	PUT    /v1/peers/NAME      {"running": false} stops it, {"running": true} starts it
//	GET    /v1/clock           the appliance's time, a Clock
//	PUT    /v1/clock           {"time": "2015-06-25T08:50:03Z"} sets it, {"advance": "2h"} sets it on
//
// A body is JSON and says so: Content-Type application/json. What fails is answered by
// {"error": "a sentence"} with 400 (the request makes no sense), 404 (there is no such
// thing), 403 and 415 (see below), or 503 (the appliance is not up). While the
// appliance reboots, requests about peers and the clock wait; faults can be set at any
// time, and /v1/health is answered at once, with 503.
//
// # What lasts
//
// Faults, stopped servers and the clock's setting outlast a reboot; see package box. Nothing
// but the clock outlasts the process. An appliance that asks NTP servers, as that of
// topology lab does, believes them again when it next asks: stop the server, or clear
// ntpconfig, to keep another time.
//
// # Who may
//
// The socket is for its owner only (mode 0600). A port is open to every user of this
// machine, which is why there is none unless asked for, and never one that others can
// reach. Against web pages in a browser of this machine a port demands a Host that
// is a loopback address, which defeats DNS rebinding, and no other site's Origin; the
// Content-Type makes browsers ask first.
//
// The package opens real sockets, which otherwise only the network itself does: what
// controls a simulation is not part of it.
package control
