package appliancetest_test

import (
	"context"
	"errors"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

func TestMailServerIsFoundByName(t *testing.T) {
	b := appliancetest.Start(t)
	for _, name := range []string{"mail", "mail/mx"} {
		if _, err := b.Box.Mail(name); err != nil {
			t.Error(err)
		}
	}
	var missing *netsim.NotFoundError
	if _, err := b.Box.Mail("mx"); !errors.As(err, &missing) || err.Error() != `there is no mail server "mx", expected one of mail, mail2` {
		t.Errorf("a wrong name: %v", err)
	}
	var mistake *topology.RuleError
	m := b.Mail("mail")
	if _, err := m.MailServer.AddRule(topology.MailRule{Action: "cut"}); !errors.As(err, &mistake) || mistake.Key != "stage" {
		t.Errorf("a mistaken rule: %v", err)
	}
	if err := m.RemoveRule(1); !errors.As(err, &missing) {
		t.Errorf("no rule: %v", err)
	}
	if _, err := m.Message(1); !errors.As(err, &missing) {
		t.Errorf("no message: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := m.MailServer.Wait(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "none of the 0 messages that have arrived at the mail server mail matches") {
		t.Errorf("no mail: %v", err)
	}
}

// Wait goes on while the appliance reboots, and ignores mail that does not match.
func TestWaitForMailDuringAReboot(t *testing.T) {
	b := appliancetest.Start(t)
	m := b.Mail("mail")
	arrived := make(chan peers.Message, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	go func() {
		defer close(arrived)
		x, err := m.MailServer.Wait(ctx, func(x peers.Message) bool { return x.Subject() == "second" })
		if err != nil {
			t.Error(err)
			return
		}
		arrived <- x
	}()
	b.Exec("reboot 0")
	if err := b.WaitSettled(ctx); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"first", "second"} {
		text := "Subject: " + subject + "\r\n\r\nhello\r\n"
		if err := smtp.SendMail(b.DoorAddrs()["smtp"].String(), nil, "ann@example.net", []string{"joe@example.com"}, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if x := <-arrived; x.Subject() != "second" || x.To[0] != "joe@example.com" {
		t.Errorf("got %+v", x)
	}
	m.Clear()
	if box := m.Mailbox(); box.Received != 0 || len(box.Messages) != 0 {
		t.Errorf("after Clear: %+v", box)
	}
}
