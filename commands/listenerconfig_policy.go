package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// printParameters prints the values that policies have unless they set others.
func printParameters(env *shell.Env, t listener.HostTable) {
	e := t.Effective(listener.Policy{})
	mode := func(m listener.TLSMode) string { return yesOrNo(m != listener.Off) }
	harvest, perHour := "Disabled", "Disabled"
	if e.MaxInvalidPerHour > 0 {
		harvest = "Enabled"
	}
	if e.MaxRecipientsPerHour >= 0 {
		perHour = strconv.Itoa(e.MaxRecipientsPerHour)
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
		"Maximum Number of Recipients per Envelope Sender: Disabled\n"+
		"Use SenderBase for Flow Control: Yes\nSpam Detection Enabled: Yes\n"+
		"Virus Detection Enabled: Yes\nAllow TLS Connections: %s\nAllow SMTP Authentication: %s\n"+
		"Require TLS To Offer SMTP authentication: %s\nDKIM/DomainKeys Signing Enabled: No\n"+
		"DKIM Verification Enabled: No\nSPF/SIDF Verification Enabled: No\n"+
		"DMARC Verification Enabled: No\nEnvelope Sender DNS Verification Enabled: %s\n"+
		"Domain Exception Table Enabled: No\nAccept untagged bounces: No\n",
		perHour, mode(e.TLS), mode(e.Auth), yesOrNo(e.AuthNeedsTLS), yesOrNo(e.VerifySender))
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
			text, shift := strings.ToLower(answer), 0
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
		})
		return err
	}
}

// policyForm asks what a policy does.
func policyForm(t listener.HostTable, p *listener.Policy) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if err := d.Form(ctx, shell.OneOf(&p.Action, "Choose the behavior of the policy.",
			listener.Accept, listener.Relay, listener.Reject, listener.TCPRefuse, listener.Continue),
		); err != nil {
			return err
		}
		change := false
		switch p.Action {
		case listener.Accept, listener.Relay:
			return d.Form(ctx,
				shell.YesNo(&change, "Would you like to change the values of this policy?"),
				shell.When(func() bool { return change },
					parametersForm(&p.Parameters, t.Effective(listener.Policy{}))))
		case listener.Reject:
			return d.Form(ctx, rejectionForm(&p.Parameters, t.Effective(listener.Policy{})))
		}
		return nil
	}
}

// rejectionForm asks for the answer to clients that a policy rejects.
func rejectionForm(p *listener.Parameters, def listener.Effective) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		e := def.With(*p)
		custom := e.RejectBanner != ""
		err := d.Form(ctx,
			shell.YesNo(&custom, "Would you like to specify a custom SMTP reject response?"),
			shell.When(func() bool { return custom },
				shell.Number(&e.RejectCode, "Enter the SMTP code to use in the response.", 500, 599),
				shell.Text(&e.RejectBanner, "Enter your custom SMTP response.", checkReply)))
		if !custom {
			p.RejectCode, p.RejectBanner = nil, nil
			return err
		}
		p.RejectCode, p.RejectBanner = &e.RejectCode, &e.RejectBanner
		return err
	}
}

// setUnless stores v. A value that is not set yet stays so if v is the default, and follows the
// default then.
func setUnless[T comparable](to **T, v, def T) {
	if *to != nil || v != def {
		*to = &v
	}
}

// parametersForm asks for the values of a policy, or of the table. def has the values that hold
// where p sets none.
func parametersForm(p *listener.Parameters, def listener.Effective) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		e := def.With(*p)
		modes := []listener.TLSMode{listener.Off, listener.Preferred, listener.Required}
		limited, harvest := e.MaxRecipientsPerHour >= 0, e.MaxInvalidPerHour > 0
		const most = 1_000_000
		err := d.Form(ctx,
			sizeField(&e.MaxMessageSize, "Enter the maximum message size. Add a trailing k for kilobytes, "+
				"M for megabytes, or no letters for bytes."),
			shell.Number(&e.MaxConnections,
				"Enter the maximum number of concurrent connections allowed from a single IP address.", 1, most),
			shell.Number(&e.MaxMessages, "Enter the maximum number of messages per connection.", 1, most),
			shell.Number(&e.MaxRecipients, "Enter the maximum number of recipients per message.", 1, most),
			shell.YesNo(&limited, "Do you want to enable rate limiting per host?"),
			shell.When(func() bool { return limited }, func(ctx context.Context, d shell.Dialogue) error {
				e.MaxRecipientsPerHour = max(e.MaxRecipientsPerHour, 1)
				return d.Form(ctx, shell.Number(&e.MaxRecipientsPerHour,
					"Enter the maximum number of recipients per hour from a remote host.", 1, most))
			}),
			shell.YesNo(&harvest, "Do you want to enable Directory Harvest Attack Prevention?"),
			shell.When(func() bool { return harvest }, func(ctx context.Context, d shell.Dialogue) error {
				e.MaxInvalidPerHour = max(e.MaxInvalidPerHour, 1)
				return d.Form(ctx, shell.Number(&e.MaxInvalidPerHour,
					"Enter the maximum number of invalid recipients per hour from a remote host.", 1, most))
			}),
			shell.OneOf(&e.TLS, "Do you want to allow encrypted TLS connections?", modes...),
			shell.OneOf(&e.Auth, "Do you want to allow SMTP authentication?", modes...),
			shell.When(func() bool { return e.Auth != listener.Off },
				shell.YesNo(&e.AuthNeedsTLS, "Require TLS to offer SMTP authentication?")),
			shell.YesNo(&e.VerifySender, "Would you like to enable envelope sender verification?"),
		)
		if !limited {
			e.MaxRecipientsPerHour = -1
		}
		if !harvest {
			e.MaxInvalidPerHour = 0
		}
		setUnless(&p.MaxMessageSize, e.MaxMessageSize, def.MaxMessageSize)
		setUnless(&p.MaxConnections, e.MaxConnections, def.MaxConnections)
		setUnless(&p.MaxMessages, e.MaxMessages, def.MaxMessages)
		setUnless(&p.MaxRecipients, e.MaxRecipients, def.MaxRecipients)
		setUnless(&p.MaxRecipientsPerHour, e.MaxRecipientsPerHour, def.MaxRecipientsPerHour)
		setUnless(&p.MaxInvalidPerHour, e.MaxInvalidPerHour, def.MaxInvalidPerHour)
		setUnless(&p.TLS, e.TLS, def.TLS)
		setUnless(&p.Auth, e.Auth, def.Auth)
		setUnless(&p.AuthNeedsTLS, e.AuthNeedsTLS, def.AuthNeedsTLS)
		setUnless(&p.VerifySender, e.VerifySender, def.VerifySender)
		return err
	}
}
