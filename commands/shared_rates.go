package commands

import (
	"context"
	"strconv"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/shell"
)

// This file holds what the commands share that display a line of figures again and again.

const (
	defaultInterval = 10   // seconds
	maxInterval     = 3600 // seconds
	linesPerHeading = 20   // after which the heading is displayed again
)

// intervalQuestion asks for the number of seconds between lines.
func intervalQuestion(seconds *int) shell.Field {
	return shell.Number(seconds, "Enter the number of seconds between displays.", 1, maxInterval)
}

// intervalArgument returns the number of seconds between lines that an argument says.
func intervalArgument(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 || n > maxInterval {
		return 0, shell.InvalidArgumentf(printable(arg),
			"The number of seconds must be an integer from 1 to %d.", maxInterval)
	}
	return n, nil
}

// displayEvery prints a heading and a line, and another line each time that the interval has
// passed, until Ctrl-C is pressed.
func displayEvery(ctx context.Context, env *shell.Env, seconds int, heading string,
	line func()) error {
	env.Printf("Type Ctrl-C to return to the main prompt.\n\n")
	var timers clock.Group
	defer timers.Wait()
	passed := make(chan struct{}, 1)
	for n := 0; ; n++ {
		stop := timers.AfterFunc(env.Appliance.Clock, time.Duration(seconds)*time.Second, func() {
			passed <- struct{}{} // there is room: the last one has been received
		})
		if n%linesPerHeading == 0 {
			env.Printf("%s\n", heading)
		}
		line()
		select {
		case <-passed:
		case <-ctx.Done():
			stop()
			return context.Cause(ctx)
		}
	}
}
