package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resetqueue",
	Summary: "Delete all messages in the queue.",
	Help: foldHelp("No bounce messages are sent. Deliveries that are under way are interrupted. " +
		"There is no way to get the messages back."),
	Source: "invented",
	Roles:  []users.Role{users.Administrator, users.Operator},
	Mode:   shell.MachineMode,
	Run: func(ctx context.Context, env *shell.Env) error {
		if env.Appliance.MTA.Queue.Stats().Messages == 0 {
			env.Printf("There are no messages in the queue.\n")
			return nil
		}
		env.PrintWrapped("WARNING: This command deletes all messages in the queue. " +
			"They are neither delivered nor bounced.")
		sure, err := env.Confirm(ctx, "Are you sure you want to delete all messages in the queue?", false)
		if err != nil || !sure {
			return err
		}
		env.Printf("%d messages deleted.\n", emptyQueue(ctx, env))
		return nil
	},
})

// emptyQueue deletes all messages, and returns how many there were.
func emptyQueue(ctx context.Context, env *shell.Env) (messages int) {
	mail := env.Appliance.MTA
	messages, _ = mail.Delivery.Delete(ctx, delivery.Selection{})
	if mail.Queue.Stats().Messages == 0 || ctx.Err() != nil {
		return messages
	}
	// What is left is being delivered.
	atOnce, cancel := context.WithCancel(ctx)
	cancel()
	if mail.SuspendDelivery(atOnce) {
		defer mail.ResumeDelivery()
	}
	more, _ := mail.Delivery.Delete(ctx, delivery.Selection{})
	return messages + more
}
