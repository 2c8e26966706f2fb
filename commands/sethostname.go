package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "sethostname",
	Summary: "Set the name of the machine.",
	Help:    "sethostname [name]\n\nThe prompt shows the new name once it is committed.",
	Source:  "invented",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Commit:  true,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		name := netconfig.Hostname.Get(env.Draft)
		if len(env.Args) > 0 {
			if len(env.Args) > 1 {
				return shell.InvalidArgumentf(env.Args[1], "Only one host name is expected.")
			}
			if err := netconfig.CheckHostname(env.Args[0]); err != nil {
				return invalidArgument(env.Args[0], err)
			}
			netconfig.Hostname.Set(env.Draft, env.Args[0])
			return nil
		}
		err := env.Form(ctx, shell.Text(&name, "", netconfig.CheckHostname))
		if err == nil {
			netconfig.Hostname.Set(env.Draft, name)
		}
		return err
	},
})
