package appliancetest_test

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

// TestWhatPeopleAskFor runs the examples in Go of fixtures/clients/README.md. A test of cmd/esasim
// holds that they are here.
func TestWhatPeopleAskFor(t *testing.T) {
	fast := []appliancetest.Option{appliancetest.ClockRate(600)}
	alerting := []appliancetest.Option{appliancetest.Topology("syslog")}
	for _, c := range []struct {
		need    string
		options []appliancetest.Option
		example func(t *testing.T, box *appliancetest.Box)
	}{
		{"Fail the first two deliveries", fast, func(t *testing.T, box *appliancetest.Box) {
			box.Mail("mail").AddRule(topology.MailRule{Action: "reply", Reply: "450 4.2.0 later", Stage: "rcpt", Times: 2})
			box.Send(t, traffic.Request{To: []string{"joe@example.com"}})
			box.Mail("mail").Wait(t.Context(), nil)
		}},
		{"DNS is down for ten seconds", fast, func(t *testing.T, box *appliancetest.Box) {
			box.Fault(t, topology.Rule{Action: "drop", Protocol: "udp", Port: 53, For: 10 * time.Second})
		}},
		{"Cut connections after 4 KB", fast, func(t *testing.T, box *appliancetest.Box) {
			mx := netip.MustParsePrefix("10.0.201.25/32")
			box.Fault(t, topology.Rule{Action: "reset", To: mx, Protocol: "tcp", Port: 25, AfterBytes: 4096})
		}},
		{"Wait for the alert", alerting, func(t *testing.T, box *appliancetest.Box) {
			box.WaitFor(t, "alert", "Network error")
			fmt.Println(box.Mail("mx").Wait(t.Context(), nil).Subject())
		}},
		{"Put everything back", fast, func(t *testing.T, box *appliancetest.Box) {
			box.Reset(t)
			box.Snapshot(t, "prepared") // another state than that after the start
			box.Restore(t, "prepared")
		}},
		{"See the mail", fast, func(t *testing.T, box *appliancetest.Box) {
			box.Send(t, traffic.Request{To: []string{"joe@example.com"}, Subject: "hello"})
			fmt.Println(string(box.Mail("mail").Wait(t.Context(), nil).Data()))
		}},
		{"Watch live", fast, func(t *testing.T, box *appliancetest.Box) {
			next, stop := iter.Pull2(box.Events(t.Context(), 0)) // or: for event, err := range box.Events(...)
			defer stop()
			fmt.Println(next())
		}},
		{"A slow link", fast, func(t *testing.T, box *appliancetest.Box) {
			box.Preset(t, "slow-link")
		}},
		{"The clock shows next month", fast, func(t *testing.T, box *appliancetest.Box) {
			errors.Join(box.NTP("time").Stop(), box.Advance(30*24*time.Hour))
		}},
	} {
		t.Run(c.need, func(t *testing.T) { c.example(t, appliancetest.Start(t, c.options...)) })
	}
}
