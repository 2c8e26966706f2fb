// Package mail is the appliance's SMTP client (RFC 5321), over the appliance's own
// network, and the internal SMTP system, which delivers the appliance's own letters
// with it.
//
// A Client knows what all connections have in common: network, name, time-outs, and
// the process that the socket table shows. It dials a Conn, whose methods are the
// steps of a conversation, in their order:
//
//	conn, err := client.Dial(ctx, mail.Route{Remote: netip.AddrPortFrom(addr, 25)})
//	defer conn.Close()
//	_, err = conn.Greeting(ctx)
//	_, err = conn.Hello(ctx)
//	_, err = conn.Mail(ctx, "from@example.com", mail.Params{})
//	_, err = conn.Rcpt(ctx, "to@example.com")
//	_, err = conn.Data(ctx)
//	_, err = conn.Body(ctx, message)
//	_, err = conn.Quit(ctx)
//
// Send is the middle of it in one call, for one message to several recipients.
//
// An Internal takes letters, one recipient each, and finds the way by itself:
//
//	err := internal.Submit(mail.Letter{From: from, To: to, Message: text}, done)
//
// It looks up the exchangers of the domain (or takes the domain for one), tries them by
// preference, each at all of its addresses, and tries again after waits that double
// from a minute to half an hour, for a day. A server that refuses sender, recipient or
// message for good ends that at once; one that sends everybody away does not. Each step
// is told in the mail log (logs.md 4.4). The resolver keeps answers for 30 minutes at
// least, unless it is configured otherwise, so there is no other cache here. Letters
// are in memory only: those that wait are given up when the appliance stops. TLS is not
// used.
//
// Every step returns the server's Reply, or an *Error that says at which step what
// was answered or what befell the connection. A step waits no longer than its entry
// in Timeouts, on the machine's clock as everything that depends on packets, and ends
// early, with the cause, when its context does. After an error that is no reply, a
// Conn is good for Close only.
//
// # Why not go-smtp's client
//
// It hides what this appliance has to show: the greeting and EHLO are one call,
// replies are kept back when they are good, there are two time-outs where RFC 5321
// 4.5.3.2 has eight, and no context ends a step. It falls back to HELO for two codes
// only, and keeps reading a reply without end. So the client is ours, on bufio and
// net/textproto's writer of dots; go-smtp's server is the other side in tests, which
// makes it the judge.
//
// # Locks
//
// A Conn is for one goroutine, a Client is never changed. Internal.mu guards its
// letters; nothing but the clock's AfterFunc is called with it held.
package mail
