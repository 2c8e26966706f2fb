package commands

import (
	"context"
	"regexp"
	"slices"
	"strconv"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "findevent",
	Summary: "Find events in mail log files.",
	Help: `findevent [-i] [-f from | -s subject | -t to] log_name
findevent -m mid log_name

Finds messages by a regular expression for the envelope sender, an envelope recipient or
the subject, or by number, and shows what the log says of one.

-i         ignores the case of letters`,
	Source: "public (inline form, line of a match), invented (questions)",
	Roles:  logRoles,
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		var q trackingQuery
		err := argumentsOrQuestions(ctx, env, q.parse, q.ask)
		if err != nil {
			return err
		}
		mid := q.mid
		if q.re != nil {
			if mid, err = q.find(ctx, env); err != nil || mid == 0 {
				return err
			}
		}
		return q.show(ctx, env, mid)
	},
})

// A trackingQuery is one search of findevent.
type trackingQuery struct {
	by          searchField
	re          *regexp.Regexp // nil: by mid
	mid         int
	log         string
	selectFiles func([]string) []string // among the log's files; nil: all
}

func (q *trackingQuery) ask(ctx context.Context, env *shell.Env) error {
	const byMID = 1
	by, err := env.Choose(ctx, "Please choose which type of search you want to perform:", 0,
		"Search by envelope FROM", "Search by Message ID", "Search by Subject", "Search by envelope TO")
	if err != nil {
		return err
	}
	if by == byMID {
		err = env.Form(ctx,
			shell.Text(new(string), "Enter the Message ID (MID) to search for.", q.setMID))
	} else {
		q.by = map[int]searchField{0: byFrom, 2: bySubject, 3: byTo}[by]
		err = q.askPattern(ctx, env)
	}
	if err != nil {
		return err
	}
	log, err := chooseLog(ctx, env, mailLogs(env),
		"Enter the number of the log you wish to use for message tracking.")
	if err != nil {
		return err
	}
	q.log = log.Name
	return q.askFiles(ctx, env)
}

func (q *trackingQuery) askPattern(ctx context.Context, env *shell.Env) error {
	var answer regexAnswer
	err := env.Form(ctx, answer.field("Enter the regular expression to search for."))
	if err == nil {
		q.re, err = answer.compile()
	}
	return err
}

func (q *trackingQuery) askFiles(ctx context.Context, env *shell.Env) error {
	which, err := env.Choose(ctx, "Please choose which set of logs to search:", 2,
		"All available log files", "Select log files by date list", "Current log file")
	if err != nil {
		return err
	}
	switch which {
	case 1:
		return q.askDates(ctx, env)
	case 2:
		q.selectFiles = func(names []string) []string { return names[max(0, len(names)-1):] }
	}
	return nil
}

// askDates asks for files by the times at which they begin.
func (q *trackingQuery) askDates(ctx context.Context, env *shell.Env) error {
	names, err := env.Appliance.Logs.Files(ctx, q.log)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return refusal.New("There are no log files yet.")
	}
	dates := make([]string, len(names))
	for i, n := range names {
		dates[i] = logs.FileTime(n).Format("Mon Jan _2 15:04:05 2006")
	}
	picked, err := env.ChooseSeveral(ctx,
		"Choose the log files that begin at these times, separated by commas.",
		[]int{len(names) - 1}, dates...)
	if err != nil {
		return err
	}
	var chosen []string
	for _, i := range picked {
		chosen = append(chosen, names[i])
	}
	q.selectFiles = func([]string) []string { return chosen }
	return nil
}

// mailLogs returns the subscriptions that log messages.
func mailLogs(env *shell.Env) []logs.Subscription {
	return slices.DeleteFunc(committedLogs(env), func(s logs.Subscription) bool {
		return s.Type != logs.Mail
	})
}

func (q *trackingQuery) setMID(answer string) error {
	n, err := strconv.Atoi(answer)
	if err != nil || n < 1 {
		return refusal.New("The Message ID must be a positive integer.")
	}
	q.mid = n
	return nil
}

// parse parses the inline form.
func (q *trackingQuery) parse(env *shell.Env) error {
	insensitive := false
	var pattern string
	var words []string
	for args := env.Args; len(args) > 0; args = args[1:] {
		arg := args[0]
		by, search := map[string]searchField{"-f": byFrom, "-s": bySubject, "-t": byTo}[arg]
		switch {
		case arg == "-i":
			insensitive = true
		case search || arg == "-m":
			if len(args) < 2 {
				return shell.InvalidArgumentf(arg, "The option %s needs a value.", arg)
			}
			if pattern != "" || q.mid != 0 {
				return shell.InvalidArgumentf(arg, "Only one of -f, -m, -s and -t can be given.")
			}
			args = args[1:]
			if !search {
				if err := q.setMID(args[0]); err != nil {
					return invalidArgument(args[0], err)
				}
				continue
			}
			q.by, pattern = by, args[0]
		case len(arg) > 1 && arg[0] == '-':
			return shell.InvalidArgumentf(arg, "The options are -f, -i, -m, -s and -t.")
		default:
			words = append(words, arg)
		}
	}
	return q.validate(env, pattern, words, insensitive)
}

// validate sets the regular expression and the log of the query.
func (q *trackingQuery) validate(
	env *shell.Env, pattern string, words []string, insensitive bool) (err error) {
	switch {
	case q.mid == 0 && pattern == "":
		return shell.InvalidArgumentf("",
			"One of -f, -m, -s and -t, and the name of a log, are required.")
	case len(words) == 0:
		return shell.InvalidArgumentf("", "The name of a log is required.")
	case len(words) > 1:
		return shell.InvalidArgumentf(words[1], "The name of one log is expected.")
	}
	if pattern != "" {
		if q.re, err = compileArgument(pattern, insensitive); err != nil {
			return err
		}
	}
	if _, err := logArgument(committedLogs(env), words[0]); err != nil {
		return err
	}
	if _, err := logArgument(mailLogs(env), words[0]); err != nil {
		return shell.InvalidArgumentf(words[0], "The log is not a mail log.")
	}
	q.log = words[0]
	return nil
}
