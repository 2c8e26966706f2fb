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
// # Locks
//
// Server.mu guards the suspensions and is a leaf.
package mta
