package box_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// mail waits until a mail exchanger has received a number of mails, and prints them.
func (s *scenario) mail(ts *testscript.TestScript, args []string) error {
	x, ok := s.box.World().Peer(args[0]).(*peers.MailExchanger)
	if !ok {
		return fmt.Errorf("%s is no mail exchanger", args[0])
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
	defer cancel()
	mails, err := x.Await(ctx, want)
	if err != nil {
		return err
	}
	if len(mails) != want {
		return fmt.Errorf("%d mails were received, want %d", len(mails), want)
	}
	for _, m := range mails {
		fmt.Fprintf(ts.Stdout(), "from %s to %s\n%s\n", m.From, strings.Join(m.To, " "), strings.ReplaceAll(string(m.Data), "\r\n", "\n"))
	}
	return nil
}

// log waits until the text of a log of the appliance matches a pattern, and prints it.
func (s *scenario) log(ts *testscript.TestScript, args []string) error {
	pattern, err := regexp.Compile("(?ms)" + args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
	defer cancel()
	f, err := s.box.Appliance().Logs.Follow(ctx, args[0], 1000)
	if err != nil {
		return err
	}
	var text strings.Builder
	for !pattern.MatchString(text.String()) {
		lines, err := f.Next(ctx)
		if err != nil {
			return fmt.Errorf("%w; the log is\n%s", err, &text)
		}
		text.Write(lines)
	}
	_, err = fmt.Fprint(ts.Stdout(), &text)
	return err
}
