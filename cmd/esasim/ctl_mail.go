package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/esasim/esasim/appliance/control"
)

type ctlMail struct {
	Send    sendMail    `cmd:"" help:"Send one message from a simulated host to the appliance, and print the replies."`
	Load    loadMail    `cmd:"" help:"Send many messages at a constant rate, and print a summary."`
	Traffic mailTraffic `cmd:"" help:"Show what the topology's own traffic has sent."`
	List    listMail    `cmd:"" help:"List the mail that a server has received, the oldest first."`
}

// A mailServer is the argument that names a mail server.
type mailServer struct {
	Server string `arg:"" predictor:"mailserver" help:"A mail server: the name of its host, or HOST/TYPE if the host has several."`
}

type listMail struct {
	mailServer
	JSON bool `name:"json" help:"Print JSON."`
}

func (l listMail) Run(t stdio, client *control.Client) error {
	m, err := client.Mailbox(context.Background(), l.Server)
	switch {
	case err != nil:
		return err
	case l.JSON:
		return printJSON(t.out, m)
	case m.Received == 0:
		fmt.Fprintln(t.out, "The server has received no mail.")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTIME\tFROM\tTO\tSIZE\tSUBJECT")
	for _, x := range m.Messages {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", x.ID, x.Time.Format(timeFormat), x.From,
			strings.Join(x.To, " "), x.Size, x.Subject)
	}
	if m.Dropped > 0 {
		fmt.Fprintf(w, "%d older messages were dropped.\n", m.Dropped)
	}
	return w.Flush()
}
