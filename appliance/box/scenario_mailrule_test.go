package box_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// mailrule changes the rules of a mail server, lists them, or waits until one has applied.
func (s *scenario) mailrule(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("mailrule %q, expected add, list, remove or await, and a server", args)
	}
	m, err := s.box.Mail(args[1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "add":
		return addMailRule(ts, m, args[2:])
	case "remove":
		m.ClearRules()
		return nil
	case "await":
		return awaitMailRule(ts, m, args[2:])
	}
	if len(m.Rules()) == 0 {
		fmt.Fprintln(ts.Stdout(), "no rules")
	}
	for _, r := range m.Rules() {
		fmt.Fprintln(ts.Stdout(), r.ID, r.State, r.Hits, r.Rule)
	}
	return nil
}

// addMailRule adds a rule that is written as an action and KEY=VALUE. "\n" in a value is a line feed.
func addMailRule(ts *testscript.TestScript, m *box.MailServer, args []string) error {
	keys := map[string]string{"action": args[0]}
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		keys[key] = strings.ReplaceAll(value, `\n`, "\n")
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	var r topology.MailRule
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	state, err := m.AddRule(r)
	if err == nil {
		fmt.Fprintln(ts.Stdout(), state.ID)
	}
	return err
}

func awaitMailRule(ts *testscript.TestScript, m *box.MailServer, args []string) error {
	id, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scenarioTimeout)
	defer cancel()
	for {
		r, err := m.Rule(id)
		if err != nil {
			return err
		}
		if r.Hits >= want {
			fmt.Fprintln(ts.Stdout(), r.ID, r.State, r.Hits, r.Rule)
			return nil
		}
		if err := clock.System().Sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("the rule has applied only %d times", r.Hits)
		}
	}
}
