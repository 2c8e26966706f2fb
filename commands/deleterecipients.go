package commands

import (
	"context"
	"fmt"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "deleterecipients",
	Summary: "Delete messages from the queue.",
	Help:    fmt.Sprintf("%[1]s"+selectionHelp, "deleterecipients"),
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return onRecipients(ctx, env, "delete", true, deleteRecipients)
	},
})

func deleteRecipients(ctx context.Context, env *shell.Env, x delivery.Selection) error {
	env.Printf("Deleting messages, please wait.\n")
	messages, _ := env.Appliance.MTA.Delivery.Delete(ctx, x)
	env.Printf("%d messages deleted.\n", messages)
	return ctx.Err()
}
