package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that the commands about logs share.

// logRoles are the roles whose groups include "log".
var logRoles = []users.Role{users.Administrator, users.Operator, users.ReadOnlyOperator}

// committedLogs returns the committed subscriptions.
func committedLogs(env *shell.Env) []logs.Subscription {
	return logs.Section.Get(env.Appliance.Config.Committed()).List
}

// printLogs prints a list of subscriptions in the form that this version has.
func printLogs(env *shell.Env, list []logs.Subscription) {
	if env.Appliance.Product.Version.Before(product.Version{Major: 12}) {
		for i, s := range list {
			env.PrintWrapped(fmt.Sprintf("%d. \"%s\" Type: \"%s\" Retrieval: %s",
				i+1, s.Name, s.Type.Spec().Title, methodTitle(env, s.Method)))
		}
		return
	}
	env.Printf("    %-19s %-29s %-19s %s\n%s\n",
		"Log Name", "Log Type", "Retrieval", "Interval", strings.Repeat("-", 81))
	for i, s := range list {
		env.Printf("%2d. %-19s %-29s %-19s %s\n",
			i+1, s.Name, s.Type.Spec().Title, methodTitle(env, s.Method), rolloverText(s))
	}
}

// rolloverText describes the schedule by which a subscription is rolled over.
func rolloverText(s logs.Subscription) string {
	switch s.Schedule {
	case logs.Interval:
		text := (time.Duration(s.IntervalSeconds) * time.Second).String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-2]
			}
		}
		return text
	case logs.Daily:
		return "Daily, " + s.TimeOfDay
	case logs.Weekly:
		return string(s.Day) + ", " + s.TimeOfDay
	}
	return "None"
}

func methodTitle(env *shell.Env, m logs.Method) string {
	switch {
	case m == logs.Syslog:
		return "Syslog Push"
	case m == logs.FTPPush:
		return "FTP Push"
	case m == logs.SCPPush:
		return "SCP Push"
	case env.Appliance.Product.Version.Before(product.Version{Major: 8}):
		return "FTP Poll"
	}
	return "Manual Download"
}

// chooseLog shows a list of logs and asks for one, by number or by name.
func chooseLog(
	ctx context.Context, env *shell.Env, list []logs.Subscription, question string,
) (logs.Subscription, error) {
	var chosen logs.Subscription
	env.Printf("Currently configured logs:\n")
	printLogs(env, list)
	_, err := env.Ask(ctx, question, "", func(answer string) (err error) {
		chosen, err = findLog(list, answer)
		return err
	})
	return chosen, err
}

func findLog(list []logs.Subscription, answer string) (logs.Subscription, error) {
	for _, s := range list {
		if strings.EqualFold(s.Name, answer) {
			return s, nil
		}
	}
	n, err := strconv.Atoi(answer)
	if err != nil || n < 1 || n > len(list) {
		return logs.Subscription{}, refusal.Newf(
			"The value must be an integer from 1 to %d, or the name of a log.", len(list))
	}
	return list[n-1], nil
}

// logArgument returns the log that an argument names.
func logArgument(list []logs.Subscription, name string) (logs.Subscription, error) {
	for _, s := range list {
		if s.Name == name {
			return s, nil
		}
	}
	return logs.Subscription{}, shell.InvalidArgumentf(name, "The log does not exist.")
}

// checkTextLog refuses logs in a binary format.
func checkTextLog(s logs.Subscription) error {
	if s.Type.Spec().Format == logs.Binary {
		return refusal.Newf("The log %s is not a text file: it cannot be displayed.", s.Name)
	}
	return nil
}

// tailLines is the number of existing lines that followLog begins with.
const tailLines = 10

// followLog prints the last lines of a log, and then each line as it is written, until Ctrl-C
// is pressed. If filter is not nil, followLog calls it with each line and prints the lines
// that it returns.
func followLog(
	ctx context.Context, env *shell.Env, name string, last int, filter func(string) []string) error {
	f, err := env.Appliance.Logs.Follow(ctx, name, last)
	if err != nil {
		return err
	}
	env.Printf("Press Ctrl-C to stop.\n")
	for {
		text, err := f.Next(ctx)
		if err != nil {
			return err
		}
		if filter == nil {
			env.Printf("%s", text)
			continue
		}
		for line := range strings.Lines(string(text)) {
			for _, found := range filter(line[:len(line)-1]) {
				env.Printf("%s\n", found)
			}
		}
	}
}

// eachLine calls f for every line of a log's files, oldest first, without the line's end. If
// selectFiles is not nil, it chooses among the names of the files. eachLine stops if f returns
// an error or ctx ends.
func eachLine(
	ctx context.Context, env *shell.Env, name string,
	selectFiles func([]string) []string, f func(line string) error) error {
	names, err := env.Appliance.Logs.Files(ctx, name)
	if err != nil {
		return err
	}
	if selectFiles != nil {
		names = selectFiles(names)
	}
	for _, n := range names {
		if err := env.Appliance.Logs.ReadLines(ctx, n, f); err != nil {
			return err
		}
	}
	return nil
}
