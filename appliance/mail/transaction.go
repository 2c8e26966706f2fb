package mail

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// An Envelope says from whom and to whom a message goes.
type Envelope struct {
	From string // "" for bounces
	To   []string
}

// A Delivery is what became of a message for one recipient. Err is nil if the server
// took it.
type Delivery struct {
	To    string
	Reply Reply
	Err   error
}

// Send sends one message to all recipients of an envelope, after Hello. A recipient
// that the server refuses does not keep the others from getting it; Deliveries are
// in the order of the envelope. The error is not nil where nobody got it, and is then
// every recipient's that had none of its own.
func (c *Conn) Send(ctx context.Context, e Envelope, message []byte) ([]Delivery, error) {
	out := make([]Delivery, len(e.To))
	for i, to := range e.To {
		out[i].To = to
	}
	r, err := c.transfer(ctx, e, message, out)
	for i := range out {
		if out[i].Err == nil {
			out[i].Reply, out[i].Err = r, err
		}
	}
	return out, err
}

// transfer is the transaction; it notes in out who was refused. Its reply is the
// last one that counts for all others.
func (c *Conn) transfer(ctx context.Context, e Envelope, message []byte, out []Delivery) (Reply, error) {
	eightBit := slices.ContainsFunc(message, func(b byte) bool { return b > 127 })
	r, err := c.Mail(ctx, e.From, MailParams{Size: int64(len(message)), EightBit: eightBit})
	if err != nil {
		return r, err
	}
	accepted := 0
	for i := range out {
		out[i].Reply, err = c.Rcpt(ctx, out[i].To)
		out[i].Err = err
		var refused *Error
		if errors.As(err, &refused) && refused.Err != nil {
			return Reply{}, err // the connection is gone
		}
		if err == nil {
			accepted++
		}
	}
	if accepted == 0 {
		// What was refused stays refused, also by a server that hangs up now.
		_, _ = c.Reset(ctx)
		return r, err
	}
	if r, err = c.Data(ctx); err != nil {
		return r, err
	}
	return c.Body(ctx, bytes.NewReader(message))
}
