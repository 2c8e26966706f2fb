package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
)

type ctlMail struct {
	Send    sendMail    `cmd:"" help:"Send one message from a simulated host to the appliance, and print the replies."`
	Load    loadMail    `cmd:"" help:"Send many messages at a constant rate, and print a summary."`
	Traffic mailTraffic `cmd:"" help:"Show what the topology's own traffic has sent."`
	List    listMail    `cmd:"" help:"List the mail that a server has received, the oldest first."`
	Show    showMail    `cmd:"" help:"Show a message that a server has received, decoded."`
	Raw     rawMail     `cmd:"" help:"Print a message that a server has received, byte for byte."`
	Clear   clearMail   `cmd:"" help:"Forget the mail that a server has received."`
	Rule    ctlMailRule `cmd:"" help:"Add, list and remove the rules by which a server misbehaves."`
}

// A mailServer is the argument that names a mail server.
type mailServer struct {
	Server string `arg:"" predictor:"mailserver" help:"A mail server: the name of its host, or HOST/TYPE if the host has several."`
}

// A mailMessage is the argument that names a message of a mail server.
type mailMessage struct {
	ID string `arg:"" predictor:"message" help:"The number of a message: see esasim ctl mail list. Or last, for the newest one."`
}

type listMail struct {
	mailServer
	output
}

func (l listMail) Run(t stdio, client *control.Client) error {
	m, err := client.Mailbox(context.Background(), l.Server)
	return l.print(t, m, err, func(w io.Writer) error {
		if m.Received == 0 {
			_, err := fmt.Fprintln(w, "The server has received no mail.")
			return err
		}
		err := printList(output{}, t, m.Messages, nil, listing[box.MessageSummary]{
			headings: "ID\tTIME\tFROM\tTO\tSIZE\tSUBJECT",
			row: func(x box.MessageSummary) string {
				return fmt.Sprintf("%d\t%s\t%s\t%s\t%d\t%s", x.ID, x.Time.Format(timeFormat),
					printable(x.From), printable(strings.Join(x.To, " ")), x.Size, printable(x.Subject))
			},
		})
		if err == nil && m.Dropped > 0 {
			_, err = fmt.Fprintf(w, "%d older messages were dropped to make room.\n", m.Dropped)
		}
		return err
	})
}

// printable replaces the characters of s, which anybody may have sent, that could control a
// terminal or break a line.
func printable(s string) string { return printableExcept(s, "") }

func printableExcept(s, allowed string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || strings.ContainsRune(allowed, r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

type showMail struct {
	mailServer
	mailMessage
	output
}

func (s showMail) Run(t stdio, client *control.Client) error {
	m, err := client.Message(context.Background(), s.Server, s.ID)
	return s.print(t, m, err, func(w io.Writer) error {
		printMessage(w, m)
		return nil
	})
}

// printMessage prints the envelope, the header and the parts of a message.
func printMessage(w io.Writer, m box.MessageContent) {
	security := "without TLS"
	if m.TLS {
		security = "over TLS"
	}
	if m.User != "" {
		security += ", logged in as " + printable(m.User)
	}
	fmt.Fprintf(w, "message %d of %d bytes, from %s (%s) at %s, %s\n", m.ID, m.Size,
		m.Client, printable(m.Hello), m.Time.Format(timeFormat), security)
	fmt.Fprintf(w, "envelope: from <%s> to <%s>\n", printable(m.From),
		printable(strings.Join(m.To, ">, <")))
	if m.Problem != "" {
		fmt.Fprintf(w, "problem: %s\n", printable(m.Problem))
	}
	fmt.Fprintln(w)
	for _, f := range m.Header {
		fmt.Fprintf(w, "%s: %s\n", printable(f.Name), printable(f.Value))
	}
	for _, p := range m.Parts {
		fmt.Fprintf(w, "\n--- %s", printable(p.Type))
		if p.Name != "" {
			fmt.Fprintf(w, ", %s", printable(p.Name))
		}
		fmt.Fprintf(w, ", %d bytes", p.Size)
		if p.Text == "" {
			fmt.Fprintf(w, ", SHA-256 %s\n", p.SHA256)
			continue
		}
		text := strings.TrimRight(strings.ReplaceAll(p.Text, "\r\n", "\n"), "\n")
		fmt.Fprintf(w, "\n%s\n", printableExcept(text, "\n\t"))
		if p.Cut {
			fmt.Fprintln(w, "--- the rest is left out: esasim ctl mail raw prints it")
		}
	}
}

type rawMail struct {
	mailServer
	mailMessage
}

func (r rawMail) Run(t stdio, client *control.Client) error {
	return client.CopyMessage(context.Background(), r.Server, r.ID, t.out)
}

type clearMail struct{ mailServer }

func (c clearMail) Run(client *control.Client) error {
	return client.ClearMailbox(context.Background(), c.Server)
}
