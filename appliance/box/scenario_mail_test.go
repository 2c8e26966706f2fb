package box_test

import (
	"context"
	"fmt"
	"net/smtp"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// send sends a message through the SMTP door. The appliance has accepted it when send returns.
func (s *scenario) send(_ *testscript.TestScript, args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("send %q, expected a subject, a sender and recipients", args)
	}
	text := fmt.Appendf(nil, "Subject: %s\r\n\r\nhello\r\n", args[0])
	return smtp.SendMail(s.box.DoorAddrs()["smtp"].String(), nil, args[1], args[2:], text)
}

// mail waits until a mail exchanger has received a number of mails, and prints them.
func (s *scenario) mail(ts *testscript.TestScript, args []string) error {
	x, err := s.box.Mail(args[0])
	if err != nil {
		return err
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
		fmt.Fprintf(ts.Stdout(), "from %s to %s\n%s\n", m.From, strings.Join(m.To, " "), strings.ReplaceAll(string(m.Data()), "\r\n", "\n"))
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
