package shell_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

const prompt = "example.com> "

// Commands for tests.
var (
	leave = &shell.Command{Name: "exit", Aliases: []string{"quit"}, Run: func(ctx context.Context, env *shell.Env) error { return env.Leave(ctx) }}
	say   = &shell.Command{Name: "say", Batch: true, Run: func(_ context.Context, env *shell.Env) error {
		env.Printf("%s\n", strings.Join(env.Args, "|"))
		return nil
	}}
	silent = &shell.Command{Name: "silent", Run: func(context.Context, *shell.Env) error { return nil }}
	rename = &shell.Command{Name: "rename", Batch: true, Run: func(_ context.Context, env *shell.Env) error {
		netconfig.Hostname.Set(env.Draft, env.Args[0])
		return nil
	}}
	ask = &shell.Command{Name: "ask", Run: func(ctx context.Context, env *shell.Env) error {
		name, err := env.Ask(ctx, "Name:", "", nil)
		if err != nil {
			return err
		}
		secret, err := env.Secret(ctx, "Passphrase: ")
		if err != nil {
			return err
		}
		env.Printf("%s, %s\n", name, secret)
		return nil
	}}
	wait = &shell.Command{Name: "wait", Run: func(ctx context.Context, env *shell.Env) error {
		env.Printf("Press Ctrl-C to stop.\n")
		<-ctx.Done()
		env.Printf("--- statistics ---\n")
		return ctx.Err()
	}}
	long = &shell.Command{Name: "long", Run: func(ctx context.Context, env *shell.Env) error {
		out := env.Pager(ctx)
		for i := range 30 {
			if _, err := fmt.Fprintf(out, "line %d\n", i+1); err != nil {
				return err
			}
		}
		return nil
	}}
)

const welcome14 = "AsyncOS 14.0.0 for Cisco C100V build 698\r\n\r\n" +
	"Welcome to the Cisco C100V Email Security Virtual Appliance\r\n\r\n" +
	"NOTE: This session will expire if left idle for 30 minutes. Any uncommitted\r\n" +
	"configuration changes will be lost. Commit the configuration changes as soon as\r\n" +
	"they are made.\r\n\r\n" + prompt

func TestWelcomeAndLastLogin(t *testing.T) {
	app, _ := newBox(t)
	c := dial(t, start(t, app, nil, leave))
	v := channelHandler(t, c, 80, 24)
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
	v = channelHandler(t, c, 80, 24)
	want := "Last login: Thu Jun 25 08:50:03 2015 from 127.0.0.1\r\r\n" + welcome14
	if got := v.hear("> "); got != want {
		t.Errorf("second login:\n%q\nwant\n%q", got, want)
	}
}

func TestWelcomeOfOldVersions(t *testing.T) {
	app, _ := newBox(t)
	app.Product = product.Facts{Model: "C370", Version: product.Version{Major: 8, Minor: 5, Patch: 6, Build: 92}, BuildDate: epoch}
	v := channelHandler(t, dial(t, start(t, app, nil)), 80, 24)
	want := "Copyright (c) 2001-2015, Cisco Systems, Inc.\r\n\r\n\r\nAsyncOS 8.5.6 for Cisco C370 build 092\r\n\r\n" +
		"Welcome to the Cisco C370 Email Security Appliance\r\n" + prompt
	if got := v.hear("> "); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// exchange types keys and compares what comes back, to the byte.
func (v *visitor) exchange(what, keys, want string) {
	v.t.Helper()
	stop := clock.System().AfterFunc(20*time.Second, func() { v.Close() })
	defer stop()
	v.say(keys)
	got := make([]byte, len(want))
	n, err := io.ReadFull(v.out, got)
	if err != nil || string(got) != want {
		v.t.Fatalf("%s:\n got %q (%v)\nwant %q", what, got[:n], err, want)
	}
}

func TestBytesOnTheWire(t *testing.T) {
	app, _ := newBox(t)
	v := channelHandler(t, dial(t, start(t, app, nil, say, silent, ask, leave, wait)), 80, 24)
	v.hear(prompt)
	for _, c := range [][]string{
		{"an empty line", "\r", "\r\r\n" + prompt},
		{"a line feed is Enter too", "\n", "\r\r\n" + prompt},
		{"both are one Enter", "\r\n\r\n", "\r\r\n" + prompt + "\r\r\n" + prompt},
		{"a command", "say hello\r", "say hello\r\r\n\r\nhello\r\n" + prompt},
		{"words are in any case", "SAY Hello\r", "SAY Hello\r\r\n\r\nHello\r\n" + prompt},
		{"quotes", `say "a b" c\d "\"\\" ""` + "\r", `say "a b" c\d "\"\\" ""` + "\r\r\n\r\n" + `a b|c\d|"\|` + "\r\n" + prompt},
		{"two commands", "say a; say b;\r", "say a; say b;\r\r\n\r\na\r\nb\r\n" + prompt},
		{"a command that says nothing", "silent\r", "silent\r\r\n\r\n" + prompt},
		{"an unknown command", "Frob now\r", "Frob now\r\r\n\r\nUnknown command or missing feature key: Frob\r\n" + prompt},
		{"arguments that are not taken", "silent x\r", "silent x\r\r\n\r\nInvalid arguments when processing silent:\r\nThe command takes no arguments.\r\n: 'x'\r\n" + prompt},
		{"bad quoting", `say "a\b"` + "\r", `say "a\b"` + "\r\r\n\r\nCommand contained invalid escape character: " + `\b` + "\r\n" + prompt},
		{"no closing quote", "say \"a\r", "say \"a\r\r\n\r\nCommand contained invalid escape character: \"\r\n" + prompt},
		{"a dialogue, typed ahead", "ask\rBob\rsecret\r", "ask\r\r\n\r\nName:\r\n[]> Bob\r\r\nPassphrase: \r\r\n\r\nBob, secret\r\n" + prompt},
		{"Ctrl-C at the prompt", "say it", "say it", "\x03", "^C\r\n" + prompt, "\r", "\r\r\n" + prompt},
		{"Ctrl-C in a dialogue", "ask\rBo", "ask\r\r\n\r\nName:\r\n[]> Bo", "\x03", "^C\r\n" + prompt},
		{"Ctrl-C at a secret", "ask\rBob\rse", "ask\r\r\n\r\nName:\r\n[]> Bob\r\r\nPassphrase: ", "\x03", "^C\r\n" + prompt},
		{"Ctrl-C while a command runs", "wait\r", "wait\r\r\n\r\nPress Ctrl-C to stop.\r\n", "lost\r\x03", "^C\r\n--- statistics ---\r\n" + prompt},
		{"Ctrl-D in a dialogue", "ask\r\x04", "ask\r\r\n\r\nName:\r\n[]> \r\n" + prompt},
		{"Ctrl-D within a line deletes", "say abc\x1b[D\x04\r", "say abc\x1b[D \x1b[D\r\r\n\r\nab\r\n" + prompt},
		{"Ctrl-U deletes the line", "say x\x15\r", "say x\x1b[5D     \x1b[5D\r\r\n" + prompt},
	} {
		for i := 1; i+1 < len(c); i += 2 {
			v.exchange(c[0], c[i], c[i+1])
		}
	}
	v.say("\x04")
	if got := v.rest(); got != "\r\n" {
		t.Errorf("Ctrl-D at the prompt leaves: %q", got)
	}
}

func TestHistoryHoldsCommandsAndNoAnswers(t *testing.T) {
	app, _ := newBox(t)
	v := channelHandler(t, dial(t, start(t, app, nil, say, ask)), 80, 24)
	v.hear(prompt)
	v.exchange("first", "say 1\r", "say 1\r\r\n\r\n1\r\n"+prompt)
	v.exchange("an answer", "ask\rBob\rsecret\r", "ask\r\r\n\r\nName:\r\n[]> Bob\r\r\nPassphrase: \r\r\n\r\nBob, secret\r\n"+prompt)
	v.exchange("Up", "\x1b[A", "ask")
	v.exchange("Ctrl-P", "\x10", "\x1b[3Dsay 1")
	v.exchange("there is nothing older", "\x10", "")
	v.exchange("Ctrl-N", "\x0e", "\x1b[5Dask  \x1b[2D")
	v.exchange("Ctrl-C leaves the history as it was", "\x03", "^C\r\n"+prompt)
	v.exchange("Up after it", "\x1b[A\r", "ask\r\r\n\r\nName:\r\n[]> ")
	v.exchange("a question has no history", "\x1b[A\x03", "^C\r\n"+prompt)
}

func TestTabCompletes(t *testing.T) {
	app, _ := newBox(t)
	help := &shell.Command{Name: "help", Aliases: []string{"h"}, Batch: true, TakesCommandName: true, Run: say.Run}
	secret := &shell.Command{Name: "saxophone", Roles: []users.Role{users.Technician}, Run: say.Run}
	v := channelHandler(t, dial(t, start(t, app, nil, say, silent, help, secret, ask)), 80, 24)
	v.hear(prompt)
	v.exchange("a unique prefix", "si\t", "si\x1b[2Dsilent ")
	v.exchange("give up", "\x03", "^C\r\n"+prompt)
	v.exchange("candidates, on one line, and the line again", "s\t", "s\r\nsay, silent\r\n"+prompt+"s")
	v.exchange("typing goes on", "ay x\r", "ay x\r\r\n\r\nx\r\n"+prompt)
	v.exchange("nothing to complete, and an argument that is no command", "zz\tsay s\t\r",
		"zzsay s\r\r\n\r\nUnknown command or missing feature key: zzsay\r\n"+prompt)
	v.exchange("a command that is described", "h sa\t\r", "h sa\x1b[4Dh say \r\r\n\r\nsay\r\n"+prompt)
	v.exchange("no completion of answers", "ask\rs\t\r", "ask\r\r\n\r\nName:\r\n[]> s\r\r\nPassphrase: ")
}

func TestPagerTakesAnyKey(t *testing.T) {
	const marker, erased = "-Press Any Key For More-", "\r                         \r"
	app, _ := newBox(t)
	c := dial(t, start(t, app, nil, long, say))
	lines := func(from, to int) (s string) {
		for i := from; i <= to; i++ {
			s += fmt.Sprintf("line %d\r\n", i)
		}
		return s
	}
	for _, key := range []string{" ", "\n", "\r", "\r\n", "x", "\x1b[A", "\x1bOP"} {
		v := channelHandler(t, c, 80, 11)
		v.hear(prompt)
		v.exchange("first page", "long\r", "long\r\r\n\r\n"+lines(1, 10)+marker)
		v.exchange("key "+key, key, erased+lines(11, 20)+marker)
		v.exchange("key "+key, key, erased+lines(21, 30)+prompt)
		v.exchange("nothing of the key is left", "say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
	}
	v := channelHandler(t, c, 80, 11)
	v.hear(prompt)
	v.exchange("first page", "long\r", "long\r\r\n\r\n"+lines(1, 10)+marker)
	v.exchange("Ctrl-C", "\x03", "^C\r\n"+prompt)
	if err := v.WindowChange(100, 80); err != nil {
		t.Fatal(err)
	}
	if _, err := v.SendRequest("unknown", true, nil); err != nil { // requests are answered in turn
		t.Fatal(err)
	}
	v.exchange("a higher window", "long\r", "long\r\r\n\r\n"+lines(1, 30)+prompt)
}

func TestTerminalSizes(t *testing.T) {
	app, _ := newBox(t)
	c := dial(t, start(t, app, nil, say, long))
	for _, size := range [][2]int{{0, 0}, {1, 1}, {80, 24}, {16777215, 16777215}, {1<<32 - 1, 1<<32 - 1}} {
		v := channelHandler(t, c, size[0], size[1])
		if size[0] == 1 { // nothing can be read from it; but it must not disturb anybody
			v.say("say x\r")
			continue
		}
		v.hear("> ")
		v.say("say " + strings.Repeat("x", 200) + "\r")
		if got := v.hear("x\r\n" + prompt); !strings.Contains(got, "\r\n"+strings.Repeat("x", 200)+"\r\n") {
			t.Errorf("%v: %q", size, got)
		}
	}
}

func TestPendingChangesAreAskedAbout(t *testing.T) {
	const question = "\r\r\n\r\nConfiguration changes entered but not committed. Exiting will lose changes.\r\n" +
		"Type 'commit' at the command prompt to commit changes.\r\nAre you sure you wish to exit? [N]> "
	app, _ := newBox(t)
	v := channelHandler(t, dial(t, start(t, app, nil, leave, rename)), 80, 24)
	v.hear(prompt)
	v.exchange("rename", "rename a.example.com\r", "rename a.example.com\r\r\n\r\n"+prompt)
	v.exchange("exit", "quit\r", "quit"+question)
	v.exchange("no", "\r", "\r\r\n"+prompt)
	v.exchange("exit", "exit\r", "exit"+question)
	v.say("y\r")
	if got := v.rest(); got != "y\r\r\n" {
		t.Errorf("after y: %q", got)
	}
	if app.Hostname() != "example.com" {
		t.Error("an uncommitted change took effect")
	}
}

// What was changed before in the same command goes too; what an earlier command
// changed stays.
func TestADialogueThatIsBrokenOffChangesNothing(t *testing.T) {
	half := &shell.Command{Name: "half", Run: func(ctx context.Context, env *shell.Env) error {
		netconfig.Hostname.Set(env.Draft, "half.example.com")
		_, err := env.Ask(ctx, "Really:", "", nil)
		return err
	}}
	show := &shell.Command{Name: "show", Run: func(_ context.Context, env *shell.Env) error {
		env.Printf("draft: %s\n", netconfig.Hostname.Get(env.Draft))
		return nil
	}}
	app, _ := newBox(t)
	for name, key := range map[string]string{"Ctrl-C": "\x03", "Ctrl-D": "\x04"} {
		v := channelHandler(t, dial(t, start(t, app, nil, half, show, rename)), 80, 24)
		v.hear(prompt)
		v.say("rename before.example.com\r")
		v.hear(prompt)
		v.say("half\r")
		v.hear("[]> ")
		v.say(key)
		v.hear(prompt)
		v.say("show\r")
		if got := v.hear(prompt); !strings.Contains(got, "draft: before.example.com") {
			t.Errorf("after %s: %q", name, got)
		}
	}
}

func TestThePromptFollowsTheCommittedName(t *testing.T) {
	app, _ := newBox(t)
	v := channelHandler(t, dial(t, start(t, app, nil, silent)), 80, 24)
	v.hear(prompt)
	d := app.Config.NewDraft()
	netconfig.Hostname.Set(d, "mail.example.com")
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	v.exchange("after the commit", "\r", "\r\r\nmail.example.com> ")
}

func TestRolesAndVersions(t *testing.T) {
	app, _ := newBox(t)
	d := app.Config.NewDraft()
	err := users.Section.Edit(d, func(a *users.Accounts) error {
		hash, err := users.HashPassphrase("passphrase1")
		a.List = append(a.List, users.Account{Name: "guest", FullName: "G", Role: users.Guest, Hash: hash})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	v15 := product.Version{Major: 15}
	table := &shell.Command{Name: "table", Run: func(_ context.Context, env *shell.Env) error {
		for _, c := range env.Commands {
			env.Printf("%s ", c.Name)
		}
		return nil
	}}
	s := start(t, app, nil, table,
		&shell.Command{Name: "restart", Roles: []users.Role{users.Administrator}, Run: say.Run},
		&shell.Command{Name: "newer", Since: v15, Run: say.Run},
		&shell.Command{Name: "older", Until: product.Version{Major: 14}, Run: say.Run},
		&shell.Command{Name: "stillthere", Until: v15, Run: say.Run})
	for user, want := range map[string]string{
		"admin": "restart stillthere table ||Unknown command or missing feature key: newer|Unknown command or missing feature key: older",
		"guest": "stillthere table |Your user role does not permit the command: restart|Unknown command or missing feature key: newer|Unknown command or missing feature key: older",
	} {
		pass := map[string]string{"admin": "ironport", "guest": "passphrase1"}[user]
		c, err := gossh.Dial("tcp", s.Addr().String(), clientConfig(user, pass))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var got []string
		for _, line := range []string{"table", "restart", "newer", "older"} {
			sess, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, _ := sess.Output(line)
			got = append(got, strings.Trim(string(out), "\n"))
		}
		if g := strings.Join(got, "|"); g != want {
			t.Errorf("%s:\n got %q\nwant %q", user, g, want)
		}
	}
}

func TestWhatGoesWrongIsLoggedAndShownAsOneLine(t *testing.T) {
	var written log
	app, _ := newBox(t, loggedTo(&written))
	v := channelHandler(t, dial(t, start(t, app, nil, say,
		&shell.Command{Name: "panic", Run: func(context.Context, *shell.Env) error { panic("boom") }},
		&shell.Command{Name: "fail", Run: func(context.Context, *shell.Env) error { return errors.New("disk on fire") }},
		&shell.Command{Name: "refuse", Run: func(context.Context, *shell.Env) error {
			return fmt.Errorf("wrapped: %w", refusal.New("Not while it runs."))
		}},
	)), 80, 24)
	v.hear(prompt)
	const generic = "\r\r\n\r\nAn internal error ended the command. It has been logged.\r\n" + prompt
	v.exchange("a panic", "panic\r", "panic"+generic)
	v.exchange("an error", "fail\r", "fail"+generic)
	v.exchange("a refusal", "refuse\r", "refuse\r\r\n\r\nNot while it runs.\r\n"+prompt)
	v.exchange("the session goes on", "say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
	for _, want := range []string{"command=panic", "panic: boom", "session_test.go", "command=fail", "disk on fire", "user=admin"} {
		if !strings.Contains(written.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, written.String())
		}
	}
	if strings.Contains(written.String(), "Not while it runs") {
		t.Error("a refusal is no matter for the log")
	}
}

func TestIdleSessionsEnd(t *testing.T) {
	app, fake := newBox(t)
	running, release := make(chan bool), make(chan bool)
	busy := &shell.Command{Name: "busy", Run: func(context.Context, *shell.Env) error { running <- true; <-release; return nil }}
	c := dial(t, start(t, app, nil, busy, ask, rename, long))
	const end = "\r\n\r\nThe session was closed because it had been idle for 30 minutes.\r\n"

	v := channelHandler(t, c, 80, 24)
	v.hear(prompt)
	fake.Advance(29 * time.Minute)
	v.exchange("a key in time", "bu", "bu")
	fake.Advance(29 * time.Minute)
	v.exchange("and the rest of the line", "sy\r", "sy\r\r\n")
	<-running
	fake.Advance(10 * time.Hour) // a command that runs is not idle
	release <- true
	v.exchange("the prompt", "", "\r\n"+prompt)
	fake.Advance(29 * time.Minute)
	v.exchange("still there", "x", "x")
	fake.Advance(30 * time.Minute)
	if got := v.rest(); got != end {
		t.Errorf("at the main prompt: %q", got)
	}
	if err := v.Wait(); err == nil {
		t.Error("the exit status of a session that idled away is 0")
	}

	for _, where := range [][2]string{{"ask\r", "[]> "}, {"ask\rx\r", "Passphrase: "}, {"long\r", "More-"}} {
		v := channelHandler(t, c, 80, 24)
		v.hear(prompt)
		v.say(where[0])
		v.hear(where[1])
		fake.Advance(30 * time.Minute)
		if got := v.rest(); got != end {
			t.Errorf("at %q: %q", where[1], got)
		}
	}
}
