package commands

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strconv"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "grep",
	Summary: "Search for text in a log file.",
	Help: `grep [-C count] [-e regex] [-i] [-p] [-t] [-v] [regex] log_name

Searches all files of a log, the oldest first.

-C count   shows this number of lines around each matching line
-e regex   is a regular expression to search for; it may be given more than once
-i         ignores the case of letters
-p         stops at the end of each page
-t         searches the end of the log, and then each line as it is written, until Ctrl-C is pressed
-v         shows the lines that do not match`,
	Source: "public (inline form, refusal), invented (questions, -v)",
	Roles:  logRoles,
	Mode:   shell.MachineMode,
	Batch:  true,
	Run: func(ctx context.Context, env *shell.Env) error {
		var s search
		err := argumentsOrQuestions(ctx, env, s.parse, s.ask)
		if err == nil {
			err = checkTextLog(s.log)
		}
		if err != nil {
			return err
		}
		if s.tail {
			f := searchState{search: &s}
			return followLog(ctx, env, s.log.Name, tailLines, f.next)
		}
		return s.run(ctx, env)
	},
})

// A search is one search of grep.
type search struct {
	log          logs.Subscription
	patterns     []*regexp.Regexp // one of them must match
	invert       bool
	tail         bool
	paged        bool
	contextLines int // lines around each that is found
}

// matches reports whether the search finds a line.
func (s *search) matches(line string) bool {
	found := slices.ContainsFunc(s.patterns, func(re *regexp.Regexp) bool {
		return re.MatchString(line)
	})
	return found != s.invert
}

func (s *search) ask(ctx context.Context, env *shell.Env) (err error) {
	s.log, err = chooseLog(ctx, env, committedLogs(env),
		"Enter the number of the log you wish to grep.")
	if err != nil {
		return err
	}
	var answer regexAnswer
	err = env.Form(ctx,
		answer.field("Enter the regular expression to grep."),
		shell.YesNo(&s.invert, "Do you want to search for non-matching lines?"),
		shell.YesNo(&s.tail, "Do you want to tail the logs?"),
		shell.When(func() bool { return !s.tail },
			shell.YesNo(&s.paged, "Do you want to paginate the output?")),
	)
	if err != nil {
		return err
	}
	re, err := answer.compile()
	s.patterns = []*regexp.Regexp{re}
	return err
}

// parse parses the inline form.
func (s *search) parse(env *shell.Env) error {
	var patterns, words []string
	insensitive := false
	for args := env.Args; len(args) > 0; args = args[1:] {
		arg := args[0]
		if len(arg) < 2 || arg[0] != '-' {
			words = append(words, arg)
			continue
		}
		for i := 1; i < len(arg); i++ {
			switch arg[i] {
			case 'i':
				insensitive = true
			case 'p':
				s.paged = true
			case 't':
				s.tail = true
			case 'v':
				s.invert = true
			case 'e', 'C':
				value := arg[i+1:]
				if value == "" {
					if args = args[1:]; len(args) == 0 {
						return shell.InvalidArgumentf(arg, "The option -%c needs a value.", arg[i])
					}
					value = args[0]
				}
				if arg[i] == 'e' {
					patterns = append(patterns, value)
				} else if n, err := strconv.Atoi(value); err != nil || n < 0 || n > maxContextLines {
					return shell.InvalidArgumentf(value,
						"The number of lines around a match must be an integer from 0 to %d.",
						maxContextLines)
				} else {
					s.contextLines = n
				}
				i = len(arg)
			default:
				return shell.InvalidArgumentf(arg, "The options are -C, -e, -i, -p, -t and -v.")
			}
		}
	}
	return s.validate(env, patterns, words, insensitive)
}

// maxContextLines bounds the number of lines that are kept in case the next one matches.
const maxContextLines = 1000

func (s *search) validate(env *shell.Env, patterns, words []string, insensitive bool) (err error) {
	if len(patterns) == 0 && len(words) > 0 {
		patterns, words = words[:1], words[1:]
	}
	switch {
	case s.tail && s.paged:
		return shell.InvalidArgumentf("-p", "The options -t and -p cannot be combined.")
	case len(patterns) == 0:
		return shell.InvalidArgumentf("", "A regular expression and the name of a log are required.")
	case len(words) == 0:
		return shell.InvalidArgumentf(patterns[len(patterns)-1],
			"The name of a log must follow the regular expression.")
	case len(words) > 1:
		return shell.InvalidArgumentf(words[1],
			"A regular expression and the name of one log are expected.")
	}
	for _, p := range patterns {
		re, err := compileArgument(p, insensitive)
		if err != nil {
			return err
		}
		s.patterns = append(s.patterns, re)
	}
	s.log, err = logArgument(committedLogs(env), words[0])
	return err
}

// run prints the matching lines of the log's files.
func (s *search) run(ctx context.Context, env *shell.Env) error {
	var out io.Writer = env
	if s.paged {
		out = env.Pager(ctx)
	}
	f := searchState{search: s}
	err := eachLine(ctx, env, s.log.Name, nil, func(line string) error {
		for _, text := range f.next(line) {
			if _, err := io.WriteString(out, text+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !f.found {
		return refusal.New("No results were found. Use another regular expression(s) to search.")
	}
	return nil
}

// A searchState is a search of a sequence of lines.
type searchState struct {
	*search
	found  bool
	before []string // the preceding lines, as context of the next match
	after  int      // number of lines still to be shown as context of the last match
	gap    bool     // lines between those already shown and before have been left out
}

// next takes a line and returns the lines to be shown now.
func (f *searchState) next(line string) []string {
	switch {
	case f.matches(line):
		var show []string
		if f.gap && f.found && f.contextLines > 0 {
			show = []string{"--"}
		}
		show = append(append(show, f.before...), line)
		f.found, f.gap, f.before, f.after = true, false, nil, f.contextLines
		return show
	case f.after > 0:
		f.after--
		return []string{line}
	case f.contextLines > 0:
		if f.before = append(f.before, line); len(f.before) > f.contextLines {
			f.before, f.gap = f.before[1:], true
		}
	}
	return nil
}
