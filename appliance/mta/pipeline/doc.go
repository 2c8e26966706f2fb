// Package pipeline is the work queue: what happens to a message between its acceptance and its
// delivery (mail.md 5).
//
// # Terms
//
//   - A stage judges or changes a message: message filters, policies, engines. Stages come in the
//     order of mail.md 5.
//   - The work queue is the messages that have not passed all stages.
//
// # How it is used
//
// A Pipeline is told of each message that was accepted, and hands it on when it has passed:
//
//	p := pipeline.New(pipeline.Options{...})
//	err := p.Start(ctx)
//	p.Enqueue(envelope)
//
// An administrator can pause it; messages then wait, also over a restart of the appliance.
//
// # Decisions
//
// No stage is built yet: this appliance has neither filters nor engines. A message is matched to
// the mail policy of its direction, which is the default one, and goes on. There are no
// place-holders for what is missing, and no log lines of engines that did not run.
//
// The queue remembers that a message has passed without waiting for the disk. After a loss of
// power it may pass again.
//
// A goroutine runs only while messages wait, so that an idle appliance has none.
//
// # Locks
//
// Pipeline.mu guards what waits. It is not held while a message is worked on.
package pipeline
