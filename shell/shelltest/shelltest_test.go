package shelltest_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esasim/esasim/shell"
	"github.com/esasim/esasim/shell/shelltest"
)

// An appliance is a stand-in for a session: it says the first text, and after each
// line of input, or key, the next. The end follows the last one.
type appliance struct {
	says  []string
	typed bytes.Buffer
	out   *io.PipeReader
	in    *io.PipeWriter
	keys  chan string
	once  sync.Once
}

func newAppliance(says ...string) *appliance {
	a := &appliance{says: says, keys: make(chan string, 100)}
	a.out, a.in = io.Pipe()
	go func() {
		defer a.in.Close()
		for i, text := range says {
			if i > 0 {
				if _, ok := <-a.keys; !ok {
					return
				}
			}
			if _, err := io.WriteString(a.in, text); err != nil {
				return
			}
		}
	}()
	return a
}

func (a *appliance) Read(p []byte) (int, error) { return a.out.Read(p) }

func (a *appliance) Write(p []byte) (int, error) {
	a.keys <- string(p)
	return a.typed.Write(p)
}

func (a *appliance) Close() error {
	a.once.Do(func() { close(a.keys) })
	return a.out.Close()
}

const short = 300 * time.Millisecond // of patience, where it is meant to be exhausted

func play(conversation string, patience time.Duration, says ...string) error {
	p := shelltest.NewPlayer(newAppliance(says...))
	defer p.Close()
	return p.Play(conversation, patience)
}

func TestPlay(t *testing.T) {
	const conversation = "host> «version»\n\nVersion ⟨number⟩\nhost> «passwd»\n\nOld: ‹secret›\nhost> «wait»\n\nwaiting\n«^C»\nhost> «long»\n\none\n" +
		"-Press Any Key For More-«<space>»\ntwo\nhost> «exit»\n"
	a := newAppliance("host> ", "version\r\r\n\r\nVersion 14\r\nhost> ", "passwd\r\r\n\r\nOld: ", "\r\r\nhost> ", "wait\r\r\n\r\nwaiting\r\n", "^C\r\nhost> ",
		"long\r\r\n\r\none\r\n-Press Any Key For More-", "\r"+strings.Repeat(" ", 25)+"\rtwo\r\nhost> ", "exit\r\r\n")
	p := shelltest.NewPlayer(a)
	if err := p.Play(conversation, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if want := "version\rpasswd\rsecret\rwait\r\x03long\r exit\r"; a.typed.String() != want {
		t.Errorf("typed %q, want %q", a.typed.String(), want)
	}
}

func TestPlayNoticesWhatDiffers(t *testing.T) {
	for _, c := range []struct {
		what, conversation string
		says               []string
		want               string
	}{
		{"one byte", "host> «x»\nab\nhost> «…»", []string{"host> ", "x\r\nac\r\nhost> "}, "line 2:"},
		{"extra text", "host> «x»\nhost> «…»", []string{"host> ", "x\r\n\r\nhost> "}, `got "\nhost> "`},
		{"a question that is missing", "host> «x»\nSure? «y»\nhost> «…»", []string{"host> ", "x\r\nhost> "}, `got "host> "`},
		{"no echo", "host> «x»\nhost> «…»", []string{"host> ", "\r\nhost> "}, "echo of «x»"},
		{"an echo of what is secret", "Old: ‹x›\nhost> «…»", []string{"Old: ", "x\r\nhost> "}, "echo of ‹x›"},
		{"a count that is none", "⟨count⟩ ⟨count⟩\n«…»", []string{"    12 -\r\n"}, `got "    12 -`},
		{"a number that is none", "Version ⟨number⟩\n«…»", []string{"Version a\r\n"}, `got "Version a`},
		{"silence", "host> «x»\nab\n«…»", []string{"host> ", "x\r\na", "never"}, "nothing more came"},
		{"the end", "host> «x»\nab\nhost> «…»", []string{"host> ", "x\r\na"}, "EOF"},
		{"more after the end", "host> «exit»\n", []string{"host> ", "exit\r\n\r\nbye\r\n"}, `got "\nbye\n"`},
		{"no end", "host> «exit»\n", []string{"host> ", "exit\r\n", "never"}, "the end of the session"},
	} {
		if err := play(c.conversation, short, c.says...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.what, err, c.want)
		}
	}
}

func TestPlaceholdersMatchTheirFormAndNothingElse(t *testing.T) {
	for form, texts := range map[string][2][]string{
		"number":  {{"0", "123"}, {"", "-1", "1,000"}},
		"ms":      {{"2.095", "0.1"}, {"2", "2.0951", ".5"}},
		"time":    {{"08:50:03", "23:59:59"}, {"8:50:03", "24:00:00", "08:60:00"}},
		"date":    {{"Thu Jun 25 08:50:03 2015", "Mon Jan  5 00:00:00 2015"}, {"Thu Jun 25 08:50:03", "Foo Jun 25 08:50:03 2015"}},
		"stamp":   {{"20150625-085003"}, {"20150625T085003", "2015625-085003"}},
		"port":    {{"1024", "65535", "9999", "60000"}, {"1023", "65536", "080", "123456"}},
		"hex":     {{"0aF"}, {"0x1", "g"}},
		"nothing": {{"⟨nothing⟩"}, {"1"}},
	} {
		for i, ok := range []bool{true, false} {
			for _, text := range texts[i] {
				if err := play("is ⟨"+form+"⟩.\n", short, "is "+text+".\n"); (err == nil) != ok {
					t.Errorf("⟨%s⟩ and %q: %v", form, text, err)
				}
			}
		}
	}
}

func TestRecord(t *testing.T) {
	const before = "host> «ping»\n\ntime=⟨ms⟩ ms\nold line\nhost> «name»\n[old]> «x»\nhost> «exit»\n"
	const after = "host> «ping»\n\ntime=⟨ms⟩ ms\nnew line\nhost> «name»\n\nName:\n[]> «x»\n\nhost> «exit»\nbye\n"
	says := []string{"host> ", "ping\r\n\r\ntime=2.1 ms\r\nnew line\r\nhost> ", "name\r\n\r\nName:\r\n[]> ", "x\r\n\r\nhost> ", "exit\r\nbye\r\n"}
	for _, conversation := range []string{before, after, "«ping»\n«name»\n«x»\n«exit»\n"} {
		p := shelltest.NewPlayer(newAppliance(says...))
		got, err := p.Record(conversation, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		want := after
		if !strings.Contains(conversation, "⟨") {
			want = strings.ReplaceAll(after, "⟨ms⟩", "2.1")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", conversation, diff)
		}
	}
}

func TestScript(t *testing.T) {
	p := shelltest.NewPrompter("a", "secret", "^C")
	for i, want := range []error{nil, nil, shell.ErrInterrupt, io.EOF} {
		ask := p.Prompt
		if i == 1 {
			ask = p.Secret
		}
		if _, err := ask(t.Context(), "? "); !errors.Is(err, want) {
			t.Errorf("answer %d: %v", i, err)
		}
	}
	if got := p.String(); got != "? a\n? \n? ^C\n? " || p.Unused() != 0 {
		t.Errorf("noted %q, %d answers left", got, p.Unused())
	}
}
