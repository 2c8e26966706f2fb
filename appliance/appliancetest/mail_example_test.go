package appliancetest_test

import (
	"fmt"
	"net/smtp"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// The mail server of example.com does not know a recipient, so that the sender gets a bounce message.
func ExampleBox_Mail() {
	box := appliancetest.Start(t)
	box.Mail("mail").AddRule(topology.MailRule{
		Action: "reply", Reply: "550 5.1.1 No such user", Stage: "rcpt", Recipient: "nobody@*",
	})
	door := box.DoorAddrs()["smtp"].String()
	text := []byte("Subject: hello\r\n\r\nhello\r\n")
	if err := smtp.SendMail(door, nil, "ann@example.net", []string{"nobody@example.com"}, text); err != nil {
		t.Fatal(err)
	}
	bounce := box.Mail("mail2").Wait(t.Context(), nil)
	fmt.Printf("from <%s> to %s: %s\n", bounce.From, bounce.To, bounce.Subject())
	fmt.Println(box.Mail("mail").Rules()[0].Hits, "reply by the rule")
	// Output:
	// from <> to [ann@example.net]: Delivery Status Notification (Failure)
	// 1 reply by the rule
}
