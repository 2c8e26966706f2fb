package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/esasim/esasim/appliance/files"
	"github.com/esasim/esasim/appliance/mta/delivery"
	"github.com/esasim/esasim/appliance/mta/queue"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

var _ = register(&shell.Command{
	Name:    "archivemessage",
	Summary: "Save a message of the queue in a file, and remove it.",
	Help:    "archivemessage MID",
	Source:  "mail.md 3.7",
	Roles:   []users.Role{users.Administrator, users.Operator},
	Mode:    shell.MachineMode,
	Batch:   true,
	Run: func(ctx context.Context, env *shell.Env) error {
		m, err := askMessage(ctx, env, "Enter the MID to archive and remove.", "0")
		if err != nil {
			return err
		}
		name := fmt.Sprintf("oldmessage_%d.mbox", m.MID)
		if err := archive(env, m, path.Join(files.Configuration, name)); err != nil {
			return err
		}
		if n, _ := env.Appliance.MTA.Delivery.Delete(ctx, delivery.Selection{MID: m.MID}); n == 0 {
			return refusal.Newf("The message %d has been saved in file %s, but it is being delivered, "+
				"or has been.", m.MID, name)
		}
		env.Printf("MID %d has been saved in file %s in the configuration directory\n", m.MID, name)
		return nil
	},
})

// archive writes a message to a file in the format of mbox.
func archive(env *shell.Env, m queue.Envelope, file string) (err error) {
	body, err := openMessage(env, m.MID)
	if err != nil {
		return err
	}
	defer body.Close()
	from := m.From
	if from == "" {
		from = "MAILER-DAEMON"
	}
	out, err := env.Appliance.Files.Create(file)
	if err != nil {
		return archiveRefusal(err)
	}
	_, err = fmt.Fprintf(out, "From %s %s\n", from,
		m.Received.In(env.Appliance.Zone()).Format("Mon Jan _2 15:04:05 2006"))
	for _, r := range m.Recipients {
		if err == nil {
			_, err = fmt.Fprintf(out, "X-IronPort-RCPT-TO: %s\n", r.Address)
		}
	}
	if err == nil {
		_, err = io.Copy(out, body)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return archiveRefusal(err)
	}
	return nil
}

func archiveRefusal(err error) error {
	if text, ok := refusal.Text(err); ok {
		return refusal.Because(err, "The message was not saved: %s", strings.ToLower(text[:1])+text[1:])
	}
	return refusal.Because(err, "The message could not be saved.")
}
