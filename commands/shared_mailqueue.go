package commands

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// This file holds what the commands share that suspend mail or work on the queue.

// mostSeconds is the longest time that connections may be given to end.
const mostSeconds = 3600

// askSeconds asks how long connections may take to end.
func askSeconds(ctx context.Context, env *shell.Env) (time.Duration, error) {
	seconds := 30
	err := env.Form(ctx, shell.Number(&seconds,
		"Enter the number of seconds to wait before abruptly closing connections.", 0, mostSeconds))
	return time.Duration(seconds) * time.Second, err
}

// parseSeconds parses the inline form of askSeconds.
func parseSeconds(word string) (time.Duration, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 || n > mostSeconds {
		return 0, shell.InvalidArgumentf(printable(word),
			"The number of seconds must be an integer from 0 to %d.", mostSeconds)
	}
	return time.Duration(n) * time.Second, nil
}

// onlySeconds returns the number of seconds of a command that has no other argument.
func onlySeconds(ctx context.Context, env *shell.Env) (time.Duration, error) {
	switch len(env.Args) {
	case 0:
		if env.Inline {
			return 30 * time.Second, nil
		}
		return askSeconds(ctx, env)
	case 1:
		return parseSeconds(env.Args[0])
	}
	return 0, shell.InvalidArgumentf(printable(env.Args[1]), "No more arguments are expected.")
}

// listenerNames returns the names of the listeners, or a refusal if there are none.
func listenerNames(env *shell.Env) ([]string, error) {
	var names []string
	for _, l := range env.Appliance.MTA.Listeners() {
		names = append(names, l.Name)
	}
	if names == nil {
		return nil, refusal.New("There are no listeners.")
	}
	return names, nil
}

// chooseListeners asks for listeners. The answer "*", the default, means all.
func chooseListeners(ctx context.Context, env *shell.Env, verb string) ([]string, error) {
	names, err := listenerNames(env)
	if err != nil {
		return nil, err
	}
	question := "Choose the listener(s) you wish to " + verb + ".\n" +
		"Separate multiple entries with commas.\n1. All"
	for i, n := range names {
		question += fmt.Sprintf("\n%d. %s", i+2, n)
	}
	var chosen []string
	_, err = env.Ask(ctx, question, "*", func(answer string) (err error) {
		chosen, err = parseListeners(names, answer)
		return err
	})
	return chosen, err
}

// parseListeners returns the listeners that an answer names, by name or by number in the list.
func parseListeners(names []string, answer string) (chosen []string, err error) {
	for word := range strings.SplitSeq(answer, ",") {
		word = strings.TrimSpace(word)
		if word == "*" || word == "1" || strings.EqualFold(word, "all") {
			return names, nil
		}
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, word) })
		if n, err := strconv.Atoi(word); i < 0 && err == nil {
			i = n - 2
		}
		if i < 0 || i >= len(names) {
			return nil, refusal.Newf("%q is no listener: expected a name or a number from the list.",
				printable(word))
		}
		chosen = append(chosen, names[i])
	}
	return chosen, nil
}

// suspendReceiving suspends listeners, and says which.
func suspendReceiving(ctx context.Context, env *shell.Env, wait time.Duration, names []string) error {
	env.Printf("Waiting for listeners to exit...\n")
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	env.Appliance.MTA.SuspendListeners(bounded, names...)
	for _, n := range names {
		env.Printf("Receiving suspended for %s.\n", n)
	}
	return nil
}

// suspendSending suspends deliveries.
func suspendSending(ctx context.Context, env *shell.Env, wait time.Duration) error {
	env.Printf("Waiting for outgoing deliveries to finish...\n")
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	env.Appliance.MTA.SuspendDelivery(bounded)
	env.Printf("Mail delivery suspended.\n")
	return nil
}

// resumeReceiving resumes listeners, and says which.
func resumeReceiving(env *shell.Env, names []string) {
	env.Appliance.MTA.ResumeListeners(names...)
	for _, n := range names {
		env.Printf("Receiving resumed for %s.\n", n)
	}
}

func resumeSending(env *shell.Env) {
	env.Appliance.MTA.ResumeDelivery()
	env.Printf("Mail delivery resumed.\n")
}

// chooseRecipients asks which queued recipients a command acts on. verb is what it does with
// them: "show", "delete", "bounce".
func chooseRecipients(ctx context.Context, env *shell.Env, verb string) (x delivery.Selection, err error) {
	by, err := env.Choose(ctx, "Please select how you would like to "+verb+" messages:", 0,
		"By recipient host.", "By Envelope From address.", "All.")
	switch {
	case err != nil || by == 2:
	case by == 0:
		x.Domain, err = env.Ask(ctx, "Please enter the hostname for the messages you wish to "+verb+".",
			"", checkHost)
	default:
		var from string
		from, err = env.Ask(ctx,
			"Please enter the Envelope From address for the messages you wish to "+verb+".", "", checkSender)
		x = bySender(from)
	}
	return x, err
}

// onRecipients runs a command on recipients of the queue: those that the arguments select, or the
// user. verb is what the command does with them. If confirm is set, the user is asked before run is
// called.
func onRecipients(ctx context.Context, env *shell.Env, verb string, confirm bool,
	run func(context.Context, *shell.Env, delivery.Selection) error) error {
	return argumentsOrQuestions(ctx, env,
		func(env *shell.Env) error {
			x, err := parseSelection(env.Args)
			if err != nil {
				return err
			}
			return run(ctx, env, x)
		},
		func(ctx context.Context, env *shell.Env) error {
			x, err := chooseRecipients(ctx, env, verb)
			if err == nil && confirm {
				var sure bool
				sure, err = env.Confirm(ctx,
					"Are you sure you want to "+verb+" all "+selectionText(x)+"?", false)
				if !sure {
					return err
				}
			}
			if err != nil {
				return err
			}
			return run(ctx, env, x)
		})
}

// checkHost returns a refusal if an answer is no destination.
func checkHost(answer string) error {
	if strings.HasPrefix(answer, ".") || delivery.CheckDomain(answer) != nil {
		return refusal.Newf("%q is no host: expected a domain such as example.com.", printable(answer))
	}
	return nil
}

// checkSender returns a refusal if an answer is no sender.
func checkSender(answer string) error {
	if answer == "" || strings.ContainsAny(strings.Trim(answer, "<>"), "<> \t") {
		return refusal.Newf("%q is no sender: expected an address, or <> for bounce messages.",
			printable(answer))
	}
	return nil
}

// bySender selects the messages of a sender; <> is the null sender.
func bySender(from string) delivery.Selection {
	from = strings.Trim(from, "<>")
	return delivery.Selection{Sender: from, Null: from == ""}
}

// selectionHelp is the inline form of the commands that select recipients.
const selectionHelp = " all\n%[1]s host HOST\n%[1]s sender ADDRESS"

// parseSelection parses the inline form of chooseRecipients: all, host HOST (-h HOST), sender
// ADDRESS (-f ADDRESS).
func parseSelection(args []string) (x delivery.Selection, err error) {
	if len(args) == 0 {
		return x, shell.InvalidArgumentf("", "Expected one of: all, host, sender.")
	}
	word, rest := strings.ToLower(args[0]), args[1:]
	want := 1
	if word == "all" {
		want = 0
	}
	switch {
	case !slices.Contains([]string{"all", "host", "-h", "sender", "-f"}, word):
		return x, shell.InvalidArgumentf(printable(args[0]), "Expected one of: all, host, sender.")
	case len(rest) < want:
		return x, shell.InvalidArgumentf(printable(args[0]), "A value is required after this word.")
	case len(rest) > want:
		return x, shell.InvalidArgumentf(printable(rest[want]), "No more arguments are expected.")
	}
	switch word {
	case "host", "-h":
		return delivery.Selection{Domain: rest[0]}, invalidArgument(rest[0], checkHost(rest[0]))
	case "sender", "-f":
		return bySender(rest[0]), invalidArgument(rest[0], checkSender(rest[0]))
	}
	return x, nil
}

// selectionText says which messages a question is about.
func selectionText(x delivery.Selection) string {
	switch {
	case x.Domain != "":
		return fmt.Sprintf("messages being delivered to %q", x.Domain)
	case x.Sender != "" || x.Null:
		return fmt.Sprintf("messages from %q", "<"+x.Sender+">")
	}
	return "messages in the queue"
}

// messageHeader returns the header of a message, at most so much of it as people read.
func messageHeader(env *shell.Env, mid uint64) (string, error) {
	body, err := openMessage(env, mid)
	if err != nil {
		return "", err
	}
	defer body.Close()
	const most = 64 << 10
	in := bufio.NewReader(io.LimitReader(body, most))
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if strings.TrimRight(line, "\r\n") == "" || err != nil {
			return b.String(), nil
		}
		b.WriteString(mailText(strings.TrimRight(line, "\r\n")) + "\n")
	}
}

// mailText returns a line of a message, or an address, as a terminal can show it: one with characters
// that a terminal would act on is quoted.
func mailText(s string) string {
	if s == "" {
		return ""
	}
	return visible(s)
}

// openMessage opens a message of the queue for reading. The error is a refusal if there is none.
func openMessage(env *shell.Env, mid uint64) (io.ReadSeekCloser, error) {
	body, err := env.Appliance.MTA.Queue.Body(mid)
	if err != nil {
		return nil, refusal.Because(err, "There is no message with the MID %d in the queue.", mid)
	}
	return body, nil
}

// messageNumber parses a MID.
func messageNumber(word string) (uint64, error) {
	mid, err := strconv.ParseUint(word, 10, 64)
	if err != nil || mid == 0 {
		return 0, refusal.Newf("%q is no MID: expected a number such as 47.", printable(word))
	}
	return mid, nil
}

// askMessage returns the message that a command is about: its only argument, or the answer to a
// question.
func askMessage(ctx context.Context, env *shell.Env, question, def string) (queue.Envelope, error) {
	var found queue.Envelope
	check := func(word string) error {
		mid, err := messageNumber(word)
		if err != nil {
			return err
		}
		var ok bool
		if found, ok = env.Appliance.MTA.Queue.Message(mid); !ok {
			return refusal.Newf("There is no message with the MID %d in the queue.", mid)
		}
		return nil
	}
	switch {
	case len(env.Args) > 1:
		return found, shell.InvalidArgumentf(printable(env.Args[1]), "No more arguments are expected.")
	case len(env.Args) == 1:
		return found, invalidArgument(env.Args[0], check(env.Args[0]))
	case env.Inline:
		return found, shell.InvalidArgumentf("", "A MID is required.")
	}
	_, err := env.Ask(ctx, question, def, check)
	return found, err
}

// printAge prints how old a message is, and its header (mail.md 3.7).
func printAge(env *shell.Env, m queue.Envelope) error {
	age := max(env.Appliance.Clock.Now().Sub(m.Received), 0)
	header, err := messageHeader(env, m.MID)
	if err != nil {
		return err
	}
	env.Printf("MID %d: %s old\n%s", m.MID, ageText(age), header)
	return nil
}

// ageText formats a duration as 1 hour 5 mins 35 secs.
func ageText(d time.Duration) string {
	unit := func(n int, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	s := int(d / time.Second)
	var parts []string
	if s >= 3600 {
		parts = append(parts, unit(s/3600, "hour"))
	}
	if s >= 60 {
		parts = append(parts, unit(s/60%60, "min"))
	}
	return strings.Join(append(parts, unit(s%60, "sec")), " ")
}
