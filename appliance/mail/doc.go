// Package mail has the appliance's SMTP client (RFC 5321), over the appliance's own network, and
// makes the text of its own messages.
//
// # Terms
//
//   - A step is one part of an SMTP conversation: a command and its reply, or connecting, the
//     greeting and the message body, which have no command of their own.
//   - A refusal of a server is a reply with a 4xx or 5xx code. It is an *Error here, not a
//     refusal.Error.
//
// # The client
//
// A Client holds what all connections have in common: network, host name, time-outs, and the
// process that the socket table shows. It dials a Conn, whose methods are the steps of a
// conversation, in their order:
//
//	conn, err := client.Dial(ctx, mail.Route{Remote: netip.AddrPortFrom(addr, 25)})
//	defer conn.Close()
//	_, err = conn.Greeting(ctx)
//	_, err = conn.Hello(ctx)
//	_, err = conn.Mail(ctx, "from@example.com", mail.MailParams{})
//	_, err = conn.Rcpt(ctx, "to@example.com")
//	_, err = conn.Data(ctx)
//	_, err = conn.Body(ctx, message)
//	_, err = conn.Quit(ctx)
//
// Every step returns the server's Reply, or an *Error that says which step failed and how: by a
// reply, or by an error of the connection. A step waits no longer than its entry in Timeouts,
// which is measured on the machine's clock as everything that depends on packets. If its context
// ends, the step returns early with the context's cause. After an error that is not a reply, only
// Close may be called.
//
// # Why not go-smtp's client
//
// It hides what this appliance has to show: the greeting and EHLO are one call, positive replies
// are not returned, there are two time-outs instead of the eight of RFC 5321 4.5.3.2, and no
// context ends a step. It falls back to HELO for two codes only, and reads a reply without limit.
// So the client is written here, on bufio and net/textproto's dot writer. In tests go-smtp's
// server is the other side, which checks the client independently.
//
// # Locks
//
// There are none. A Conn must be used by one goroutine at a time; a Client is never changed.
package mail
