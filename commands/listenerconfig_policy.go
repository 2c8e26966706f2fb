package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// printParameters prints the values that policies have unless they set others.
func printParameters(env *shell.Env, t listener.HostTable) {
	e := t.Effective(listener.Policy{})
	mode := func(m listener.TLSMode) string { return yesOrNo(m != listener.Off) }
	harvest, perHour, perSender := "Disabled", "Disabled", "Disabled"
	if e.MaxInvalidPerHour > 0 {
		harvest = "Enabled"
	}
	if e.MaxRecipientsPerHour >= 0 {
		perHour = strconv.Itoa(e.MaxRecipientsPerHour)
	}
	if e.MaxRecipientsPerSender >= 0 {
		perSender = fmt.Sprintf("%d in %d minutes", e.MaxRecipientsPerSender, e.SenderInterval)
	}
	env.Printf("\nDefault Policy Parameters\n==========================\n"+
		"Maximum Message Size: %s\nMaximum Number Of Concurrent Connections From A Single IP: %d\n"+
		"Maximum Number Of Messages Per Connection: %d\nMaximum Number Of Recipients Per Message: %d\n"+
		"Directory Harvest Attack Prevention: %s\n", formatSize(e.MaxMessageSize), e.MaxConnections,
		e.MaxMessages, e.MaxRecipients, harvest)
	if e.MaxInvalidPerHour > 0 {
		env.Printf("Maximum Number Of Invalid Recipients Per Hour: %d\n", e.MaxInvalidPerHour)
	}
	env.Printf("Maximum Number Of Recipients Per Hour: %s\n"+
		"Maximum Number of Recipients per Envelope Sender: %s\n"+
		"Use SenderBase for Flow Control: Yes\nSpam Detection Enabled: Yes\n"+
		"Virus Detection Enabled: Yes\nAllow TLS Connections: %s\nAllow SMTP Authentication: %s\n"+
		"Require TLS To Offer SMTP authentication: %s\nDKIM/DomainKeys Signing Enabled: No\n"+
		"DKIM Verification Enabled: No\nSPF/SIDF Verification Enabled: No\n"+
		"DMARC Verification Enabled: No\nEnvelope Sender DNS Verification Enabled: %s\n"+
		"Domain Exception Table Enabled: No\nAccept untagged bounces: No\n",
		perHour, perSender, mode(e.TLS), mode(e.Auth), yesOrNo(e.AuthNeedsTLS), yesOrNo(e.VerifySender))
}

// formatSize writes a number of bytes in the largest unit that divides it.
func formatSize(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dM", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dK", n>>10)
	}
	return strconv.FormatInt(n, 10)
}

// sizeField asks for a number of bytes, which K or M may follow.
func sizeField(size *int64, question string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		_, err := d.Ask(ctx, question, formatSize(*size), func(answer string) error {
			return setSize(size, answer)
		})
		return err
	}
}

// setSize parses a number of bytes, which K or M may follow.
func setSize(size *int64, text string) error {
	text, shift := strings.ToLower(text), 0
	for suffix, bits := range map[string]int{"k": 10, "m": 20} {
		if t, ok := strings.CutSuffix(text, suffix); ok {
			text, shift = strings.TrimSpace(t), bits
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if most := int64(1) << (40 - shift); err != nil || n < 1 || n > most {
		return refusal.New("The value must be a number of bytes; K or M may follow it.")
	}
	*size = n << shift
	return nil
}

// policyForm asks what a policy does.
func policyForm(t listener.HostTable, p *listener.Policy) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if err := d.Form(ctx, shell.OneOf(&p.Action, "Choose the behavior of the policy.", actions()...)); err != nil {
			return err
		}
		change, def := false, t.Effective(listener.Policy{})
		switch p.Action {
		case listener.Accept, listener.Relay:
			return d.Form(ctx,
				shell.YesNo(&change, "Would you like to change the values of this policy?"),
				shell.When(func() bool { return change }, parametersForm(&p.Parameters, def)))
		case listener.Reject:
			e := def.With(p.Parameters)
			if err := d.Form(ctx, replyForm(&e.Reject, def.Reject, rejectQuestion, 500)); err != nil {
				return err
			}
			p.Parameters.Assign(e, def)
		}
		return nil
	}
}

// actions returns what a policy can do.
func actions() []listener.Action {
	return []listener.Action{
		listener.Accept, listener.Relay, listener.Reject, listener.TCPRefuse, listener.Continue,
	}
}

const rejectQuestion = "Would you like to specify a custom SMTP reject response?"

// replyForm asks whether an answer to clients is another one than def, and for its code and its text.
// The code is at least least: 200 for success, 400 or 500 for an error.
func replyForm(r *listener.Reply, def listener.Reply, question string, least int) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		custom := *r != def
		most := 599
		if least < 400 {
			most = 299
		}
		err := d.Form(ctx, shell.YesNo(&custom, question), shell.When(func() bool { return custom },
			shell.Number(&r.Code, "Enter the SMTP code to use in the response.", least, most),
			shell.Text(&r.Text, "Enter your custom SMTP response.", listener.CheckReply)))
		if !custom {
			*r = def
		}
		return err
	}
}

// parametersForm asks for the values of a policy, or of the table. def has the values that hold
// where p sets none.
func parametersForm(p *listener.Parameters, def listener.Effective) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		e := def.With(*p)
		const most = mostRecipients
		err := d.Form(ctx,
			sizeField(&e.MaxMessageSize, "Enter the maximum message size. Add a trailing k for kilobytes, "+
				"M for megabytes, or no letters for bytes."),
			shell.Number(&e.MaxConnections,
				"Enter the maximum number of concurrent connections allowed from a single IP address.", 1, most),
			shell.Number(&e.MaxMessages, "Enter the maximum number of messages per connection.", 1, most),
			shell.Number(&e.MaxRecipients, "Enter the maximum number of recipients per message.", 1, most),
			bannerHostForm(&e),
			replyForm(&e.Banner, def.Banner,
				"Would you like to specify a custom SMTP acceptance response?", 200),
			replyForm(&e.Reject, def.Reject, rejectQuestion, 500),
			ratesForm(&e, def),
			harvestForm(&e, def),
			accessForm(&e),
			senderForm(&e, def),
		)
		if err == nil {
			p.Assign(e, def)
		}
		return err
	}
}

// bannerHostForm asks for the host name in the banner.
func bannerHostForm(e *listener.Effective) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		override, name := e.BannerHost != nil, ""
		if override {
			name = *e.BannerHost
		}
		err := d.Form(ctx,
			shell.YesNo(&override, "Do you want to override the hostname in the SMTP banner?"),
			shell.When(func() bool { return override }, shell.Text(&name,
				"Enter the hostname to use in the SMTP banner, or leave it empty for none.",
				func(s string) error {
					if s == "" {
						return nil
					}
					return delivery.CheckDomain(s)
				})))
		e.BannerHost = nil
		if override {
			e.BannerHost = &name
		}
		return err
	}
}

// mostRecipients is the largest limit of recipients that can be set.
const mostRecipients = 1_000_000

// ratesForm asks for the limits of recipients by host and by envelope sender.
func ratesForm(e *listener.Effective, def listener.Effective) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		host, sender := e.MaxRecipientsPerHour >= 0, e.MaxRecipientsPerSender >= 0
		err := d.Form(ctx,
			shell.YesNo(&host, "Do you want to enable rate limiting per host?"),
			shell.When(func() bool { return host },
				atLeastOne(&e.MaxRecipientsPerHour,
					"Enter the maximum number of recipients per hour from a remote host."),
				replyForm(&e.PerHour, def.PerHour, limitQuestion, 400)),
			shell.YesNo(&sender, "Do you want to enable rate limiting per envelope sender?"),
			shell.When(func() bool { return sender },
				shell.Number(&e.SenderInterval,
					"Enter the number of minutes for which the recipients of an envelope sender are counted.", 1, 1440),
				atLeastOne(&e.MaxRecipientsPerSender,
					"Enter the maximum number of recipients per envelope sender in that time."),
				replyForm(&e.PerSender, def.PerSender, limitQuestion, 400)),
		)
		if !host {
			e.MaxRecipientsPerHour = -1
		}
		if !sender {
			e.MaxRecipientsPerSender = -1
		}
		return err
	}
}

const limitQuestion = "Would you like to specify a custom SMTP limit exceeded response?"

// atLeastOne asks for a limit that may have been off.
func atLeastOne(limit *int, question string) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		*limit = max(*limit, 1)
		return d.Form(ctx, shell.Number(limit, question, 1, mostRecipients))
	}
}

// harvestForm asks for the limit of invalid recipients.
func harvestForm(e *listener.Effective, def listener.Effective) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		on := e.MaxInvalidPerHour > 0
		err := d.Form(ctx,
			shell.YesNo(&on, "Do you want to enable Directory Harvest Attack Prevention?"),
			shell.When(func() bool { return on },
				atLeastOne(&e.MaxInvalidPerHour,
					"Enter the maximum number of invalid recipients per hour from a remote host."),
				replyForm(&e.Invalid, def.Invalid, limitQuestion, 400)))
		if !on {
			e.MaxInvalidPerHour = 0
		}
		return err
	}
}

// accessForm asks for TLS and SMTP authentication.
func accessForm(e *listener.Effective) shell.Field {
	modes := []listener.TLSMode{listener.Off, listener.Preferred, listener.Required}
	return func(ctx context.Context, d shell.Dialogue) error {
		return d.Form(ctx,
			shell.OneOf(&e.TLS, "Do you want to allow encrypted TLS connections?", modes...),
			shell.OneOf(&e.Auth, "Do you want to allow SMTP authentication?", modes...),
			shell.When(func() bool { return e.Auth != listener.Off },
				shell.YesNo(&e.AuthNeedsTLS, "Require TLS to offer SMTP authentication?")))
	}
}

// senderForm asks whether the domains of envelope senders are verified, and for the answers.
func senderForm(e *listener.Effective, def listener.Effective) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		return d.Form(ctx,
			shell.YesNo(&e.VerifySender, "Would you like to enable envelope sender verification?"),
			shell.When(func() bool { return e.VerifySender },
				replyForm(&e.Malformed, def.Malformed, "Would you like to specify a custom SMTP response for "+
					"malformed envelope senders?", 400),
				replyForm(&e.Unresolved, def.Unresolved, "Would you like to specify a custom SMTP response for "+
					"envelope sender domains which do not resolve?", 400),
				replyForm(&e.NoDomain, def.NoDomain, "Would you like to specify a custom SMTP response for "+
					"envelope sender domains which do not exist?", 400)))
	}
}
