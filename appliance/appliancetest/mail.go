package appliancetest

import (
	"context"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A Mail is a simulated mail server of a box. Its methods are those of a box.MailServer, except that
// the test fails instead of getting an error.
type Mail struct {
	*box.MailServer
	t testing.TB
}

// Mail returns the mail server of that name: the name of its host, such as "mail" in topology lab,
// or HOST/TYPE if the host has several. If there is none, the test fails with the names that there
// are.
func (b *Box) Mail(server string) *Mail {
	b.t.Helper()
	m, err := b.Box.Mail(server)
	if err != nil {
		b.t.Fatal("appliancetest: ", err)
	}
	return &Mail{m, b.t}
}

// Wait waits for a message for which match returns true, which may have arrived already, and
// returns the first one. A nil match accepts every message. If none arrives until ctx ends or a
// minute has passed, the test fails.
func (m *Mail) Wait(ctx context.Context, match func(peers.Message) bool) peers.Message {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	message, err := m.MailServer.Wait(ctx, match)
	if err != nil {
		m.t.Fatal("appliancetest: ", err)
	}
	return message
}

// AddRule adds a rule, which makes the server misbehave until the rule is removed or exhausted, and
// returns it with its number. If the rule has a mistake, the test fails.
func (m *Mail) AddRule(r topology.MailRule) peers.MailRuleState {
	m.t.Helper()
	state, err := m.MailServer.AddRule(r)
	if err != nil {
		m.t.Fatal("appliancetest: mail rule: ", err)
	}
	return state
}
