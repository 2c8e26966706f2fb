package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "oldmessage",
	Summary: "Show the oldest message in the queue.",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Run: func(_ context.Context, env *shell.Env) error {
		var oldest queue.Envelope
		env.Appliance.MTA.Queue.Each(func(m *queue.Envelope) bool {
			if oldest.MID == 0 || m.Received.Before(oldest.Received) {
				oldest = *m
			}
			return true
		})
		if oldest.MID == 0 {
			env.Printf("There are no messages.\n")
			return nil
		}
		return printAge(env, oldest)
	},
})
