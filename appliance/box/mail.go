package box

import (
	"net/netip"
	"time"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// A Mailbox is the mail that a simulated mail server has received since the start.
type Mailbox struct {
	Received int              `json:"received"` // messages, those that are no longer stored too
	Dropped  int              `json:"dropped"`  // the oldest ones, for which there was no room
	Messages []MessageSummary `json:"messages"` // those that are stored, the oldest first
}

// A MessageSummary is what a Mailbox says of a message.
type MessageSummary struct {
	ID      int            `json:"id"` // 1 for the first message since the start, then counting up
	Time    time.Time      `json:"time"`
	Client  netip.AddrPort `json:"client"`
	Hello   string         `json:"hello"` // the name in the client's EHLO or HELO
	TLS     bool           `json:"tls"`
	From    string         `json:"from"`
	To      []string       `json:"to"`
	Subject string         `json:"subject"`
	Size    int64          `json:"size"` // bytes
}

// Mailbox returns the mail that a server has received. The server's name is one of
// World.MailServers; if it is not, the error is a *netsim.NotFoundError.
func (b *Box) Mailbox(server string) (Mailbox, error) {
	x, err := b.World().MailServer(server)
	if err != nil {
		return Mailbox{}, err
	}
	stored, received, dropped, _ := x.Contents()
	m := Mailbox{Received: received, Dropped: dropped, Messages: []MessageSummary{}}
	for _, s := range stored {
		m.Messages = append(m.Messages, summaryOf(s))
	}
	return m, nil
}

func summaryOf(m peers.Message) MessageSummary {
	return MessageSummary{
		ID: m.ID, Time: m.Time, Client: m.Client, Hello: m.Hello, TLS: m.TLS,
		From: m.From, To: m.To, Subject: m.Subject(), Size: m.Size,
	}
}
