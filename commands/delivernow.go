package commands

import (
	"context"
	"strings"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "delivernow",
	Summary: "Schedule messages for immediate delivery.",
	Help:    "delivernow all\ndelivernow DOMAIN",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return argumentsOrQuestions(ctx, env, deliverNowInline, deliverNowDialogue)
	},
})

func deliverNowDialogue(ctx context.Context, env *shell.Env) error {
	by, err := env.Choose(ctx, "Please choose an option for scheduling immediate delivery.", 0,
		"By recipient domain", "All messages")
	domain := ""
	if err == nil && by == 0 {
		domain, err = env.Ask(ctx, "Please enter the domain to schedule for delivery.", "", checkHost)
	}
	if err != nil {
		return err
	}
	deliverNow(env, domain)
	return nil
}

func deliverNowInline(env *shell.Env) error {
	switch {
	case len(env.Args) == 0:
		return shell.InvalidArgumentf("", "Expected a domain, or all.")
	case len(env.Args) > 1:
		return shell.InvalidArgumentf(printable(env.Args[1]), "No more arguments are expected.")
	}
	domain := env.Args[0]
	if strings.EqualFold(domain, "all") {
		deliverNow(env, "")
		return nil
	}
	if err := checkHost(domain); err != nil {
		return invalidArgument(domain, err)
	}
	deliverNow(env, domain)
	return nil
}

// deliverNow has the messages for a domain tried at once, all for "".
func deliverNow(env *shell.Env, domain string) {
	env.Appliance.MTA.Delivery.DeliverNow(domain)
	if domain == "" {
		env.Printf("Scheduling all messages for delivery.\n")
		return
	}
	env.Printf("Scheduling all messages to %s for delivery.\n", domain)
}
