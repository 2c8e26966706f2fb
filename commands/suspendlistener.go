package commands

import (
	"context"

	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "suspendlistener",
	Summary: "Suspend receiving.",
	Help:    "suspendlistener LISTENER|all [seconds]\n\nSeveral listeners are separated by commas.",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return argumentsOrQuestions(ctx, env,
			func(env *shell.Env) error { return suspendListenerInline(ctx, env) },
			func(ctx context.Context, env *shell.Env) error {
				names, err := chooseListeners(ctx, env, "suspend")
				if err != nil {
					return err
				}
				wait, err := askSeconds(ctx, env)
				if err != nil {
					return err
				}
				return suspendReceiving(ctx, env, wait, names)
			})
	},
})

func suspendListenerInline(ctx context.Context, env *shell.Env) error {
	args := env.Args
	if len(args) == 0 {
		return shell.InvalidArgumentf("", "Expected the name of a listener, or all.")
	}
	all, err := listenerNames(env)
	if err != nil {
		return err
	}
	names, err := parseListeners(all, args[0])
	if err != nil {
		return invalidArgument(args[0], err)
	}
	wait, err := parseSeconds("30")
	if len(args) > 1 {
		wait, err = parseSeconds(args[1])
	}
	if len(args) > 2 {
		err = shell.InvalidArgumentf(printable(args[2]), "No more arguments are expected.")
	}
	if err != nil {
		return err
	}
	return suspendReceiving(ctx, env, wait, names)
}
