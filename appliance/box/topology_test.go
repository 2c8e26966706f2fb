package box_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A box that is started with the topology of another one as it is has the same topology: with
// faults, rules, stopped servers and doors that were changed.
func TestTopologyAsItIs(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	for _, s := range []netsim.FaultSpec{
		{Rule: topology.Rule{Action: "loss", Loss: 0.1, Path: "google", Name: "some: \"loss\""}},
		{Rule: topology.Rule{Action: "drop"}, Disabled: true},
		{Rule: topology.Rule{Action: "delay", Delay: time.Second, Cable: "Data 2", Protocol: "tcp", Connections: 2}},
		{Rule: topology.Rule{Action: "drop", Path: "google6", After: 24 * time.Hour, For: time.Hour}},
	} {
		if _, err := b.Faults().AddSpec(s); err != nil {
			t.Fatal(err)
		}
	}
	mail, err := b.Mail("mail")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []topology.MailRule{
		{Action: "reply", Reply: "450 4.2.0 two\nlines", Stage: "rcpt", Share: 0.25},
		{Action: "cut", Stage: "connect", Times: 3},
	} {
		if _, err := mail.AddRule(r); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Appliance().Net.Dial(t.Context(), network.DialConfig{Remote: netip.MustParseAddrPort("10.0.201.25:25")})
	if err == nil { // the first of the three cuts comes before or after the handshake is complete
		_, err = io.ReadAll(c)
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection was not cut: %v", err)
	}
	if err := b.World().StopServer("server/echo"); err != nil {
		t.Fatal(err)
	}
	now := b.Topology()
	if len(now.Rules) != 3 || now.Rules[0].After == 0 || now.Rules[0].After > 24*time.Hour || now.Rules[0].For != time.Hour {
		t.Errorf("rules: %+v", now.Rules)
	}
	if rules := serviceOf(now, "mail/mx").Rules; len(rules) != 2 || rules[0].Times != 2 {
		t.Errorf("rules of the mail server: %+v", rules)
	}
	now.Rules[0].After = 23 * time.Hour // the rest of the test does not depend on time
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := box.LoadTopology("now.yaml", now.Encode())
	if err != nil {
		t.Fatalf("%v\n%s", err, now.Encode())
	}
	next, err := box.New(box.Options{
		Topology: again, Dir: t.TempDir(), HostKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Start(t.Context()); err != nil { // behind the same doors
		t.Fatal(err)
	}
	defer next.Stop(context.Background())
	got := next.Topology()
	if left := got.Rules[0].After; left <= 0 || left > 23*time.Hour {
		t.Errorf("the fault begins in %v", left)
	}
	got.Rules[0].After = 23 * time.Hour
	if !bytes.Equal(got.Encode(), now.Encode()) {
		t.Errorf("the second box has\n%s\nwant\n%s", got.Encode(), now.Encode())
	}
	if s, err := next.World().Server("server/echo"); err != nil || s.Running {
		t.Errorf("the stopped server: %+v, %v", s, err)
	}
	if err := next.World().StartServer(t.Context(), "server/echo"); err != nil {
		t.Fatal(err)
	}
	if err := next.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := next.World().Server("server/echo"); err != nil || s.Running {
		t.Errorf("after a reset: %+v, %v", s, err)
	}
}

func serviceOf(t *topology.Topology, name string) topology.Service {
	for _, h := range t.Hosts {
		for _, s := range h.Services {
			if s.Name == name {
				return s
			}
		}
	}
	return topology.Service{}
}
