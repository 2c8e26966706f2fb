package commands

import (
	"context"
	"fmt"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "bouncerecipients",
	Summary: "Bounce messages from the queue.",
	Help:    fmt.Sprintf("%[1]s"+selectionHelp, "bouncerecipients"),
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return onRecipients(ctx, env, "bounce", true, bounceRecipients)
	},
})

func bounceRecipients(ctx context.Context, env *shell.Env, x delivery.Selection) error {
	env.Printf("Bouncing messages, please wait.\n")
	messages, _ := env.Appliance.MTA.Delivery.Bounce(ctx, x)
	env.Printf("%d messages bounced.\n", messages)
	return ctx.Err()
}
