package shell_test

import (
	"context"
	"testing"

	"github.com/esasim/esasim/shell"
)

var leave = &shell.Command{Name: "exit", Run: func(ctx context.Context, env *shell.Env) error { return env.Leave(ctx) }}

const welcome14 = "AsyncOS 14.0.0 for Cisco C100V build 698\r\n\r\n" +
	"Welcome to the Cisco C100V Email Security Virtual Appliance\r\n\r\n" +
	"NOTE: This session will expire if left idle for 30 minutes. Any uncommitted\r\n" +
	"configuration changes will be lost. Commit the configuration changes as soon as\r\n" +
	"they are made.\r\n\r\nexample.com> "

func TestWelcomeAndLastLogin(t *testing.T) {
	box, _ := newBox(t)
	c := dial(t, start(t, box, nil, leave))
	v := visit(t, c, 80, 24)
	if got := v.hear("> "); got != welcome14 {
		t.Errorf("first login:\n%q\nwant\n%q", got, welcome14)
	}
	v.say("exit\r")
	if got := v.rest(); got != "exit\r\r\n" {
		t.Errorf("exit says %q", got)
	}
	if err := v.Wait(); err != nil {
		t.Error(err)
	}
	v = visit(t, c, 80, 24)
	want := "Last login: Thu Jun 25 08:50:03 2015 from 127.0.0.1\r\r\n" + welcome14
	if got := v.hear("> "); got != want {
		t.Errorf("second login:\n%q\nwant\n%q", got, want)
	}
}
