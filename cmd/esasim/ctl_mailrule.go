package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

type ctlMailRule struct {
	Add    addMailRule    `cmd:"" help:"Add a rule in front of all others and print its number."`
	List   listMailRules  `cmd:"" help:"List the rules in the order in which they are evaluated, with their counts."`
	Remove removeMailRule `cmd:"" help:"Remove a rule, or all of them."`
}

// addMailRule has a flag for every key of topology.MailRule, except for those that Amount sets.
type addMailRule struct {
	mailServer
	Action string `arg:"" predictor:"mail-action" help:"What the server does: reply, delay, cut, greylist, certificate, connections, or accept (later rules are skipped)."`
	Amount string `arg:"" optional:"" predictor:"mail-amount" help:"For reply, an error reply such as \"450 4.2.0 later\" (\\n separates lines); for delay and greylist, a time such as 5m; for cut, reset or close; for certificate, expired, future, self-signed, unknown-ca, wrong-name or broken; for connections, how many may be open."`

	Stage     string `group:"Where" predictor:"mail-stage" placeholder:"NAME" help:"At this stage: connect, ehlo, helo, starttls, auth, mail, rcpt, data or end (of the message)."`
	Sender    string `group:"Which mail" placeholder:"PATTERN" help:"Mail from this address, such as *@example.com. <> is the empty sender."`
	Recipient string `group:"Which mail" placeholder:"PATTERN" help:"Mail to this address."`

	Times         string `group:"When" placeholder:"N" help:"Apply N times only."`
	AfterMessages string `group:"When" placeholder:"N" help:"Apply after the server has accepted N messages."`
	AfterBytes    string `group:"When" placeholder:"SIZE" help:"For cut: when this many bytes of the connection or, with --stage end, of a message have arrived."`
	Share         string `group:"When" placeholder:"SHARE" help:"Apply with this probability, such as 10%."`

	Reply string `placeholder:"TEXT" help:"For greylist and connections: the error reply."`
	Name  string `placeholder:"TEXT" help:"A note, which the list of rules shows."`
	JSON  bool   `name:"json" help:"Print the rule as JSON."`
}

// keys returns the flags as the keys and values of a rule.
func (a addMailRule) keys() (map[string]string, error) {
	keys := map[string]string{
		"name": a.Name, "action": a.Action, "reply": a.Reply, "stage": a.Stage, "sender": a.Sender,
		"recipient": a.Recipient, "times": a.Times, "after_messages": a.AfterMessages,
		"after_bytes": a.AfterBytes, "share": a.Share,
	}
	switch a.Action {
	case "reply", "delay", "cut", "greylist", "certificate", "connections":
		if a.Amount != "" {
			keys[a.Action] = a.Amount
		}
	default:
		if a.Amount != "" {
			return nil, fmt.Errorf("%s %s: expected no amount after this action", a.Action, a.Amount)
		}
	}
	keys["reply"] = strings.ReplaceAll(keys["reply"], `\n`, "\n")
	for key, text := range keys {
		if text == "" {
			delete(keys, key)
		}
	}
	return keys, nil
}

func (a addMailRule) Run(t stdio, client *control.Client) error {
	keys, err := a.keys()
	if err != nil {
		return err
	}
	r, err := client.AddMailRule(context.Background(), a.Server, keys)
	switch {
	case err != nil:
		return err
	case a.JSON:
		return printJSON(t.out, r)
	}
	fmt.Fprintln(t.out, r.ID)
	return nil
}

type listMailRules struct {
	mailServer
	output
}

func (l listMailRules) Run(t stdio, client *control.Client) error {
	list, err := client.MailRules(context.Background(), l.Server)
	return printList(l.output, t, list, err, listing[peers.MailRuleState]{
		empty:    "The server has no rules.",
		headings: "ID\tSTATE\tHITS\tRULE",
		row: func(r peers.MailRuleState) string {
			return fmt.Sprintf("%d\t%s\t%d\t%s", r.ID, r.State, r.Hits,
				withNote(r.Rule.String(), r.Rule.Name))
		},
	})
}

type removeMailRule struct {
	mailServer
	ID string `arg:"" predictor:"mail-rule" help:"The number of a rule, or all."`
}

func (r removeMailRule) Run(client *control.Client) error {
	all := func(ctx context.Context) error { return client.ClearMailRules(ctx, r.Server) }
	list := "esasim ctl mail rule list " + r.Server
	return remove(r.ID, list, all, func(ctx context.Context, ref string) error {
		id, err := strconv.Atoi(ref)
		if err != nil {
			return fmt.Errorf("%q is not the number of a rule: expected a number such as 1, or %s",
				ref, removeAll)
		}
		return client.RemoveMailRule(ctx, r.Server, id)
	})
}
