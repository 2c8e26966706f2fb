// Package mta is the appliance's mail system, the process hermes: messages come in by listeners,
// pass the work queue, wait in the queue, and are delivered.
//
// # Terms
//
// Those of the packages below it: listener, pipeline, queue, delivery, mailevents, maillog.
//
// # How it is used
//
// The appliance opens one Server, which opens the queue, and adds it to its services:
//
//	server, err := mta.Open(mta.Options{...})
//	defer server.Close()
//
// Commands and pages reach the parts through its fields.
//
// # What survives a restart
//
// The queue does, and what an administrator has suspended: receiving, delivery and the work queue
// stay so until they are resumed. A small file of the state directory says which.
//
// # Resource conservation
//
// When nine tenths of the queue's space are used, the appliance refuses new messages with 452 and
// raises an alert; when less than four fifths are, it takes messages again. Mail in the queue is
// delivered all the time. The thresholds are not public.
//
// # The appliance's own mail
//
// Alerts and AutoSupport's reports are sent by the internal SMTP system: they go through the queue,
// past the work queue, have connections of their own, are tried for a day, and cause no bounce
// messages. The log has other lines about them than about other mail (logs.md 4.4). SMTP routes and
// destination controls apply to them. Suspended deliveries do not hold them back (the vendor's note
// 218151).
//
// The alert desk gives them to an Outbox, which waits for room: an alert about a full queue or disk
// stays in memory and is queued when there is room. If the appliance stops before, the log says that
// the alert was given up. No alert is raised about an alert, so none can cause another one without
// end.
//
// # Locks
//
// Server.mu guards the suspensions, Outbox.mu the messages that wait. Both are leaves.
package mta
