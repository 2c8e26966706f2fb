package appliancetest_test

import (
	"fmt"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/traffic"
)

// A simulated host sends a message. The test fails if the appliance does not accept it.
func ExampleBox_Send() {
	box := appliancetest.Start(t)
	answer := box.Send(t, traffic.Request{
		Host: "relay", From: "ann@example.com", To: []string{"joe@example.net"}, Subject: "hello",
	})
	fmt.Println(answer.Complete, answer.Replies[0].Code)
	message := box.Mail("mail2").Wait(t.Context(), nil)
	fmt.Println(message.From, message.To, message.Subject())
	// Output:
	// true 220
	// ann@example.com [joe@example.net] hello
}
