package shell_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/shell"
)

// logText is what stands in the current file of a log, without its header and without
// the times of its lines.
func logText(t *testing.T, app *appliance.Appliance, subscription, file string) string {
	t.Helper()
	if err := app.Logs.Flush(t.Context(), subscription); err != nil {
		t.Fatal(err)
	}
	b, err := fs.ReadFile(app.Files, "data/pub/"+subscription+"/"+file+".current")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if text := line[len("Thu Jun 25 08:50:03 2015 "):]; !strings.Contains(text, "Begin Logfile") && !strings.Contains(text, "Version: ") && !strings.Contains(text, "Time offset") {
			out.WriteString(text)
		}
	}
	return out.String()
}

func TestWhatIsTypedIsLoggedWithItsQuestion(t *testing.T) {
	const secret = "correct horse"
	app, _ := newBox(t)
	s := start(t, app, nil, &shell.Command{Name: "list", Run: func(ctx context.Context, env *shell.Env) error {
		env.Printf("There are no text resources currently defined.\n")
		if _, err := env.Ask(ctx, "It's a name:", "", nil); err != nil {
			return err
		}
		if _, err := env.AskSecret(ctx, "A passphrase:", nil); err != nil {
			return err
		}
		_, err := env.Prompt(ctx, "") // pasted
		return err
	}})
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
	if out, err := client.NewSession(); err != nil || out.Run("list; again") == nil {
		t.Fatal("the second command does not exist")
	}
	client.Close()
	got := logText(t, app, "cli_logs", "cli")
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
		t.Error("a secret is in the log")
	}
}

func TestLongOutputIsNoPartOfAPrompt(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, nil, &shell.Command{Name: "long", Run: func(ctx context.Context, env *shell.Env) error {
		for i := range 10_000 {
			env.Printf("row %d\n", i)
		}
		_, err := env.Ask(ctx, "More?", "", nil)
		return err
	}})
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
	for line := range strings.Lines(logText(t, app, "cli_logs", "cli")) {
		if len(line) > 4<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if strings.Contains(line, "'no'") && !strings.Contains(line, `row 9999\n`) {
			t.Errorf("got %s", line)
		}
	}
}

func TestLoginsAndLogoutsAreLogged(t *testing.T) {
	app, _ := newBox(t)
	s := start(t, app, nil)
	dial(t, s).Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := s.Stop(ctx); err != nil { // waits for the connection's end
		t.Fatal(err)
	}
	from := "127.0.0.1"
	want := fmt.Sprintf("Info: The user admin successfully logged on from %s with privilege admin using an SSH connection.\n"+
		"Info: User admin logged out of SSH session %s\n", from, from)
	if got := logText(t, app, "authentication", "authentication"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatFollowsAPassphraseCommandIsNotLogged(t *testing.T) {
	const secret = "correct-horse"
	app, _ := newBox(t)
	quiet := func(context.Context, *shell.Env) error { return nil }
	client := dial(t, start(t, app, nil,
		&shell.Command{Name: "passwd", Secret: true, Run: quiet}, &shell.Command{Name: "list", Batch: true, Run: quiet}))
	for _, line := range []string{"passwd " + secret, `list a; PASSWD "` + secret + `; b"; list c`, "list d"} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		_ = session.Run(line) // the arguments are refused
	}
	got := logText(t, app, "cli_logs", "cli")
	for _, want := range []string{"entered 'passwd ********';", "entered 'list a; PASSWD ********';", "entered 'list d';"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, secret) {
		t.Errorf("the log has the passphrase:\n%s", got)
	}
}
