package box_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

func runIn(t *testing.T, b *box.Box, c box.Command) box.CommandResult {
	t.Helper()
	r, err := b.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Commands run as on the serial console: with answers, with the rights of the account, and with the
// lines of the CLI log and the table of logins.
func TestRun(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	for _, c := range []struct {
		command     box.Command
		want        string // in the output
		status      int
		ended       shell.LineEnd
		unused      int
		uncommitted bool
	}{
		{box.Command{Line: "whoami"}, "Username: admin\n", 0, shell.LineDone, 0, false},
		{box.Command{Line: "whoami; uname; date", Answers: []string{"x"}}, "Unknown command or missing feature key: uname", 1, shell.LineDone, 1, false},
		{box.Command{Line: "sethostname"}, "[example.com]> ", 1, shell.LineUnanswered, 0, false},
		{box.Command{Line: "sethostname", Answers: []string{"lost.example.com"}}, "", 0, shell.LineDone, 0, true},
		{box.Command{Line: "sethostname; commit", Answers: []string{"box.example.com", "why", ""}}, "Changes committed: ", 0, shell.LineDone, 0, false},
		{box.Command{Line: "exit; date"}, "", 0, shell.LineLogout, 0, false},
		{box.Command{Line: "tail mail_logs", Timeout: netsim.Duration(time.Millisecond)}, "Press Ctrl-C to stop.", 130, shell.LineTimeout, 0, false},
	} {
		r := runIn(t, b, c.command)
		if !strings.Contains(r.Output, c.want) || r.Status != c.status || r.Ended != c.ended || r.Unused != c.unused || r.Uncommitted != c.uncommitted {
			t.Errorf("%+v: %+v, want %q, status %d, ended %q", c.command, r, c.want, c.status, c.ended)
		}
	}
	if name := b.Appliance().Hostname(); name != "box.example.com" {
		t.Errorf("the host name is %s", name)
	}
	lines, err := b.LogLines(t.Context(), "cli_logs", box.LogQuery{Match: "User admin entered", Lines: 100})
	if err != nil || len(lines) == 0 || !strings.HasSuffix(lines[0], `Info: PID 1: User admin entered 'whoami'; prompt was '\nexample.com> '`) {
		t.Errorf("the CLI log: %q, %v", lines, err)
	}
	if h := b.Appliance().Logins.History(); h[0].Service != "cli" || h[0].ClientAddr.IsValid() || h[0].Open {
		t.Errorf("the last login: %+v", h[0])
	}
	if list := b.Sessions(); len(list) != 0 {
		t.Errorf("sessions that go on: %+v", list)
	}
}

func TestRunRefusals(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	draft := b.Appliance().Config.NewDraft()
	accounts := users.Section.Get(draft)
	locked, guest := accounts.List[0], accounts.List[0]
	locked.Name, locked.Locked = "smith", true
	guest.Name, guest.Role = "guest", users.Guest
	accounts.List = append(accounts.List, locked, guest)
	users.Section.Set(draft, accounts)
	if err := b.Appliance().Commit(t.Context(), draft, 0, config.CommitInfo{User: "admin"}); err != nil {
		t.Fatal(err)
	}
	for field, c := range map[string]box.Command{
		"line": {Line: " "}, "answers[1]": {Line: "date", Answers: []string{"a", "b\nc"}},
		"timeout": {Line: "date", Timeout: netsim.Duration(time.Hour)},
		"answers": {Line: "date", Answers: []string{strings.Repeat("x", box.MaxCommandInput)}},
	} {
		_, err := b.Run(t.Context(), c)
		var wrong *box.FieldError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	var missing *netsim.NotFoundError
	if _, err := b.Run(t.Context(), box.Command{Line: "date", User: "nobody"}); !errors.As(err, &missing) {
		t.Errorf("nobody: %v", err)
	}
	var conflict *netsim.ConflictError
	if _, err := b.Run(t.Context(), box.Command{Line: "date", User: "smith"}); !errors.As(err, &conflict) {
		t.Errorf("a locked account: %v", err)
	}
	r := runIn(t, b, box.Command{Line: "showconfig", User: "guest"})
	if r.Status != 1 || !strings.Contains(r.Output, "Your user role does not permit the command: showconfig") {
		t.Errorf("showconfig of a guest: %+v", r)
	}
}

// The log lines of all files are searched, the newest count, and a follower gets those that follow.
func TestLogLines(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	for range 3 {
		runIn(t, b, box.Command{Line: "whoami; date"})
		runIn(t, b, box.Command{Line: "rollovernow cli_logs"})
	}
	lines, err := b.LogLines(t.Context(), "cli_logs", box.LogQuery{Match: "(whoami|date|rollovernow)", Lines: 4})
	if err != nil || len(lines) != 4 || !strings.Contains(lines[0], "whoami; date") || !strings.Contains(lines[3], "rollovernow") || strings.Contains(lines[0], "PID 1:") {
		t.Errorf("the last four: %q, %v", lines, err)
	}
	if all, err := b.LogLines(t.Context(), "cli_logs", box.LogQuery{Match: "whoami", Lines: 1000}); err != nil || len(all) != 3 {
		t.Errorf("%d of 3 lines: %v", len(all), err)
	}
	next := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for line, err := range b.FollowLog(ctx, "cli_logs", box.LogQuery{Match: "version"}) {
			if err != nil {
				t.Error(err)
				return
			}
			next <- line
		}
	}()
	for range 2 {
		runIn(t, b, box.Command{Line: "date; version"})
		if line := <-next; !strings.Contains(line, "date; version") {
			t.Errorf("the follower got %q", line)
		}
	}
	cancel()
	<-ended
	var wrong *box.FieldError
	if _, err := b.LogLines(t.Context(), "cli_logs", box.LogQuery{Match: "("}); !errors.As(err, &wrong) || wrong.Field != "match" {
		t.Errorf("a pattern that is none: %v", err)
	}
	var missing *netsim.NotFoundError
	for _, err := range b.FollowLog(t.Context(), "no_logs", box.LogQuery{}) {
		if !errors.As(err, &missing) {
			t.Errorf("a log that does not exist: %v", err)
		}
	}
	list, err := b.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if l.Name == "cli_logs" && (l.Files != 3 && l.Files != 4 || l.Type != "CLI Audit Logs" || l.Level != "Information") {
			t.Errorf("%+v", l)
		}
	}
}

// A configuration that was loaded takes effect when it is committed, and refusals name the setting.
func TestConfiguration(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	load := func(text string) ([]box.ConfigChange, error) {
		return b.LoadConfig([]byte("<config>" + text + "</config>"))
	}
	changes, err := load("<hostname>new.example.com</hostname>")
	if err != nil || len(changes) != 1 || changes[0].Name != "hostname" || changes[0].Change != "example.com -> new.example.com" {
		t.Fatalf("%+v, %v", changes, err)
	}
	for text, want := range map[string]box.ConfigError{
		"<hostnam>x</hostnam>":                   {Field: "hostnam", Value: "x", Line: 1},
		"<hostname>no name</hostname>":           {Field: "hostname"},
		"<dns><cache_ttl>much</cache_ttl></dns>": {Field: "cache_ttl", Value: "much", Line: 1},
	} {
		_, err := load(text)
		var refused *box.ConfigError
		if !errors.As(err, &refused) || refused.Field != want.Field || refused.Value != want.Value || refused.Line != want.Line {
			t.Errorf("%s: %+v", text, err)
		}
	}
	if got := b.ConfigChanges(); len(got) != 1 {
		t.Errorf("refusals have changed the draft: %+v", got)
	}
	r, err := b.CommitConfig(t.Context(), "", "a name")
	if err != nil || r.User != "admin" || r.Comment != "a name" || r.Revision != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if name := netconfig.Hostname.Get(b.Appliance().Config.Committed()); name != "new.example.com" {
		t.Errorf("the host name is %s", name)
	}
	var refused *box.ConfigError
	if _, err := b.CommitConfig(t.Context(), "", ""); !errors.As(err, &refused) || !refused.Conflict {
		t.Errorf("a commit without changes: %v", err)
	}
	if _, err := load("<hostname>one.example.com</hostname>"); err != nil {
		t.Fatal(err)
	}
	runIn(t, b, box.Command{Line: "sethostname; commit -y", Answers: []string{"two.example.com"}})
	if _, err := b.CommitConfig(t.Context(), "", ""); !errors.As(err, &refused) || !refused.Conflict || refused.Field != "hostname" {
		t.Errorf("a commit over another one: %v", err)
	}
	b.DiscardConfig()
	if got := b.ConfigChanges(); len(got) != 0 {
		t.Errorf("discarded changes: %+v", got)
	}
	var masked, open strings.Builder
	if err := b.Config(&masked, ""); err != nil {
		t.Fatal(err)
	}
	if err := b.Config(&open, "encrypted"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(masked.String(), "$2a$") || !strings.Contains(open.String(), "$2a$") {
		t.Error("the masked configuration has hashes, or the other one has none")
	}
	if changes, err := b.LoadConfig([]byte(open.String())); err != nil || len(changes) != 0 {
		t.Errorf("the configuration differs from itself: %+v, %v", changes, err)
	}
	var wrong *box.FieldError
	if err := b.Config(&open, "plain"); !errors.As(err, &wrong) {
		t.Errorf("plain passphrases of version 14: %v", err)
	}
}
