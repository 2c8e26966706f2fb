package control_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/control"
)

// Logs, the configuration and commands, as a client in Go uses them.
func TestActions(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	c, ctx := dialControl(t, "unix", socket), within(t)
	r, err := c.Run(ctx, box.Command{Line: "sethostname; commit -y", Answers: []string{"one.example.com"}})
	if err != nil || r.Status != 0 || !strings.Contains(r.Output, "[example.com]> ") {
		t.Errorf("%+v, %v", r, err)
	}
	lines, err := c.LogLines(ctx, "system_logs", box.LogQuery{Match: "commit changes", Lines: 5})
	if err != nil || len(lines) != 1 {
		t.Errorf("%q, %v", lines, err)
	}
	if list, err := c.Logs(ctx); err != nil || len(list) < 10 {
		t.Errorf("%+v, %v", list, err)
	}
	follow, stop := context.WithCancel(ctx)
	defer stop()
	err = c.FollowLog(follow, "cli_logs", box.LogQuery{Match: "sethostname"}, func(line string) bool {
		return !strings.Contains(line, "sethostname; commit")
	})
	if err != nil || follow.Err() != nil {
		t.Error(err)
	}
	changes, err := c.LoadConfig(ctx, "<config><hostname>two.example.com</hostname></config>")
	if err != nil || len(changes) != 1 {
		t.Errorf("%+v, %v", changes, err)
	}
	if again, err := c.ConfigChanges(ctx); err != nil || len(again) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if revision, err := c.CommitConfig(ctx, "", "x"); err != nil || revision.Revision != 2 {
		t.Errorf("%+v, %v", revision, err)
	}
	var text bytes.Buffer
	if err := c.CopyConfig(ctx, "encrypted", &text); err != nil || !strings.Contains(text.String(), "<hostname>two.example.com</hostname>") {
		t.Errorf("%.300s, %v", text.String(), err)
	}
	if err := c.DiscardConfig(ctx); err != nil {
		t.Error(err)
	}
}

// Refusals name the field and its value.
func TestActionsRefuse(t *testing.T) {
	b := startBox(t, nil)
	socket, _ := serve(t, b)
	client := socketClient(t, socket)
	for _, c := range []struct {
		method, path, body string
		status             int
		field, value       string
	}{
		{"GET", "/v1/logs/mail_logs?match=(", "", 400, "match", `"("`},
		{"GET", "/v1/logs/mail_logs?lines=many", "", 400, "lines", `"many"`},
		{"GET", "/v1/logs/mail_logs?follow=2", "", 400, "follow", `"2"`},
		{"GET", "/v1/logs/no_logs", "", 404, "", ""},
		{"GET", "/v1/logs/no_logs?follow=1", "", 404, "", ""},
		{"GET", "/v1/config?passphrases=plain", "", 400, "passphrases", `"plain"`},
		{"POST", "/v1/config", `{"xml": "<config><hostnam>x</hostnam></config>"}`, 400, "hostnam", `"x"`},
		{"POST", "/v1/config", `{"xml": "<config><hostname>x y</hostname></config>"}`, 400, "hostname", ""},
		{"POST", "/v1/config", `{}`, 400, "xml", "null"},
		{"POST", "/v1/config/commit", `{}`, 409, "", `""`},
		{"POST", "/v1/commands", `{"line": ""}`, 400, "line", `""`},
		{"POST", "/v1/commands", `{"line": "date", "user": "nobody"}`, 404, "", ""},
		{"POST", "/v1/commands", `{"line": "date", "answers": ["a\nb"]}`, 400, "answers[0]", `"a\nb"`},
		{"POST", "/v1/commands", `{"line": "date", "timeout": "1h"}`, 400, "timeout", `"1h0m0s"`},
	} {
		header := []string{"Content-Type", "application/json"}
		status, text := sendRequest(t, client, c.method, "http://esasim"+c.path, c.body, header...)
		if status != c.status {
			t.Errorf("%s %s %s: %d, want %d", c.method, c.path, c.body, status, c.status)
		}
		if c.value == `""` && c.field == "" {
			c.value = ""
		}
		expectProblem(t, text, c.status, c.field, c.value)
	}
	var refused *control.RequestError
	err := control.Dial("unix", socket).FollowLog(within(t), "no_logs", box.LogQuery{}, func(string) bool { return true })
	if !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("a log that does not exist: %v", err)
	}
}
