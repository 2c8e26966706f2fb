package commands

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "showrecipients",
	Summary: "Show messages in the queue.",
	Help:    fmt.Sprintf("%[1]s"+selectionHelp, "showrecipients"),
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		return onRecipients(ctx, env, "show", false, showRecipients)
	},
})

// recipientRow returns a row of showrecipients.
func recipientRow(a, b any, c, d string) string {
	return strings.TrimRight(fmt.Sprintf("%-8v %-8v %-32s %s", a, b, c, d), " ") + "\n"
}

func showRecipients(ctx context.Context, env *shell.Env, x delivery.Selection) (err error) {
	env.Printf("Showing messages, please wait.\n\n")
	out := env.Pager(ctx)
	head := false
	env.Appliance.MTA.Delivery.Select(x, func(m queue.Envelope) bool {
		if !head {
			head = true
			_, err = io.WriteString(out, recipientRow("MID/", "Bytes/", "Sender/", "Subject")+
				recipientRow("[RID]", "[Atmps]", "Recipient", ""))
		}
		if err == nil {
			_, err = io.WriteString(out, recipientLines(env, m))
		}
		return err == nil && ctx.Err() == nil
	})
	if !head {
		env.Printf("There are no messages.\n")
	}
	return err
}

// recipientLines returns the rows of a message and its recipients.
func recipientLines(env *shell.Env, m queue.Envelope) string {
	from := m.From
	if from == "" {
		from = "<>"
	}
	var b strings.Builder
	b.WriteString(recipientRow(m.MID, m.Size, mailText(from), subjectOf(env, m.MID)))
	for _, r := range m.Recipients {
		b.WriteString(recipientRow(fmt.Sprintf("[%d]", r.RID), fmt.Sprintf("[%d]", r.Attempts),
			mailText(r.Address), ""))
	}
	return b.String()
}

// subjectOf returns the subject of a message on one line.
func subjectOf(env *shell.Env, mid uint64) string {
	header, err := messageHeader(env, mid)
	if err != nil {
		return "" // it has just been delivered
	}
	for line := range strings.Lines(header) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Subject") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
