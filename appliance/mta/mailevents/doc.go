// Package mailevents has the types of the events of mail: what happens to connections, messages
// and recipients, from a client's connection to the last delivery or bounce.
//
// # Terms
//
// The identifiers are counters of the whole appliance, which survive a restart (mail.md 1.1):
//
//   - ICID: a connection from a client (injection connection). 0: the appliance itself.
//   - MID: a message.
//   - RID: a recipient of a message, from 0.
//   - DCID: a connection to a mail server (delivery connection). 0: none was opened.
//
// # How it is used
//
// The packages that handle mail publish these values in an events.Stream, with the event that they
// follow from as the cause: the connection of a message, the message of a delivery. Package maillog
// makes log lines of them, package metrics counts them. Nothing else about mail is logged or
// counted, so a figure and a line cannot disagree.
//
// Each event is published after the fact that it tells: Ready after the message is safe on disk,
// Delivered after the queue has recorded it.
//
// # Decisions
//
// A value holds what was found, not how it is printed. Exceptions are texts that an administrator
// configured or a peer sent, which are kept as they are. The JSON names are part of the interface
// to whoever reads recorded events: names are added, not changed.
package mailevents
