package mail

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// An Envelope has the sender and the recipients of a message.
type Envelope struct {
	From string // "" for bounces
	To   []string
}

// A Delivery is the result of sending a message to one recipient. Err is nil if the server
// accepted it.
type Delivery struct {
	To    string
	Reply Reply
	Err   error
}

// Send sends one message to all recipients of an envelope. It must follow Hello. If the server
// refuses some recipients, the others get the message. The Deliveries are in the order of the
// envelope. The error is not nil if no recipient got the message; it is then also the error of
// every recipient that has none of its own.
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

// transfer performs the transaction, and sets the errors of refused recipients in out. Its reply
// and error apply to all other recipients.
func (c *Conn) transfer(ctx context.Context, e Envelope, message []byte, out []Delivery) (Reply,
	error) {
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
		// The recipients stay refused even if the server closes the connection now.
		_, _ = c.Reset(ctx)
		return r, err
	}
	if r, err = c.Data(ctx); err != nil {
		return r, err
	}
	return c.Body(ctx, bytes.NewReader(message))
}
