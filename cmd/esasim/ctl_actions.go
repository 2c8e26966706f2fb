package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/shell"
)

type ctlLog struct {
	List listLogs `cmd:"" help:"List the log subscriptions."`
	Tail tailLog  `cmd:"" help:"Show the newest lines of a log."`
	Grep grepLog  `cmd:"" help:"Show the lines of a log in which a regular expression is found."`
}

type listLogs struct{ output }

func (l listLogs) Run(t stdio, client *control.Client) error {
	list, err := client.Logs(context.Background())
	return printList(l.output, t, list, err, listing[box.Log]{
		empty:    "There are no logs.",
		headings: "NAME\tTYPE\tLEVEL\tFILES\tRETRIEVAL",
		row: func(x box.Log) string {
			how := x.Retrieval
			if x.Push != nil {
				how += fmt.Sprintf(", %d sent, %d waiting", x.Push.Sent, x.Push.Waiting)
			}
			return fmt.Sprintf("%s\t%s\t%s\t%d\t%s", x.Name, x.Type, x.Level, x.Files, how)
		},
	})
}

type tailLog struct {
	Log string `arg:"" predictor:"log" help:"The name of a log: see esasim ctl log list."`
	logLines
}

func (l tailLog) Run(t stdio, client *control.Client) error {
	return l.print(t, client, l.Log, "", box.DefaultLogLines)
}

type grepLog struct {
	Match string `arg:"" name:"regexp" help:"A regular expression."`
	Log   string `arg:"" predictor:"log" help:"The name of a log: see esasim ctl log list."`
	logLines
}

// grepLines is how many lines grep shows by default.
const grepLines = 1000

func (l grepLog) Run(t stdio, client *control.Client) error {
	return l.print(t, client, l.Log, l.Match, grepLines)
}

// logLines are the flags of the verbs that show lines of a log.
type logLines struct {
	Lines  int  `short:"n" placeholder:"N" help:"How many lines at most, the newest (default: 10 for tail, 1000 for grep)."`
	Follow bool `short:"f" help:"Go on with each line that is written, until Ctrl-C."`
	JSON   bool `name:"json" help:"Print JSON; with --follow, a text a line."`
}

func (l logLines) print(t stdio, client *control.Client, name, match string, lines int) error {
	if l.Lines != 0 {
		lines = l.Lines
	}
	q := box.LogQuery{Match: match, Lines: lines}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if l.Follow {
		return pointTo("esasim ctl log list", client.FollowLog(ctx, name, q, func(line string) bool {
			if l.JSON {
				printLine(t.out, line)
				return true
			}
			_, err := fmt.Fprintln(t.out, line)
			return err == nil
		}))
	}
	list, err := client.LogLines(ctx, name, q)
	return output{l.JSON}.print(t, list, pointTo("esasim ctl log list", err), func(w io.Writer) error {
		for _, line := range list {
			fmt.Fprintln(w, line)
		}
		return nil
	})
}

type ctlConfig struct {
	Show    showConfig    `cmd:"" help:"Print the committed configuration as XML, as showconfig does."`
	Load    loadConfig    `cmd:"" help:"Load a configuration, or a part of one, from a file. It takes effect when it is committed."`
	Changes showChanges   `cmd:"" help:"Show the changes that were loaded and are not committed."`
	Commit  commitChanges `cmd:"" help:"Commit the changes that were loaded."`
	Discard discardChange `cmd:"" help:"Discard the changes that were loaded and are not committed."`
}

type showConfig struct {
	Passphrases string `predictor:"passphrases" placeholder:"FORM" help:"How passphrases are written: masked (default; such a file cannot be loaded), encrypted, or before version 14 plain."`
}

func (s showConfig) Run(t stdio, client *control.Client) error {
	return client.CopyConfig(context.Background(), s.Passphrases, t.out)
}

type loadConfig struct {
	File   string `arg:"" predictor:"file" help:"A file in the form of showconfig, or - for standard input. It may hold some sections only."`
	Commit bool   `help:"Commit the changes too."`
	output
}

func (l loadConfig) Run(t stdio, client *control.Client) error {
	text, err := readInput(t, l.File)
	if err != nil {
		return err
	}
	changes, err := client.LoadConfig(context.Background(), string(text))
	if err == nil && l.Commit && len(changes) > 0 {
		_, err = client.CommitConfig(context.Background(), "", "")
	}
	return printChanges(l.output, t, changes, err)
}

type showChanges struct{ output }

func (s showChanges) Run(t stdio, client *control.Client) error {
	changes, err := client.ConfigChanges(context.Background())
	return printChanges(s.output, t, changes, err)
}

func printChanges(o output, t stdio, changes []box.ConfigChange, err error) error {
	return printList(o, t, changes, err, listing[box.ConfigChange]{
		empty: "There are no changes.",
		row: func(c box.ConfigChange) string {
			text := strings.Repeat("  ", c.Depth) + printable(c.Name) + ":"
			if c.Change != "" {
				text += " " + printable(c.Change)
			}
			return text
		},
	})
}

type commitChanges struct {
	Comment string `arg:"" optional:"" help:"A comment, which logs and commitdetail show."`
	User    string `predictor:"user" placeholder:"NAME" help:"The account that commits (default: admin)."`
	output
}

func (c commitChanges) Run(t stdio, client *control.Client) error {
	r, err := client.CommitConfig(context.Background(), c.User, c.Comment)
	return c.print(t, r, err, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "Revision %d was committed at %s.\n", r.Revision, r.Time.Format(timeFormat))
		return err
	})
}

type discardChange struct{}

func (discardChange) Run(client *control.Client) error {
	return client.DiscardConfig(context.Background())
}

type runLine struct {
	Line    []string      `arg:"" name:"command" predictor:"command" passthrough:"" help:"A command with its arguments. In quotes, several with semicolons between them."`
	User    string        `predictor:"user" placeholder:"NAME" help:"The account that runs it (default: admin)."`
	Answer  []string      `short:"a" sep:"none" placeholder:"TEXT" help:"The answer to the next question. Each question needs one; an empty one takes the default."`
	Timeout time.Duration `placeholder:"TIME" help:"Interrupt the command after this time, as Ctrl-C does (default: 30s)."`
	output
}

// Help describes the exit status.
func (runLine) Help() string {
	return "Flags stand before the command. The exit status is 0 if all commands succeed, 2 if a question was" +
		" left without an answer, and 1 otherwise."
}

func (r runLine) Run(t stdio, client *control.Client) error {
	result, err := client.Run(context.Background(), box.Command{
		Line: strings.Join(r.Line, " "), User: r.User, Answers: r.Answer,
		Timeout: netsim.Duration(r.Timeout),
	})
	err = r.print(t, result, err, func(w io.Writer) error {
		_, err := io.WriteString(w, result.Output)
		return err
	})
	switch {
	case err != nil:
		return err
	case result.Ended == shell.LineUnanswered:
		return &statusError{errors.New("a question was left without an answer: give one with --answer"), 2}
	case result.Ended != shell.LineDone && result.Ended != shell.LineLogout:
		return fmt.Errorf("the command has ended early: %s", result.Ended)
	case result.Unused > 0:
		return fmt.Errorf("no question asked for the last answers: %d of %d", result.Unused, len(r.Answer))
	case result.Uncommitted:
		return errors.New("changes of the configuration were not committed, and are lost:" +
			" add a semicolon and commit")
	case result.Status != 0:
		return errors.New("the command was refused or has failed")
	}
	return nil
}

type ctlMetrics struct{}

func (ctlMetrics) Run(t stdio, client *control.Client) error {
	return client.CopyMetrics(context.Background(), t.out)
}

type ctlWorld struct{}

func (ctlWorld) Run(t stdio, client *control.Client) error {
	return client.CopyTopology(context.Background(), t.out)
}
