// Package dhcp has the appliance's dhclient, which asks for the address of an interface by DHCP (RFC
// 2131, RFC 2132), and the messages and frames that it shares with the simulated server.
//
//	d := dhcp.New(dhcp.Options{Net: net, Clock: clock, Interfaces: ..., Apply: ...})
//	appliance.Add(d)      // a service: Start, Stop
//	d.SetActive(false)    // an administrator has configured the interfaces
//
// # Terms
//
//   - A lease is the permission of a server to use an address until a certain time, with what the
//     server says about the network: netmask, routers, name servers.
//   - T1 is the time of a lease at which the client asks its server for more time (renewing), and T2
//     the time at which it asks every server (rebinding).
//   - The fallback is the address that an interface gets if no server answers.
//   - A binding is the address that an interface has at present: that of a lease, or the fallback.
//
// # What is known of the real appliance
//
// A virtual appliance obtains the address of its Management interface by DHCP when it is first
// started; interfaceconfig shows that address; without a server it is 192.168.42.42; interfaceconfig
// and setgateway replace all that. These four are conventions: they are how administrators know the
// appliance, and no text of the vendor was at hand to compare them with. Nothing is known of the
// messages, of name servers, and of what happens to a lease at a shutdown. There this package does
// what dhclient of FreeBSD does, the system that the appliance is made of:
//
//   - The option host-name has the appliance's full host name, and the client identifier is the
//     Ethernet address. Replies are received as unicast: the broadcast flag is not set.
//   - A DISCOVER is repeated after 4, 8, 16 and 32 seconds, each plus or minus one second. After a
//     minute without an answer the fallback is used, and the client tries again every five minutes,
//     and as soon as an interface without carrier has one.
//   - After a restart the client asks for its last address. If there is no answer within ten
//     seconds and the lease has not expired, it goes on using it.
//   - If the carrier goes and comes back, however soon, the client asks in the same way whether its
//     address is right there, and goes on using it meanwhile. A server that refuses it is in another
//     network: the client then asks for any address.
//   - A lease is kept when the appliance is shut down, rebooted or configured by hand: there is no
//     RELEASE, so that the appliance gets the same address again.
//
// Going further than FreeBSD, the client probes an address by ARP before it uses it, as RFC 2131
// recommends, and declines one that another machine has.
//
// # Frames and time
//
// An interface without an address cannot have a socket, so messages are whole frames that are sent
// through network.FrameSender and received by a tap, as dhclient does with BPF. They are therefore
// in captures, are counted, and are subject to faults. Only a client that renews its lease sends by
// a UDP socket, which netstat shows, because the server is then reached by ARP and routes.
//
// All waits are measured on the appliance's clock, except for the answer to a probe by ARP, which
// depends on packets.
//
// # Why not a library
//
// github.com/insomniacslk/dhcp has no releases, and its message package alone brings in four further
// modules, a compressor among them, for about two hundred lines of encoding that this package needs.
// Its client owns real sockets.
//
// # Locks
//
// Daemon.applying is held while Options.Apply runs, so that bindings are applied one at a time; then
// Daemon.mu, a leaf. No lock is held while the daemon waits for a packet or a timer.
package dhcp
