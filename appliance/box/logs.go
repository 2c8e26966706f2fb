package box

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/network/netsim"
)

// Bounds of a LogQuery.
const (
	DefaultLogLines = 10
	MaxLogLines     = 100_000
)

// A Log is a subscription of the appliance.
type Log struct {
	Name      string `json:"name"`      // "mail_logs"
	Type      string `json:"type"`      // as logconfig lists it: "IronPort Text Mail Logs"
	Level     string `json:"level"`     // "Information"
	Retrieval string `json:"retrieval"` // manual, ftp_push, scp_push or syslog
	Files     int    `json:"files"`
	Lost      int    `json:"lost"` // lines that the disk could not take
	// Push is what was sent to a syslog server; nil if the log is not pushed to one.
	Push *LogPush `json:"push,omitempty"`
}

// A LogPush is how far a log has been sent to a syslog server.
type LogPush struct {
	Connected string `json:"connected,omitempty"` // the server's address, while there is a connection
	Waiting   int    `json:"waiting"`             // lines that are still to be sent
	Sent      int    `json:"sent"`
	Lost      int    `json:"lost"`            // in flight when a connection broke
	Dropped   int    `json:"dropped"`         // for which there was no room in the queue
	Breaks    int    `json:"breaks"`          // connections that the server closed
	Failures  int    `json:"failures"`        // connections that could not be opened, or fell silent
	Error     string `json:"error,omitempty"` // of the last break or failure
}

// Logs returns the committed subscriptions, sorted by name.
func (b *Box) Logs(ctx context.Context) ([]Log, error) {
	a := b.Appliance()
	list := []Log{}
	for _, s := range logs.Section.Get(a.Config.Committed()).List {
		files, err := a.Logs.Files(ctx, s.Name)
		if err != nil && !errors.Is(err, logs.ErrNoSubscription) {
			return nil, fmt.Errorf("list the files of the log %s: %w", s.Name, err)
		}
		x := Log{
			Name: s.Name, Type: s.Type.Spec().Title, Level: s.Level.Title(), Retrieval: string(s.Method),
			Files: len(files), Lost: a.Logs.LostLines(s.Name),
		}
		if stats, ok := a.Logs.PushStats(s.Name); ok {
			x.Push = &LogPush{
				stats.Connected, stats.Waiting, stats.Sent, stats.Lost, stats.Dropped, stats.Breaks,
				stats.Failures, stats.LastError,
			}
		}
		list = append(list, x)
	}
	return list, nil
}

// A LogQuery selects lines of a log.
type LogQuery struct {
	Match string // a regular expression that is found in the line; "" matches every line
	Lines int    // how many lines at most, the newest; 0 means DefaultLogLines
}

// check returns the regular expression; nil: every line matches.
func (q *LogQuery) check() (*regexp.Regexp, error) {
	if q.Lines == 0 {
		q.Lines = DefaultLogLines
	}
	if q.Lines < 0 || q.Lines > MaxLogLines {
		return nil, &FieldError{"lines", fmt.Sprint(q.Lines), fmt.Sprintf(
			"expected a number of lines from 1 to %d", MaxLogLines)}
	}
	if q.Match == "" {
		return nil, nil
	}
	re, err := regexp.Compile(q.Match)
	if err != nil {
		return nil, &FieldError{"match", q.Match,
			fmt.Sprintf("expected a regular expression: %v", err)}
	}
	return re, nil
}

// textLog returns an error if there is no log of that name, or if it has no lines.
func (b *Box) textLog(name string) error {
	subscriptions := logs.Section.Get(b.Appliance().Config.Committed()).List
	i := slices.IndexFunc(subscriptions, func(s logs.Subscription) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range subscriptions {
			names = append(names, s.Name)
		}
		return netsim.NotFound("there is no log %q, expected one of %s", name, strings.Join(names, ", "))
	}
	if subscriptions[i].Type.Spec().Format == logs.Binary {
		return netsim.Conflict("the log %s is not a text file", name)
	}
	return nil
}

// LogLines returns the newest lines of a log that match, in their order: those of its saved files
// too. Everything that was written before is in them. The error is a *FieldError if q makes no
// sense, a *netsim.NotFoundError if there is no such log, or a *netsim.ConflictError if it is no
// text.
func (b *Box) LogLines(ctx context.Context, name string, q LogQuery) ([]string, error) {
	match, err := q.check()
	if err == nil {
		err = b.textLog(name)
	}
	if err != nil {
		return nil, err
	}
	hub := b.Appliance().Logs
	files, err := hub.Files(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("list the files of the log %s: %w", name, err)
	}
	found := []string{}
	for _, file := range slices.Backward(files) {
		older := []string{} // not nil even without a line: an empty list in JSON
		err := hub.ReadLines(ctx, file, func(line string) error {
			if match == nil || match.MatchString(line) {
				if older = append(older, line); len(older) >= 2*q.Lines {
					older = slices.Clone(older[len(older)-q.Lines:])
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		found = append(older, found...)
		if len(found) >= q.Lines {
			return found[len(found)-q.Lines:], nil
		}
	}
	return found, nil
}

// FollowLog yields the last q.Lines lines of the current file of a log, as far as they match, and
// then each line that matches as it is written, until ctx ends or the appliance stops. If the
// request is refused, or the log is removed, the last thing that it yields is an error as of
// LogLines.
func (b *Box) FollowLog(ctx context.Context, name string, q LogQuery) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		match, err := q.check()
		if err == nil {
			err = b.textLog(name)
		}
		if err != nil {
			yield("", err)
			return
		}
		i := b.current()
		ctx, end := context.WithCancelCause(ctx)
		defer end(nil)
		defer context.AfterFunc(i.ctx, func() { end(context.Cause(i.ctx)) })()
		f, err := i.appliance.Logs.Follow(ctx, name, q.Lines)
		for err == nil {
			var text []byte
			if text, err = f.Next(ctx); err != nil {
				break
			}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSuffix(line, "\n")
				if (match == nil || match.MatchString(line)) && !yield(line, nil) {
					return
				}
			}
		}
		if ctx.Err() == nil {
			yield("", err)
		}
	}
}
