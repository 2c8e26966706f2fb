package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/mail"
	"github.com/esasim/esasim/appliance/mta"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "mailconfig",
	Summary: "Mail the whole configuration to an address.",
	Help: "mailconfig <address>[,<address>...] [y|n] [option]\n\n" + passphraseHelp + "\n" +
		"The message passes the mail queue. Its sender is that of alerts.",
	Source: "cli.md (questions, result), invented (inline form, the message)",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		var to []string
		var passphrases config.Passphrases
		err := argumentsOrQuestions(ctx, env,
			func(env *shell.Env) (err error) {
				if len(env.Args) == 0 {
					return shell.InvalidArgumentf("", "An address is required.")
				}
				if to, err = parseAddresses(env.Args[0]); err != nil {
					return invalidArgument(env.Args[0], err)
				}
				passphrases, err = passphraseArguments(env, env.Args[1:])
				return err
			},
			func(ctx context.Context, env *shell.Env) error {
				_, err := env.Ask(ctx, "Please enter the email address to which you want to send\n"+
					"the configuration file. Separate multiple addresses with commas.", "",
					func(answer string) (err error) {
						to, err = parseAddresses(answer)
						return err
					})
				if err != nil {
					return err
				}
				passphrases, err = askPassphrases(ctx, env)
				return err
			})
		if err != nil {
			return err
		}
		if err := mailConfiguration(ctx, env, to, passphrases); err != nil {
			return err
		}
		env.PrintWrapped("The configuration file has been sent to " + strings.Join(to, ", ") + ".")
		return nil
	},
})

// mailConfiguration queues a message with the committed configuration.
func mailConfiguration(
	ctx context.Context, env *shell.Env, to []string, passphrases config.Passphrases) error {
	base, text, err := configFile(env, passphrases)
	if err != nil {
		return err
	}
	a := env.Appliance
	host := a.Hostname()
	from := alert.Section.Get(a.Config.Committed()).Sender(host)
	m := mail.Message{
		From:    fmt.Sprintf("IronPort %s <%s>", a.Product.Model, from),
		To:      to,
		Subject: "Configuration file of " + host,
		Date:    a.Now(),
		ID:      fmt.Sprintf("%x.mailconfig@%s", a.Now().UnixNano(), host),
		Text:    fmt.Sprintf("The configuration file of %s is attached.\n", host),
		Attachment: &mail.Attachment{
			Name: base + ".xml", Type: "application/xml", Data: text,
		},
	}
	_, err = a.MTA.Submit(ctx, mta.OwnMessage{By: "mailconfig", From: from, To: to, Data: m.Bytes()})
	if errors.Is(err, queue.ErrQuota) || errors.Is(err, queue.ErrDiskFull) {
		return refusal.Because(err, "The configuration file cannot be sent: the mail queue is full.")
	}
	return err
}
