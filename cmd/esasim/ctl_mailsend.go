package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

type sendMail struct {
	Host     string `predictor:"host" placeholder:"HOST" help:"The host that sends: a name or an address of the topology (default: the host that clients on 127.0.0.1 are seen as)."`
	Listener string `placeholder:"NAME" help:"The listener of the appliance (default: the first public one)."`
	Hello    string `placeholder:"NAME" help:"The name in EHLO (default: the host's)."`
	TLS      bool   `name:"tls" help:"Send the message over TLS, or not at all."`
	User     string `placeholder:"NAME" help:"Authenticate as this user."`
	Pass     string `name:"passphrase" placeholder:"TEXT" help:"The passphrase of the user."`

	From string   `group:"Envelope" placeholder:"ADDR" help:"The sender's address; <> for none (default: postmaster of the host)."`
	To   []string `group:"Envelope" required:"" placeholder:"ADDR" help:"A recipient's address. Several are separated by commas, or have a flag each."`

	Subject string   `group:"Message" placeholder:"TEXT" help:"The subject."`
	Body    string   `group:"Message" placeholder:"TEXT" help:"The text of the message."`
	Header  []string `group:"Message" sep:"none" placeholder:"NAME: TEXT" help:"One more line of the header."`
	Attach  []string `group:"Message" sep:"none" type:"existingfile" predictor:"file" placeholder:"FILE" help:"A file to attach."`
	Size    string   `group:"Message" placeholder:"SIZE" help:"Lines to add to the body, such as 64KiB or 10MiB."`
	File    string   `group:"Message" predictor:"file" placeholder:"FILE" help:"A file with the whole message, instead of the other flags of this group; - reads standard input."`

	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Help describes the exit status.
func (sendMail) Help() string {
	return "The exit status is 0 if the appliance has accepted the message for all recipients, and 1 otherwise."
}

// request returns the request that the flags describe.
func (s *sendMail) request(in io.Reader) (r traffic.Request, err error) {
	r = traffic.Request{
		Host: s.Host, Listener: s.Listener, From: s.From, To: s.To, Subject: s.Subject, Body: s.Body,
		TLS: s.TLS, User: s.User, Passphrase: s.Pass, Hello: s.Hello, Headers: map[string]string{},
	}
	for _, line := range s.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return r, fmt.Errorf(`--header %q: expected a line such as "X-Test: yes"`, line)
		}
		r.Headers[name] = strings.TrimSpace(value)
	}
	for _, file := range s.Attach {
		data, err := os.ReadFile(file)
		if err != nil {
			return r, fmt.Errorf("read the attachment: %w", err)
		}
		r.Attachments = append(r.Attachments, traffic.Attachment{Name: filepath.Base(file), Data: data})
	}
	if s.Size != "" {
		size, err := topology.ParseBytes(s.Size)
		if err != nil {
			return r, fmt.Errorf("--size %q: expected a size such as 64KiB or 10MiB", s.Size)
		}
		r.Size = int64(size)
	}
	switch s.File {
	case "":
		return r, nil
	case "-":
		r.Message, err = io.ReadAll(in)
	default:
		r.Message, err = os.ReadFile(s.File)
	}
	if err == nil && len(r.Message) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return r, fmt.Errorf("read the message: %w", err)
	}
	return r, nil
}

func (s *sendMail) Run(t stdio, client *control.Client) error {
	r, err := s.request(t.in)
	if err != nil {
		return err
	}
	a, err := client.SendMail(context.Background(), r)
	if err != nil {
		return err
	}
	if s.JSON {
		if err := printJSON(t.out, a); err != nil {
			return err
		}
	} else {
		printReplies(t.out, a)
	}
	switch {
	case !a.Accepted:
		return fmt.Errorf("the message was not accepted: %s", a.Error)
	case !a.Complete:
		return fmt.Errorf("%d of %d recipients were refused", len(a.Refused), len(s.To))
	}
	return nil
}

// printReplies prints the replies that a client got, each with the step that it belongs to.
func printReplies(out io.Writer, a traffic.Answer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range a.Replies {
		step := r.Step
		if r.To != "" {
			step += ":<" + r.To + ">"
		}
		for _, line := range r.Lines {
			fmt.Fprintf(w, "%s\t%s\n", step, line)
			step = ""
		}
		if r.Step == "STARTTLS" && a.TLS != "" {
			fmt.Fprintf(w, "\t(%s)\n", a.TLS)
		}
	}
	w.Flush() //nolint:errcheck // the writer below reports it
}

type loadMail struct {
	Rate        string   `required:"" placeholder:"N/s" help:"Messages in a time, such as 50/s, 30/m or 12/h, by the appliance's clock."`
	For         string   `required:"" placeholder:"TIME" help:"How long, such as 1m, by the appliance's clock."`
	Seed        int      `placeholder:"N" help:"The same seed gives the same messages."`
	Connections int      `placeholder:"N" help:"Connections at the same time (default: 10)."`
	Per         int      `name:"per-connection" placeholder:"N" help:"Messages on a connection (default: 1)."`
	TLS         string   `name:"tls" placeholder:"SHARE" help:"The share of connections that use TLS if the appliance offers it, such as 50%."`
	Host        []string `predictor:"host" placeholder:"HOST" help:"A host that sends (default: the host that clients on 127.0.0.1 are seen as)."`

	Sender     []string `group:"Envelope" placeholder:"ADDR" help:"A sender's address; @example.net stands for made-up addresses of that domain (default: made-up addresses of the host)."`
	To         []string `group:"Envelope" placeholder:"ADDR" help:"A recipient's address, or @DOMAIN (default: made-up addresses of the appliance's domains)."`
	Recipients string   `group:"Envelope" placeholder:"N-M" help:"Recipients of a message, such as 2 or 1-5 (default: 1)."`
	Bad        string   `group:"Envelope" placeholder:"SHARE" help:"The share of recipients who do not exist, such as 5%."`
	BadTo      []string `group:"Envelope" placeholder:"ADDR" help:"Addresses of recipients who do not exist (default: those of an unknown domain)."`
	Down       string   `group:"Envelope" placeholder:"SHARE" help:"The share of recipients whose mail servers do not answer."`
	DownTo     []string `group:"Envelope" placeholder:"ADDR" help:"Their addresses (default: those of the domains whose mail servers are stopped)."`

	Kinds   map[string]int `group:"Message" mapsep:"," placeholder:"KIND=N" help:"Kinds of messages with their weights: text, html, attachment, large, newsletter (default: text=1)."`
	Size    string         `group:"Message" placeholder:"SIZE" help:"The size of large messages (default: 1MiB)."`
	Subject []string       `group:"Message" sep:"none" placeholder:"TEXT" help:"A subject to choose from (default: made up)."`

	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Help describes the end.
func (loadMail) Help() string {
	return "The summary is printed when all messages are done, or after Ctrl-C, which ends the load."
}

// keys returns the flags as the keys and values of a load.
func (l *loadMail) keys() map[string]any {
	flow := map[string]any{
		"rate": l.Rate, "from": l.Host, "senders": l.Sender, "to": l.To, "recipients": l.Recipients,
		"kinds": l.Kinds, "size": l.Size, "bad": l.Bad, "bad_to": l.BadTo, "down": l.Down,
		"down_to": l.DownTo, "tls": l.TLS, "subjects": l.Subject,
	}
	for key, value := range flow {
		switch x := value.(type) {
		case string:
			if x == "" {
				delete(flow, key)
			}
		case []string:
			if len(x) == 0 {
				delete(flow, key)
			}
		case map[string]int:
			if len(x) == 0 {
				delete(flow, key)
			}
		}
	}
	if l.Per != 0 {
		flow["per_connection"] = l.Per
	}
	return map[string]any{"flow": flow, "for": l.For, "seed": l.Seed, "connections": l.Connections}
}

// loadPoll is how long a request waits for the end of a load.
const loadPoll = time.Second

func (l *loadMail) Run(t stdio, client *control.Client) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := client.StartLoad(ctx, l.keys())
	if err != nil {
		return err
	}
	for s.Running && ctx.Err() == nil {
		next, err := client.WaitLoad(ctx, s.ID, loadPoll)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			s = next
		}
	}
	if s.Running {
		if s, err = client.StopLoad(context.Background(), s.ID); err != nil {
			return err
		}
	}
	if l.JSON {
		return printJSON(t.out, s)
	}
	printLoad(t.out, s)
	return nil
}

// printLoad prints the summary of a load that has ended.
func printLoad(out io.Writer, s traffic.State) {
	sum, took := s.Summary, time.Duration(s.Took)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	of := ""
	if s.Stopped {
		of = fmt.Sprintf(" of %d; the load was stopped", s.Total)
	}
	fmt.Fprintf(w, "sent\t%d%s\n", sum.Done, of)
	fmt.Fprintf(w, "accepted\t%d\n", sum.Accepted)
	fmt.Fprintf(w, "refused\t%d\n", sum.Refused)
	fmt.Fprintf(w, "failed\t%d%s\n", sum.Failed, inParentheses(sum.Errors))
	fmt.Fprintf(w, "recipients\t%d accepted, %d refused\n", sum.AcceptedTo, sum.RefusedRecipients)
	if len(sum.Replies) > 0 {
		fmt.Fprintf(w, "refusals\t%s\n", countsOf(sum.Replies))
	}
	if sum.TLS > 0 {
		fmt.Fprintf(w, "over TLS\t%d\n", sum.TLS)
	}
	if sum.Accepted > 0 {
		q := sum.Latency
		fmt.Fprintf(w, "latency\tleast %v, median %v, 95%% %v, 99%% %v, most %v\n", short(time.Duration(q.Least)),
			short(time.Duration(q.Median)), short(time.Duration(q.P95)), short(time.Duration(q.P99)),
			short(time.Duration(q.Most)))
	}
	fmt.Fprintf(w, "time\t%v, %.1f messages a second\n", short(took), float64(sum.Done)/max(took.Seconds(), 1e-9))
	fmt.Fprintf(w, "messages\t%s (the same for the same messages)\n", sum.Digest)
	w.Flush() //nolint:errcheck // the writer below reports it
}

// short returns a duration with about three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

func inParentheses(counts map[string]int) string {
	if len(counts) == 0 {
		return ""
	}
	return " (" + countsOf(counts) + ")"
}

// countsOf returns counts by name in one line.
func countsOf(counts map[string]int) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s: %d", name, counts[name]))
	}
	return strings.Join(list, ", ")
}

type mailTraffic struct{ output }

func (m mailTraffic) Run(t stdio, client *control.Client) error {
	list, err := client.Traffic(context.Background())
	return printList(m.output, t, list, err, listing[traffic.FlowState]{
		empty:    "The topology has no traffic.",
		headings: "FLOW\tOFFERED\tACCEPTED\tREFUSED\tFAILED\tREFUSED WITH",
		row: func(f traffic.FlowState) string {
			s := f.Summary
			return fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%s", f.Name, s.Offered, s.Accepted, s.Refused, s.Failed,
				countsOf(s.Replies))
		},
	})
}
