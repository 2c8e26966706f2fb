package mta

import (
	"context"

	"github.com/esasim/esasim/appliance/mta/queue"
)

// An OwnMessage is a message that the appliance itself sends.
type OwnMessage struct {
	By   string   // the part that makes it, such as "mailconfig", or delivery.InternalSMTP
	From string   // of the envelope
	To   []string // of the envelope
	Data []byte   // header and body
}

// Submit queues a message of the appliance's own for delivery, and returns its MID. The message is
// durable when Submit returns. As bounce messages do, it passes by the work queue. The errors are
// those of queue.Create and Incoming.Commit, such as queue.ErrQuota.
func (s *Server) Submit(ctx context.Context, m OwnMessage) (mid uint64, err error) {
	env := queue.Envelope{
		MID: s.Queue.NextMID(), From: m.From, Received: s.o.Clock.Now(), Size: int64(len(m.Data)),
		Stage: queue.Delivery, Outgoing: true, Internal: m.By,
	}
	for rid, to := range m.To {
		env.Recipients = append(env.Recipients, queue.Recipient{RID: rid, Address: to})
	}
	release, ok := s.Delivery.Claim(ctx, env.MID) // so that the message is told of before its delivery
	if !ok {
		return 0, context.Cause(ctx)
	}
	defer release()
	in, err := s.Queue.Create(env.MID)
	if err != nil {
		return 0, err
	}
	defer in.Abort()
	if _, err := in.Write(m.Data); err != nil {
		return 0, err
	}
	if err := in.Commit(ctx, env); err != nil {
		return 0, err
	}
	s.Delivery.Announce(0, &env, "")
	s.Delivery.Enqueue(env.MID)
	return env.MID, nil
}
