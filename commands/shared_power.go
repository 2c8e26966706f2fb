package commands

import (
	"context"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

const powerHelp = "Users are logged out at once. Services have this number of seconds to finish; " +
	"then their\nconnections are closed."

// powerDialogue is the conversation of reboot and shutdown. It asks how long connections may
// take to end and whether the administrator is sure, prints message and ends this session.
func powerDialogue(
	ctx context.Context, env *shell.Env, action appliance.PowerAction, verb, message string) error {
	seconds := 30
	if len(env.Args) > 0 {
		n, err := strconv.Atoi(env.Args[0])
		if err != nil || n < 0 || n > 3600 || len(env.Args) > 1 {
			return shell.InvalidArgumentf(env.Args[len(env.Args)-1],
				"The number of seconds must be an integer from 0 to 3600.")
		}
		seconds = n
	} else {
		err := env.Form(ctx, shell.Number(&seconds,
			"Enter the number of seconds to wait before abruptly closing connections.", 0, 3600))
		if err != nil {
			return err
		}
		sure, err := env.Confirm(ctx, "Are you sure you want to "+verb+"?", false)
		if err != nil || !sure {
			return err
		}
	}
	if !env.Appliance.Power(action, time.Duration(seconds)*time.Second) {
		return refusal.New("It is not possible to " + verb + " this system.")
	}
	env.Printf("%s\n", message)
	return shell.ErrLogout
}
