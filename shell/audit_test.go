package shell_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/shell"
)

// logText returns the lines of a log's current file, without the header and the times. Before the
// first line there is no file.
func logText(t *testing.T, app *appliance.Appliance, subscription, file string) string {
	t.Helper()
	if err := app.Logs.Flush(t.Context(), subscription); err != nil {
		t.Fatal(err)
	}
	b, err := fs.ReadFile(app.Files, "data/pub/"+subscription+"/"+file+".current")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		text := line[len("Thu Jun 25 08:50:03 2015 "):]
		isHeader := func(start string) bool { return strings.Contains(text, start) }
		if !slices.ContainsFunc([]string{"Begin Logfile", "Version: ", "Time offset"}, isHeader) {
			out.WriteString(text)
		}
	}
	return out.String()
}

func TestEnteredLinesAreLoggedWithTheirPrompts(t *testing.T) {
	const secret = "correct horse"
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, command("list", func(ctx context.Context, env *shell.Env) error {
		env.Printf("There are no text resources currently defined.\n")
		if _, err := env.Ask(ctx, "It's a name:", "", nil); err != nil {
			return err
		}
		if _, err := env.AskSecret(ctx, "A passphrase:", nil); err != nil {
			return err
		}
		_, err := env.Prompt(ctx, "") // as for a text that the user pastes
		return err
	}), exitCommand)
	client := dial(t, s)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	session.Stdin = strings.NewReader("list\nx\\y\n" + secret + "\npasted " + secret + "\n\nexit\n")
	session.Stdout = io.Discard
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := session.Wait(); err != nil {
		t.Fatal(err)
	}
	if s, err := client.NewSession(); err != nil || s.Run("list; again") == nil {
		t.Fatal("want an error, because the second command does not exist")
	}
	client.Close()
	got := logText(t, app, "cli_logs", "cli_logs")
	want := `Info: PID 1: User admin entered 'list'; prompt was '\nexample.com> '
Info: PID 1: User admin entered 'x\\y'; prompt was '\nThere are no text resources currently defined.\n\nIt\'s a name:\n[]> '
Info: PID 1: User admin entered '********'; prompt was '\nA passphrase:\n[]> '
Info: PID 1: User admin entered ''; prompt was '\nexample.com> '
Info: PID 1: User admin entered 'exit'; prompt was '\nexample.com> '
Info: PID 2: User admin entered 'list; again'; prompt was ''
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if strings.Contains(got, secret) {
		t.Error("the log contains a secret")
	}
}

func TestLoggedPromptIsLimited(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil, command("long", func(ctx context.Context, env *shell.Env) error {
		for i := range 10_000 {
			env.Printf("row %d\n", i)
		}
		_, err := env.Ask(ctx, "More?", "", nil)
		return err
	}))
	client := dial(t, s)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	session.Stdin, session.Stdout = strings.NewReader("no\n"), io.Discard
	if err := session.Run("long"); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(logText(t, app, "cli_logs", "cli_logs")) {
		if len(line) > 4<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if strings.Contains(line, "'no'") && !strings.Contains(line, `row 9999\n`) {
			t.Errorf("got %s", line)
		}
	}
}

func TestLoginsAndLogoutsAreLogged(t *testing.T) {
	app, _ := newAppliance(t)
	s := startServer(t, app, nil)
	dial(t, s).Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := s.Stop(ctx); err != nil { // waits until the connection has ended
		t.Fatal(err)
	}
	const want = "Info: The user admin successfully logged on from 127.0.0.1 " +
		"with privilege admin using an SSH connection.\n" +
		"Info: User admin logged out of SSH session 127.0.0.1\n"
	if got := logText(t, app, "authentication", "authentication"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestArgumentsOfSecretCommandsAreNotLogged(t *testing.T) {
	const secret = "correct-horse"
	app, _ := newAppliance(t)
	run := func(context.Context, *shell.Env) error { return nil }
	client := dial(t, startServer(t, app, nil,
		&shell.Command{Name: "passwd", Secret: true, Run: run}, inlineCommand("list", run)))
	for _, line := range []string{
		"passwd " + secret,
		`list a; PASSWD "` + secret + `; b"; list c`,
		"list d",
	} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		_ = session.Run(line) // fails, because passwd takes no arguments
	}
	got := logText(t, app, "cli_logs", "cli_logs")
	for _, want := range []string{
		"entered 'passwd ********';", "entered 'list a; PASSWD ********';", "entered 'list d';",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, secret) {
		t.Errorf("the log contains the passphrase:\n%s", got)
	}
}
