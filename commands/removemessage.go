package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "removemessage",
	Summary: "Remove a message from the queue.",
	Help:    "removemessage MID\n\nWith a MID, the message is removed without a question.",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		m, err := askMessage(ctx, env, "Enter the MID to remove.", "")
		if err != nil {
			return err
		}
		if err := printAge(env, m); err != nil {
			return err
		}
		if len(env.Args) == 0 {
			sure, err := env.Confirm(ctx, "Remove this message?", false)
			if err != nil || !sure {
				return err
			}
		}
		n, _ := env.Appliance.MTA.Delivery.Delete(ctx, delivery.Selection{MID: m.MID})
		if n == 0 {
			return refusal.Newf("The message %d is being delivered, or has been.", m.MID)
		}
		return nil
	},
})
