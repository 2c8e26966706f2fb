package commands

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "redirectrecipients",
	Summary: "Send all mail in the queue to another host.",
	Help:    "redirectrecipients host HOST",
	Source:  "mail.md 3.7, invented (text of the warning)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return argumentsOrQuestions(ctx, env,
			func(env *shell.Env) error {
				args := env.Args
				switch {
				case len(args) == 0 || !strings.EqualFold(args[0], "host"):
					return shell.InvalidArgumentf(printable(strings.Join(args, " ")),
						"Expected the word host, and the name of a host.")
				case len(args) == 1:
					return shell.InvalidArgumentf("host", "A value is required after this word.")
				case len(args) > 2:
					return shell.InvalidArgumentf(printable(args[2]), "No more arguments are expected.")
				}
				if err := checkHost(args[1]); err != nil {
					return invalidArgument(args[1], err)
				}
				return redirectRecipients(ctx, env, args[1])
			}, redirectDialogue)
	},
})

func redirectDialogue(ctx context.Context, env *shell.Env) error {
	host, err := env.Ask(ctx, "Please enter the hostname or IP address of the machine you want to "+
		"send all mail to.", "", checkHost)
	if err != nil {
		return err
	}
	env.PrintWrapped("WARNING: redirecting recipients to a host that is not configured to accept " +
		"mail for them will cause the messages to bounce or to be lost.")
	sure, err := env.Confirm(ctx,
		fmt.Sprintf("Are you sure you want to redirect all mail in the queue to %q?", host), false)
	if err != nil || !sure {
		return err
	}
	return redirectRecipients(ctx, env, host)
}

func redirectRecipients(ctx context.Context, env *shell.Env, host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		host = "[" + addr.String() + "]" // as a destination of mail is written
	}
	env.Printf("Redirecting messages, please wait.\n")
	n := env.Appliance.MTA.Delivery.Redirect(ctx, host)
	env.Printf("%d recipients redirected.\n", n)
	return ctx.Err()
}
