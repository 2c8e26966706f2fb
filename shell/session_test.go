package shell_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

const prompt = "example.com> "

// command returns a command without arguments.
func command(name string, run func(context.Context, *shell.Env) error) *shell.Command {
	return &shell.Command{Name: name, Run: run}
}

// inlineCommand returns a command with arguments.
func inlineCommand(name string, run func(context.Context, *shell.Env) error) *shell.Command {
	return &shell.Command{Name: name, Batch: true, Run: run}
}

// Commands for tests.
var (
	exitCommand = &shell.Command{Name: "exit", Aliases: []string{"quit"},
		Run: func(ctx context.Context, env *shell.Env) error { return env.Leave(ctx) }}
	sayCommand = inlineCommand("say", func(_ context.Context, env *shell.Env) error {
		env.Printf("%s\n", strings.Join(env.Args, "|"))
		return nil
	})
	silentCommand = command("silent", func(context.Context, *shell.Env) error { return nil })
	renameCommand = inlineCommand("rename", func(_ context.Context, env *shell.Env) error {
		netconfig.Hostname.Set(env.Draft, env.Args[0])
		return nil
	})
	askCommand = command("ask", func(ctx context.Context, env *shell.Env) error {
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
	})
	waitCommand = command("wait", func(ctx context.Context, env *shell.Env) error {
		env.Printf("Press Ctrl-C to stop.\n")
		<-ctx.Done()
		env.Printf("--- statistics ---\n")
		return ctx.Err()
	})
	longCommand = command("long", func(ctx context.Context, env *shell.Env) error {
		out := env.Pager(ctx)
		for i := range 30 {
			if _, err := fmt.Fprintf(out, "line %d\n", i+1); err != nil {
				return err
			}
		}
		return nil
	})
)

const welcome14 = "AsyncOS 14.0.0 for Cisco C100V build 698\r\n\r\n" +
	"Welcome to the Cisco C100V Email Security Virtual Appliance\r\n\r\n" +
	"NOTE: This session will expire if left idle for 30 minutes. Any uncommitted\r\n" +
	"configuration changes will be lost. Commit the configuration changes as soon as\r\n" +
	"they are made.\r\n\r\n" + prompt

func TestWelcomeAndLastLogin(t *testing.T) {
	app, _ := newAppliance(t)
	c := dial(t, startServer(t, app, nil, exitCommand))
	sh := openShell(t, c, 80, 24)
	if got := sh.readUntil("> "); got != welcome14 {
		t.Errorf("first login:\n%q\nwant\n%q", got, welcome14)
	}
	sh.typeKeys("exit\r")
	if got := sh.readAll(); got != "exit\r\r\n" {
		t.Errorf("after exit: %q", got)
	}
	if err := sh.Wait(); err != nil {
		t.Error(err)
	}
	sh = openShell(t, c, 80, 24)
	want := "Last login: Thu Jun 25 08:50:03 2015 from 127.0.0.1\r\r\n" + welcome14
	if got := sh.readUntil("> "); got != want {
		t.Errorf("second login:\n%q\nwant\n%q", got, want)
	}
}

func TestWelcomeOfOldVersions(t *testing.T) {
	app, _ := newAppliance(t)
	app.Product = product.Facts{
		Model:   "C370",
		Version: product.Version{Major: 8, Minor: 5, Patch: 6, Build: 92}, BuildDate: epoch,
	}
	sh := openShell(t, dial(t, startServer(t, app, nil)), 80, 24)
	want := "Copyright (c) 2001-2015, Cisco Systems, Inc.\r\n\r\n\r\n" +
		"AsyncOS 8.5.6 for Cisco C370 build 092\r\n\r\n" +
		"Welcome to the Cisco C370 Email Security Appliance\r\n" + prompt
	if got := sh.readUntil("> "); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestTerminalOutputIsExact(t *testing.T) {
	const (
		nameQuestion = "\r\r\n\r\nName:\r\n[]> "
		unknown      = "Unknown command or missing feature key: "
		badEscape    = "Command contained invalid escape character: "
	)
	app, _ := newAppliance(t)
	sh := shellAtPrompt(t, app, sayCommand, silentCommand, askCommand, exitCommand, waitCommand)
	// run enters a line and compares the output of its commands.
	run := func(what, line, output string) {
		t.Helper()
		sh.exchange(what, line+"\r", line+"\r\r\n\r\n"+output+prompt)
	}
	sh.exchange("an empty line", "\r", "\r\r\n"+prompt)
	sh.exchange("a line feed is Enter too", "\n", "\r\r\n"+prompt)
	sh.exchange("both together are one Enter", "\r\n\r\n", "\r\r\n"+prompt+"\r\r\n"+prompt)
	run("a command", "say hello", "hello\r\n")
	run("a command in upper case", "SAY Hello", "Hello\r\n")
	run("quotes", `say "a b" c\d "\"\\" ""`, `a b|c\d|"\|`+"\r\n")
	run("two commands", "say a; say b;", "a\r\nb\r\n")
	run("a command without output", "silent", "")
	run("an unknown command", "Frob now", unknown+"Frob\r\n")
	run("arguments of a command without inline form", "silent x",
		"Invalid arguments when processing silent:\r\nThe command takes no arguments.\r\n: 'x'\r\n")
	run("an invalid escape", `say "a\b"`, badEscape+`\b`+"\r\n")
	run("no closing quote", `say "a`, badEscape+"\"\r\n")

	sh.exchange("a dialogue, typed ahead", "ask\rBob\rsecret\r",
		"ask"+nameQuestion+"Bob\r\r\nPassphrase: \r\r\n\r\nBob, secret\r\n"+prompt)
	sh.exchange("an incomplete line", "say it", "say it")
	sh.exchange("Ctrl-C", "\x03", "^C\r\n"+prompt)
	sh.exchange("Enter after Ctrl-C", "\r", "\r\r\n"+prompt)
	sh.exchange("a dialogue", "ask\rBo", "ask"+nameQuestion+"Bo")
	sh.exchange("Ctrl-C in a dialogue", "\x03", "^C\r\n"+prompt)
	sh.exchange("a prompt without echo", "ask\rBob\rse", "ask"+nameQuestion+"Bob\r\r\nPassphrase: ")
	sh.exchange("Ctrl-C at a prompt without echo", "\x03", "^C\r\n"+prompt)
	sh.exchange("a command that runs", "wait\r", "wait\r\r\n\r\nPress Ctrl-C to stop.\r\n")
	sh.exchange("Ctrl-C while a command runs", "lost\r\x03", "^C\r\n--- statistics ---\r\n"+prompt)
	sh.exchange("Ctrl-D in a dialogue", "ask\r\x04", "ask"+nameQuestion+"\r\n"+prompt)
	sh.exchange("Ctrl-D within a line deletes a character", "say abc\x1b[D\x04\r",
		"say abc\x1b[D \x1b[D\r\r\n\r\nab\r\n"+prompt)
	sh.exchange("Ctrl-U deletes the line", "say x\x15\r", "say x\x1b[5D     \x1b[5D\r\r\n"+prompt)
	sh.typeKeys("\x04")
	if got := sh.readAll(); got != "\r\n" {
		t.Errorf("after Ctrl-D at the prompt: %q", got)
	}
}

func TestHistoryContainsCommandsOnly(t *testing.T) {
	app, _ := newAppliance(t)
	sh := shellAtPrompt(t, app, sayCommand, askCommand)
	sh.exchange("a command", "say 1\r", "say 1\r\r\n\r\n1\r\n"+prompt)
	sh.exchange("a dialogue", "ask\rBob\rsecret\r", "ask\r\r\n\r\nName:\r\n[]> Bob\r\r\n"+
		"Passphrase: \r\r\n\r\nBob, secret\r\n"+prompt)
	sh.exchange("Up", "\x1b[A", "ask")
	sh.exchange("Ctrl-P", "\x10", "\x1b[3Dsay 1")
	sh.exchange("Ctrl-P at the oldest line", "\x10", "")
	sh.exchange("Ctrl-N", "\x0e", "\x1b[5Dask  \x1b[2D")
	sh.exchange("Ctrl-C", "\x03", "^C\r\n"+prompt)
	sh.exchange("Up after Ctrl-C", "\x1b[A\r", "ask\r\r\n\r\nName:\r\n[]> ")
	sh.exchange("Up at a question, then Ctrl-C", "\x1b[A\x03", "^C\r\n"+prompt)
}

func TestTabCompletion(t *testing.T) {
	app, _ := newAppliance(t)
	help := &shell.Command{
		Name: "help", Aliases: []string{"h"}, Batch: true, TakesCommandName: true, Run: sayCommand.Run,
	}
	forbidden := &shell.Command{
		Name: "saxophone", Roles: []users.Role{users.Technician}, Run: sayCommand.Run,
	}
	sh := shellAtPrompt(t, app, sayCommand, silentCommand, help, forbidden, askCommand)
	sh.exchange("a unique prefix", "si\t", "si\x1b[2Dsilent ")
	sh.exchange("Ctrl-C", "\x03", "^C\r\n"+prompt)
	sh.exchange("an ambiguous prefix", "s\t", "s\r\nsay, silent\r\n"+prompt+"s")
	sh.exchange("the rest of the line", "ay x\r", "ay x\r\r\n\r\nx\r\n"+prompt)
	sh.exchange("an unknown prefix, and an argument that is not a command", "zz\tsay s\t\r",
		"zzsay s\r\r\n\r\nUnknown command or missing feature key: zzsay\r\n"+prompt)
	sh.exchange("an argument that is a command", "h sa\t\r",
		"h sa\x1b[4Dh say \r\r\n\r\nsay\r\n"+prompt)
	sh.exchange("an answer", "ask\rs\t\r",
		"ask\r\r\n\r\nName:\r\n[]> s\r\r\nPassphrase: ")
}

func TestPagerAcceptsAnyKey(t *testing.T) {
	const marker, erased = "-Press Any Key For More-", "\r                         \r"
	app, _ := newAppliance(t)
	c := dial(t, startServer(t, app, nil, longCommand, sayCommand))
	lines := func(from, to int) (s string) {
		for i := from; i <= to; i++ {
			s += fmt.Sprintf("line %d\r\n", i)
		}
		return s
	}
	for _, key := range []string{" ", "\n", "\r", "\r\n", "x", "\x1b[A", "\x1bOP"} {
		sh := openShell(t, c, 80, 11)
		sh.readUntil(prompt)
		sh.exchange("first page", "long\r", "long\r\r\n\r\n"+lines(1, 10)+marker)
		sh.exchange("key "+key, key, erased+lines(11, 20)+marker)
		sh.exchange("key "+key, key, erased+lines(21, 30)+prompt)
		sh.exchange("the key is not part of the next line", "say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
	}
	sh := openShell(t, c, 80, 11)
	sh.readUntil(prompt)
	sh.exchange("first page", "long\r", "long\r\r\n\r\n"+lines(1, 10)+marker)
	sh.exchange("Ctrl-C", "\x03", "^C\r\n"+prompt)
	if err := sh.WindowChange(100, 80); err != nil {
		t.Fatal(err)
	}
	// Requests are answered in order: after this one the window has been changed.
	if _, err := sh.SendRequest("unknown", true, nil); err != nil {
		t.Fatal(err)
	}
	sh.exchange("a taller window", "long\r", "long\r\r\n\r\n"+lines(1, 30)+prompt)
}

func TestTerminalSizes(t *testing.T) {
	app, _ := newAppliance(t)
	c := dial(t, startServer(t, app, nil, sayCommand, longCommand))
	long := strings.Repeat("x", 200)
	for _, size := range [][2]int{
		{0, 0}, {1, 1}, {80, 24}, {16777215, 16777215}, {1<<32 - 1, 1<<32 - 1},
	} {
		sh := openShell(t, c, size[0], size[1])
		if size[0] == 1 { // its output is not legible, but other sessions must not be affected
			sh.typeKeys("say x\r")
			continue
		}
		sh.readUntil("> ")
		sh.typeKeys("say " + long + "\r")
		if got := sh.readUntil("x\r\n" + prompt); !strings.Contains(got, "\r\n"+long+"\r\n") {
			t.Errorf("%v: %q", size, got)
		}
	}
}

func TestExitAsksAboutUncommittedChanges(t *testing.T) {
	const question = "\r\r\n\r\n" +
		"Configuration changes entered but not committed. Exiting will lose changes.\r\n" +
		"Type 'commit' at the command prompt to commit changes.\r\nAre you sure you wish to exit? [N]> "
	app, _ := newAppliance(t)
	sh := shellAtPrompt(t, app, exitCommand, renameCommand)
	sh.exchange("rename", "rename a.example.com\r", "rename a.example.com\r\r\n\r\n"+prompt)
	sh.exchange("exit", "quit\r", "quit"+question)
	sh.exchange("no", "\r", "\r\r\n"+prompt)
	sh.exchange("exit", "exit\r", "exit"+question)
	sh.typeKeys("y\r")
	if got := sh.readAll(); got != "y\r\r\n" {
		t.Errorf("after y: %q", got)
	}
	if app.Hostname() != "example.com" {
		t.Error("an uncommitted change took effect")
	}
}

// An interrupted command also loses its changes of the draft. The changes of earlier commands
// remain.
func TestInterruptedDialogueLeavesDraftUnchanged(t *testing.T) {
	half := command("half", func(ctx context.Context, env *shell.Env) error {
		netconfig.Hostname.Set(env.Draft, "half.example.com")
		_, err := env.Ask(ctx, "Really:", "", nil)
		return err
	})
	show := command("show", func(_ context.Context, env *shell.Env) error {
		env.Printf("draft: %s\n", netconfig.Hostname.Get(env.Draft))
		return nil
	})
	app, _ := newAppliance(t)
	for name, key := range map[string]string{"Ctrl-C": "\x03", "Ctrl-D": "\x04"} {
		sh := shellAtPrompt(t, app, half, show, renameCommand)
		sh.typeKeys("rename before.example.com\r")
		sh.readUntil(prompt)
		sh.typeKeys("half\r")
		sh.readUntil("[]> ")
		sh.typeKeys(key)
		sh.readUntil(prompt)
		sh.typeKeys("show\r")
		if got := sh.readUntil(prompt); !strings.Contains(got, "draft: before.example.com") {
			t.Errorf("after %s: %q", name, got)
		}
	}
}

func TestPromptShowsCommittedHostname(t *testing.T) {
	app, _ := newAppliance(t)
	sh := shellAtPrompt(t, app, silentCommand)
	d := app.Config.NewDraft()
	netconfig.Hostname.Set(d, "mail.example.com")
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	sh.exchange("after the commit", "\r", "\r\r\nmail.example.com> ")
}

func TestRolesAndVersions(t *testing.T) {
	app, _ := newAppliance(t)
	d := app.Config.NewDraft()
	err := users.Section.Edit(d, func(a *users.Accounts) error {
		hash, err := users.HashPassphrase("passphrase1")
		guest := users.Account{Name: "guest", FullName: "G", Role: users.Guest, Hash: hash}
		a.List = append(a.List, guest)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
	v15 := product.Version{Major: 15}
	table := command("table", func(_ context.Context, env *shell.Env) error {
		for _, c := range env.Commands {
			env.Printf("%s ", c.Name)
		}
		return nil
	})
	s := startServer(t, app, nil, table,
		&shell.Command{Name: "restart", Roles: []users.Role{users.Administrator}, Run: sayCommand.Run},
		&shell.Command{Name: "newer", Since: v15, Run: sayCommand.Run},
		&shell.Command{Name: "older", Until: product.Version{Major: 14}, Run: sayCommand.Run},
		&shell.Command{Name: "stillthere", Until: v15, Run: sayCommand.Run})
	const unknown = "|Unknown command or missing feature key: "
	for user, want := range map[string]string{
		"admin": "restart stillthere table |" + unknown + "newer" + unknown + "older",
		"guest": "stillthere table |Your user role does not permit the command: restart" +
			unknown + "newer" + unknown + "older",
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

func TestInternalErrorsAreLoggedAndShownAsOneLine(t *testing.T) {
	var written logBuffer
	app, _ := newAppliance(t, withLogger(&written))
	sh := shellAtPrompt(t, app, sayCommand,
		command("panic", func(context.Context, *shell.Env) error { panic("boom") }),
		command("fail", func(context.Context, *shell.Env) error { return errors.New("disk on fire") }),
		command("refuse", func(context.Context, *shell.Env) error {
			return fmt.Errorf("wrapped: %w", refusal.New("Not while it runs."))
		}))
	const generic = "\r\r\n\r\nAn internal error ended the command. It has been logged.\r\n" + prompt
	sh.exchange("a panic", "panic\r", "panic"+generic)
	sh.exchange("an error", "fail\r", "fail"+generic)
	sh.exchange("a refusal", "refuse\r", "refuse\r\r\n\r\nNot while it runs.\r\n"+prompt)
	sh.exchange("the next command", "say x\r", "say x\r\r\n\r\nx\r\n"+prompt)
	for _, want := range []string{
		"command=panic", "panic: boom", "session_test.go", "command=fail", "disk on fire", "user=admin",
	} {
		if !strings.Contains(written.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, written.String())
		}
	}
	if strings.Contains(written.String(), "Not while it runs") {
		t.Error("a refusal was logged")
	}
}

// The user sees the text of a refusal; what is behind it is in the program's log, also if a menu or
// a question shows the refusal. A refusal that has nothing behind it is not logged.
func TestCausesOfRefusalsAreLogged(t *testing.T) {
	var written logBuffer
	app, _ := newAppliance(t, withLogger(&written))
	because := func(cause string) error {
		return refusal.Because(errors.New(cause), "The file cannot be written.")
	}
	sh := shellAtPrompt(t, app,
		command("plain", func(context.Context, *shell.Env) error {
			return refusal.New("Not while it runs.")
		}),
		command("store", func(context.Context, *shell.Env) error {
			return fmt.Errorf("store: %w", because("disk on fire"))
		}),
		command("menu", func(ctx context.Context, env *shell.Env) error {
			return env.Menu(ctx, func() shell.Menu {
				return shell.Menu{NoTitle: true, Items: []shell.Item{
					{Key: "SAVE", Text: "Save.", Run: func(context.Context) error {
						return because("worn disk")
					}},
				}}
			})
		}),
		command("question", func(ctx context.Context, env *shell.Env) error {
			asked := false
			_, err := env.Ask(ctx, "Name:", "", func(string) error {
				if asked {
					return nil
				}
				asked = true
				return because("no such device")
			})
			return err
		}))
	sh.exchange("plain", "plain\r", "plain\r\r\n\r\nNot while it runs.\r\n"+prompt)
	sh.exchange("a cause", "store\r", "store\r\r\n\r\nThe file cannot be written.\r\n"+prompt)
	sh.typeKeys("menu\rsave\r\r")
	sh.readUntil(prompt)
	sh.typeKeys("question\ra\rb\r")
	sh.readUntil(prompt)
	for _, want := range []string{
		"command=store", "disk on fire", "command=menu", "worn disk", "command=question",
		"no such device", "user=admin",
	} {
		if !strings.Contains(written.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, written.String())
		}
	}
	if strings.Contains(written.String(), "Not while it runs") {
		t.Error("a refusal without a cause was logged")
	}
}

func TestUnlistedOperationsAreRefused(t *testing.T) {
	app, _ := newAppliance(t)
	refuse := func(text string) func(context.Context) error {
		return func(context.Context) error { return refusal.New(text) }
	}
	sh := shellAtPrompt(t, app, command("menu", func(ctx context.Context, env *shell.Env) error {
		return env.Menu(ctx, func() shell.Menu {
			return shell.Menu{NoTitle: true, Items: []shell.Item{
				{Key: "START", Text: "Start.", Run: refuse("Started.")},
				{Key: "STOP", Text: "Stop.", Unlisted: true, Run: refuse("Nothing runs.")},
				{Key: "DELETE", Text: "Delete.", Hidden: true, Run: refuse("Deleted.")},
				{Key: "ERASE", Text: "Erase.", Absent: true, Run: refuse("Erased.")},
			}}
		})
	}))
	const menu = "- START - Start.\r\n[]> "
	sh.exchange("the menu", "menu\r", "menu\r\r\n\r\n"+menu)
	for word, answer := range map[string]string{
		"stop": "Nothing runs.", "STO": "Nothing runs.", "st": "Started.",
		"delete": "The operation DELETE is not possible now.",
		"DEL":    "The operation DELETE is not possible now.",
		"erase":  "Unknown operation: erase", "stops": "Unknown operation: stops",
	} {
		sh.exchange(word, word+"\r", word+"\r\r\n\r\n"+answer+"\r\n\r\n"+menu)
	}
}

func TestIdleSessionsEnd(t *testing.T) {
	app, fake := newAppliance(t)
	running, release := make(chan bool), make(chan bool)
	busy := command("busy", func(context.Context, *shell.Env) error {
		running <- true
		<-release
		return nil
	})
	c := dial(t, startServer(t, app, nil, busy, askCommand, renameCommand, longCommand))
	const end = "\r\n\r\nThe session was closed because it had been idle for 30 minutes.\r\n"

	sh := openShell(t, c, 80, 24)
	sh.readUntil(prompt)
	fake.Advance(29 * time.Minute)
	sh.exchange("a key before the timeout", "bu", "bu")
	fake.Advance(29 * time.Minute)
	sh.exchange("the rest of the line", "sy\r", "sy\r\r\n")
	<-running
	fake.Advance(10 * time.Hour) // does not end a session while a command runs
	release <- true
	sh.exchange("the prompt", "", "\r\n"+prompt)
	fake.Advance(29 * time.Minute)
	sh.exchange("another key before the timeout", "x", "x")
	fake.Advance(30 * time.Minute)
	if got := sh.readAll(); got != end {
		t.Errorf("at the main prompt: %q", got)
	}
	if err := sh.Wait(); err == nil {
		t.Error("the exit status of a session that ended by idle timeout is 0")
	}

	for _, state := range []struct{ keys, output string }{
		{"ask\r", "[]> "}, {"ask\rx\r", "Passphrase: "}, {"long\r", "More-"},
	} {
		sh := openShell(t, c, 80, 24)
		sh.readUntil(prompt)
		sh.typeKeys(state.keys)
		sh.readUntil(state.output)
		fake.Advance(30 * time.Minute)
		if got := sh.readAll(); got != end {
			t.Errorf("at %q: %q", state.output, got)
		}
	}
}
