// Package maillog makes the lines of the mail log, the bounce log and the delivery log from the events
// of mail.
//
// # How it is used
//
// A Writer subscribes to the appliance's event stream:
//
//	w := maillog.New(maillog.Options{Version: version, Settings: settings, Write: hub.Write})
//	cancel := stream.Subscribe(w.Handle)
//
// The forms of the lines are those of mail.md sections 1, 2.1 and 2.2. They differ between versions of
// the product (mail.md 1.9): each difference is a condition beside the line that it is about. Where
// no public sample exists, the line follows the style of its neighbors; comments say so.
//
// Text that comes from outside (a subject, a reply of a server, a header field) is written as
// Python writes it, as the real appliance does: see quote.
//
// A Recorder writes the lines of domain debug logs and injection debug logs (mail.md 2.3). The mail
// system asks it about each connection whether a log records it, and publishes what is said over such
// connections only. A domain debug log has the commands and the replies, without the messages; an
// injection debug log has all bytes. Nobody says what SMTP Conversation Logs contain, so nothing
// writes to them.
//
// A Writer holds no state and takes no locks: what it writes depends on the event, the version and
// the settings alone. Recorder.mu is a leaf. Write must not block.
package maillog
