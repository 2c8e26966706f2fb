package commands

import (
	"cmp"
	"context"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "deliveryconfig",
	Summary: "Configure from which interface mail is delivered, and how much at a time.",
	Source:  "mail.md 3.4 (operation, questions), invented (settings above the menu)",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Commit:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			s := delivery.Config.Get(env.Draft)
			return shell.Menu{
				Header: func() {
					env.Printf("\nDefault interface to deliver mail: %s\n"+
						"Maximum outbound message delivery concurrency: %d\n"+
						"Maximum outbound message delivery concurrency with TLS: %d\n",
						cmp.Or(s.Interface, "Auto"), s.MaxConnections, s.MaxTLSConnections)
				},
				Items: []shell.Item{
					{Key: "SETUP", Text: "Configure mail delivery.", Run: withEnv(env, setUpDelivery)},
				},
			}
		})
	},
})

func setUpDelivery(ctx context.Context, env *shell.Env) error {
	return editSection(env, delivery.Config, func(s *delivery.Settings) error {
		return env.Form(ctx,
			sourceInterface(env, &s.Interface, "Choose the default interface to deliver mail."),
			shell.Number(&s.MaxConnections, "Please enter the default system wide maximum outbound "+
				"message delivery concurrency", 1, 10_000),
			shell.Number(&s.MaxTLSConnections, "Please enter the default system wide TLS maximum outbound "+
				"message delivery concurrency", 1, 10_000),
		)
	})
}
