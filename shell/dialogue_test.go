package shell_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// wantConversation runs f with the given answers and compares the conversation.
func wantConversation(
	t *testing.T, f func(context.Context, shell.Dialogue) error, want string, answers ...string,
) {
	t.Helper()
	p := shelltest.NewPrompter(answers...)
	if err := f(t.Context(), shell.NewDialogue(p)); err != nil {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if p.Unused() > 0 {
		t.Errorf("%d answers were not used", p.Unused())
	}
}

// The blank lines are those of public samples: one after each line that the user has entered, one
// between questions, two between the header of a menu and the menu, none between a text and a
// question that is answered on its own line.
func TestBlankLines(t *testing.T) {
	wantConversation(t, func(ctx context.Context, d shell.Dialogue) error {
		setup := func(ctx context.Context) error {
			d.Printf("File Reputation: Disabled\n")
			var yes bool
			var name string
			return d.Form(ctx,
				shell.YesNo(&yes, "Would you like to use File Reputation?"),
				shell.YesNo(&yes, "Would you like to use File Analysis?"),
				shell.Text(&name, "Enter a name:", nil),
				shell.Text(&name, "Enter another:", nil))
		}
		return d.Menu(ctx, func() shell.Menu {
			return shell.Menu{
				Header: func() { d.Printf("File Reputation: Disabled\n") },
				Items:  []shell.Item{{Key: "SETUP", Text: "Configure the service.", Run: setup}},
			}
		})
	}, `File Reputation: Disabled


Choose the operation you want to perform:
- SETUP - Configure the service.
[]> setup

File Reputation: Disabled
Would you like to use File Reputation? [N]> y

Would you like to use File Analysis? [Y]> y

Enter a name:
[]> a

Enter another:
[a]> b

File Reputation: Disabled


Choose the operation you want to perform:
- SETUP - Configure the service.
[]> 
`, "setup", "y", "y", "a", "b", "")
}

func TestTextThatBeginsWithBlankLineGetsNoOther(t *testing.T) {
	wantConversation(t, func(ctx context.Context, d shell.Dialogue) error {
		if _, err := d.Ask(ctx, "Name:", "", nil); err != nil {
			return err
		}
		d.Printf("\nDone.\n")
		_, err := d.Ask(ctx, "Next:", "", nil)
		d.Printf("\n\nTwo blank lines are two.\n")
		return err
	}, "Name:\n[]> a\n\nDone.\n\nNext:\n[]> b\n\n\nTwo blank lines are two.\n", "a", "b")
}

func TestRefusedAnswerIsAskedForAgain(t *testing.T) {
	n := 5
	wantConversation(t, func(ctx context.Context, d shell.Dialogue) error {
		return d.Form(ctx, shell.Number(&n, "How many?", 1, 10))
	}, "How many?\n[5]> eleven\n\nThe value must be an integer from 1 to 10.\n\n"+
		"How many?\n[5]> 11\n\nThe value must be an integer from 1 to 10.\n\n"+
		"How many?\n[5]> 7\n", "eleven", "11", "7")
	if n != 7 {
		t.Errorf("n = %d", n)
	}
}

func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		def    bool
		answer string
		want   bool
	}{
		{true, "", true}, {true, "n", false}, {true, "NO", false},
		{false, "", false}, {false, "Y", true}, {false, " yes ", true},
	} {
		p := shelltest.NewPrompter("perhaps", c.answer)
		got, err := shell.NewDialogue(p).Confirm(t.Context(), "Sure?", c.def)
		if err != nil || got != c.want {
			t.Errorf("%q with default %v: %v, %v", c.answer, c.def, got, err)
		}
		if !strings.Contains(p.String(), "> perhaps\n\nPlease answer yes or no.\nSure? [") {
			t.Errorf("after an answer that is neither yes nor no: %q", p.String())
		}
	}
}

func TestChoose(t *testing.T) {
	for answer, want := range map[string]int{"": 1, "1": 0, "3": 2, "management": 2, "data 1": 0} {
		got, err := shell.NewDialogue(shelltest.NewPrompter("4", "0", "x", answer)).
			Choose(t.Context(), "Interface:", 1, "Data 1", "Data 2", "Management")
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", answer, got, err, want)
		}
	}
	d := shell.NewDialogue(shelltest.NewPrompter(""))
	if _, err := d.Choose(t.Context(), "Interface:", -1, "a"); !errors.Is(err, io.EOF) {
		t.Errorf("an empty answer without a default: %v, want the question asked again", err)
	}
}

func TestChooseSeveral(t *testing.T) {
	got, err := shell.NewDialogue(shelltest.NewPrompter("1,x", "3, data 1,3")).
		ChooseSeveral(t.Context(), "Interfaces:", []int{1}, "Data 1", "Data 2", "Management")
	if diff := cmp.Diff([]int{0, 2}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestMenuWords(t *testing.T) {
	var chosen []string
	record := func(word string) func(context.Context) error {
		return func(context.Context) error {
			chosen = append(chosen, word)
			if word == "STOP" {
				return refusal.New("It does not run.")
			}
			return nil
		}
	}
	p := shelltest.NewPrompter(
		"start", "Sta", "stat", "stop", "hidden", "s", "net", "leave", "not used")
	err := shell.NewDialogue(p).Menu(t.Context(), func() shell.Menu {
		return shell.Menu{NoTitle: true, Items: []shell.Item{
			{Key: "START", Text: "Start", Run: record("START")},
			{Key: "STOP", Text: "Stop", Run: record("STOP")},
			{Key: "STATUS", Text: "Status", Run: record("STATUS")},
			{Key: "NETWORK", Text: "Network", Run: record("NETWORK")},
			{Key: "HIDDEN", Text: "Hidden", Hidden: true, Run: record("HIDDEN")},
			{Key: "LEAVE", Text: "Leave", Run: func(context.Context) error { return shell.ErrLeaveMenu }},
		}}
	})
	if err != nil || p.Unused() != 1 {
		t.Errorf("error %v, %d answers not used, want 1", err, p.Unused())
	}
	if diff := cmp.Diff([]string{"START", "STATUS", "STOP", "NETWORK"}, chosen); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{
		"> Sta\n\nThe word Sta is ambiguous: it may mean START or STATUS.\n\n- START - Start\n",
		"It does not run.\n\n- START",
		"The operation HIDDEN is not possible now.\n",
		"The word s is ambiguous: it may mean START or STOP or STATUS.\n",
	} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("want %q in\n%s", want, p)
		}
	}
	if strings.Contains(p.String(), "Choose the operation") || strings.Contains(p.String(), "- HIDDEN") {
		t.Errorf("the menu shows its title or a hidden item:\n%s", p)
	}
}

type method string

func (m method) String() string { return "by " + string(m) }

func TestFormFields(t *testing.T) {
	v := struct {
		name    string
		method  method
		methods []method
		host    string
	}{name: "a", method: "mail", methods: []method{"mail"}}
	form := []shell.Field{
		shell.Text(&v.name, "Name:", shell.Required),
		shell.OneOf(&v.method, "Method:", "mail", "fax"),
		shell.SomeOf(&v.methods, "Methods:", "mail", "fax"),
		shell.When(func() bool { return v.method == "fax" }, shell.Text(&v.host, "Host:", nil)),
	}
	run := func(answers ...string) string {
		p := shelltest.NewPrompter(answers...)
		if err := shell.NewDialogue(p).Form(t.Context(), form...); err != nil {
			t.Error(err)
		}
		return p.String()
	}
	text := run("", "", "1,2")
	if strings.Contains(text, "Host:") || v.name != "a" || v.method != "mail" {
		t.Errorf("%+v after\n%s", v, text)
	}
	text = run("b", "by fax", "", "h")
	if v.name != "b" || v.method != "fax" || len(v.methods) != 2 || v.host != "h" {
		t.Errorf("%+v after\n%s", v, text)
	}
	for _, want := range []string{"Methods:\n1. by mail\n2. by fax\n[1, 2]> "} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q, the current value as the default, in\n%s", want, text)
		}
	}
}

func TestPrompterErrorEndsDialogue(t *testing.T) {
	broken := errors.New("broken")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	newDialogue := func(answer string) shell.Dialogue {
		return shell.NewDialogue(shelltest.NewPrompter(answer))
	}
	var n int
	var b bool
	for name, err := range map[string]error{
		"form": newDialogue("1").Form(ctx, shell.Number(&n, "N", 1, 2)),
		"yes":  newDialogue("y").Form(ctx, shell.YesNo(&b, "B")),
		"menu": newDialogue("x").Menu(ctx, func() shell.Menu { return shell.Menu{} }),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := newDialogue("^C").Form(t.Context(), shell.Number(&n, "N", 1, 2))
	if !errors.Is(err, shell.ErrInterrupt) {
		t.Errorf("Ctrl-C: %v", err)
	}
	check := func(string) error { return broken }
	if _, err := newDialogue("x").Ask(t.Context(), "Q", "", check); !errors.Is(err, broken) {
		t.Errorf("a check with an error that is not a refusal: %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	wantConversation(t, func(ctx context.Context, d shell.Dialogue) error {
		s, err := d.AskSecret(ctx, "Passphrase:", func(s string) error {
			if s == "short" {
				return refusal.New("Too short.")
			}
			return nil
		})
		if s != " long enough " {
			t.Errorf("got %q, want the passphrase exactly as typed", s)
		}
		return err
	}, "Passphrase:\n[]> \n\nToo short.\n\nPassphrase:\n[]> \n", "short", " long enough ")
}

func TestTable(t *testing.T) {
	tab := shell.Table{Headings: []string{"Name", "Remote Host", "What"}}
	tab.Add("admin", "10.0.0.1", "cli")
	tab.Add("shutdown")
	var b strings.Builder
	tab.Print(&b)
	const want = "" +
		"Name      Remote Host  What\n" +
		"========  ===========  ====\n" +
		"admin     10.0.0.1     cli\n" +
		"shutdown\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

// fakeScreen is a Screen on which the user presses keys immediately.
type fakeScreen struct {
	*shelltest.Prompter
	columns, rows int
	keys          int  // that the user has pressed
	interrupt     bool // the key is Ctrl-C
}

func (s *fakeScreen) Size() (int, int) { return s.columns, s.rows }

func (s *fakeScreen) WaitForKey(context.Context) error {
	s.keys++
	if s.interrupt {
		return shell.ErrInterrupt
	}
	return nil
}

const passphraseOption = "Mask passphrases " +
	"(Files with masked passphrases cannot be loaded using loadconfig command)"

func TestLongLinesBreakBetweenWords(t *testing.T) {
	for columns, want := range map[int]string{
		80: "1. Mask passphrases (Files with masked passphrases cannot be loaded using\n" +
			"loadconfig command)\n",
		16777215: "1. " + passphraseOption + "\n",
		12: "1. Mask\npassphrases\n(Files with\nmasked\npassphrases\ncannot be\n" +
			"loaded using\nloadconfig\ncommand)\n",
	} {
		s := &fakeScreen{Prompter: shelltest.NewPrompter(), columns: columns, rows: 24}
		shell.NewDialogue(s).List(passphraseOption)
		if diff := cmp.Diff(want, s.String()); diff != "" {
			t.Errorf("%d columns: %s", columns, diff)
		}
	}
	s := &fakeScreen{Prompter: shelltest.NewPrompter("y"), columns: 20, rows: 24}
	question := "Do you want to keep all of the changes?"
	if _, err := shell.NewDialogue(s).Confirm(t.Context(), question, true); err != nil {
		t.Error(err)
	}
	if want := "Do you want to keep\nall of the changes?\n[Y]> y\n"; s.String() != want {
		t.Errorf("a long yes-or-no question: %q, want %q", s.String(), want)
	}
	s = &fakeScreen{Prompter: shelltest.NewPrompter(), columns: 5, rows: 24}
	shell.NewDialogue(s).PrintWrapped("aéiouæø\nab cdefghij k")
	if want := "aéiou\næø\nab\ncdefg\nhij k\n"; s.String() != want {
		t.Errorf("words longer than a line: %q, want %q", s.String(), want)
	}
}

func TestPager(t *testing.T) {
	const marker = "-Press Any Key For More-\r                         \r"
	s := &fakeScreen{Prompter: shelltest.NewPrompter(), columns: 10, rows: 4}
	d := shell.NewDialogue(s)
	out := d.Pager(t.Context())
	for _, part := range []string{"one\ntw", "o\n", "three\na line that wraps\nfive\n"} {
		if n, err := io.WriteString(out, part); err != nil || n != len(part) {
			t.Fatal(n, err)
		}
	}
	if want := "one\ntwo\nthree\n" + marker + "a line\nthat wraps\nfive\n"; s.String() != want {
		t.Errorf("got %q, want %q", s.String(), want)
	}
	long := strings.Repeat("x\n", 100)
	d.SetPaging(false)
	s.keys = 0
	if _, err := io.WriteString(d.Pager(t.Context()), long); err != nil || s.keys != 0 {
		t.Errorf("without paging: %d keys, %v", s.keys, err)
	}
	d.SetPaging(true)
	s.interrupt = true
	if _, err := io.WriteString(d.Pager(t.Context()), long); !errors.Is(err, shell.ErrInterrupt) {
		t.Errorf("Ctrl-C at the marker: %v", err)
	}
	p := shelltest.NewPrompter()
	_, err := io.WriteString(shell.NewDialogue(p).Pager(t.Context()), long)
	if err != nil || p.String() != long {
		t.Errorf("without a terminal: %q, %v", p, err)
	}
}
