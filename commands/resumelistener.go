package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "resumelistener",
	Summary: "Resume receiving.",
	Help:    "resumelistener LISTENER|all",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return argumentsOrQuestions(ctx, env, resumeListenerInline,
			func(ctx context.Context, env *shell.Env) error {
				names, err := chooseListeners(ctx, env, "resume")
				if err != nil {
					return err
				}
				resumeReceiving(env, names)
				return nil
			})
	},
})

func resumeListenerInline(env *shell.Env) error {
	switch {
	case len(env.Args) == 0:
		return shell.InvalidArgumentf("", "Expected the name of a listener, or all.")
	case len(env.Args) > 1:
		return shell.InvalidArgumentf(printable(env.Args[1]), "No more arguments are expected.")
	}
	all, err := listenerNames(env)
	if err != nil {
		return err
	}
	names, err := parseListeners(all, env.Args[0])
	if err != nil {
		return invalidArgument(env.Args[0], err)
	}
	resumeReceiving(env, names)
	return nil
}
