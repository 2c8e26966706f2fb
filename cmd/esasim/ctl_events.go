package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/esasim/esasim/appliance/control"
)

// Exit statuses of esasim ctl wait, besides 0 and 1.
const (
	statusTimeout = 2 // it did not happen in time
	statusReset   = 3 // the simulator was reset
)

// A statusError is an error with an exit status of its own.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

type ctlEvents struct {
	Kind  string `placeholder:"KIND,..." predictor:"event" help:"Show events of these kinds only, or of kinds that begin with these words: login, mail.out."`
	Match string `placeholder:"REGEXP" help:"Show events only in whose text or fields this regular expression is found."`
	Since string `placeholder:"CURSOR" help:"Begin after the event of this number, or with all that are kept: all. By default only what happens from now on is shown."`
	Count int    `placeholder:"N" help:"End after so many events. By default the list does not end."`
	JSON  bool   `name:"json" help:"Print JSON, an event a line."`
}

func (c ctlEvents) Run(t stdio, client *control.Client) error {
	n := 0
	query := control.EventQuery{Kind: c.Kind, Match: c.Match, Since: c.Since}
	for e, err := range client.Events(context.Background(), query) {
		if err != nil {
			return err
		}
		printEvent(t.out, e, c.JSON)
		if n++; n == c.Count {
			return nil
		}
	}
	return errors.New("the simulator has stopped")
}

func printEvent(w io.Writer, e control.Event, asJSON bool) {
	if asJSON {
		printLine(w, e)
		return
	}
	cause := ""
	if e.Cause != 0 {
		cause = fmt.Sprintf(" (because of %d)", e.Cause)
	}
	fmt.Fprintf(w, "%d %s %s%s %s\n", e.Seq, e.Time.Format(timeFormat), e.Kind, cause, e.Fields)
}

type ctlWait struct {
	For     string        `arg:"" predictor:"wait" help:"What to wait for: log, packet, mail, alert, fault-hit, login, login-failed, logout, syslog, command, commit, capture, connection, boot, dhcp, or a kind of event such as mail.out.delivered."`
	Match   string        `arg:"" optional:"" help:"A regular expression for the text of a log line, an alert, a command or a syslog record, or for the fields of other events. For packet, a filter as of tcpdump."`
	Since   string        `placeholder:"CURSOR" help:"What has happened after the event of this number counts too; all: what is kept."`
	Timeout time.Duration `default:"30s" placeholder:"TIME" help:"Give up after this time (default: 30s). The exit status is then 2; after a reset it is 3."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

func (c ctlWait) Run(t stdio, client *control.Client) error {
	h, err := client.Wait(context.Background(), c.For, c.Match, c.Since, c.Timeout)
	var refused *control.RequestError
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusRequestTimeout:
		return &statusError{err, statusTimeout}
	case errors.As(err, &refused) && refused.Status == http.StatusConflict:
		return &statusError{err, statusReset}
	case err != nil:
		return err
	case c.JSON:
		return printJSON(t.out, h)
	case h.Packet != nil:
		fmt.Fprintf(t.out, "%s %s %s %s\n", h.Packet.Time.Format(timeFormat), h.Packet.Interface,
			h.Packet.Direction, h.Packet.Summary)
	default:
		printEvent(t.out, *h.Event, false)
	}
	return nil
}

type ctlReset struct {
	To      *string `predictor:"snapshot" placeholder:"NAME" help:"Return to the state of this snapshot and not to that of the start."`
	Confirm bool    `help:"Confirm that configuration, files and mail in a data directory that outlasts the simulator are discarded."`
	JSON    bool    `name:"json" help:"Print JSON."`
}

func (c ctlReset) Run(t stdio, client *control.Client) error {
	if c.To != nil {
		return restoreSnapshot{*c.To, c.Confirm, c.JSON}.Run(t, client)
	}
	r, err := client.Reset(context.Background(), c.Confirm)
	return printReset(t, r, err, c.JSON)
}
