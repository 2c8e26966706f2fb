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

// A fakeSession is the client's end of a session that sends prepared output: the first text at
// once, and the next after each line or key that is typed. After the last text it ends.
type fakeSession struct {
	typed bytes.Buffer
	out   *io.PipeReader
	in    *io.PipeWriter
	keys  chan string
	once  sync.Once
}

func newSession(output ...string) *fakeSession {
	f := &fakeSession{keys: make(chan string, 100)}
	f.out, f.in = io.Pipe()
	go func() {
		defer f.in.Close()
		for i, text := range output {
			if i > 0 {
				if _, ok := <-f.keys; !ok {
					return
				}
			}
			if _, err := io.WriteString(f.in, text); err != nil {
				return
			}
		}
	}()
	return f
}

func (f *fakeSession) Read(p []byte) (int, error) { return f.out.Read(p) }

func (f *fakeSession) Write(p []byte) (int, error) {
	f.keys <- string(p)
	return f.typed.Write(p)
}

func (f *fakeSession) Close() error {
	f.once.Do(func() { close(f.keys) })
	return f.out.Close()
}

const short = 300 * time.Millisecond // a timeout that is meant to expire

func play(conversation string, timeout time.Duration, output ...string) error {
	p := shelltest.NewPlayer(newSession(output...))
	defer p.Close()
	return p.Play(conversation, timeout)
}

func TestPlay(t *testing.T) {
	const conversation = "host> «version»\n\nVersion ⟨number⟩\n" +
		"host> «passwd»\n\nOld: ‹secret›\n" +
		"host> «wait»\n\nwaiting\n«^C»\n" +
		"host> «long»\n\none\n" +
		"-Press Any Key For More-«<space>»\ntwo\nhost> «exit»\n"
	f := newSession("host> ",
		"version\r\r\n\r\nVersion 14\r\nhost> ",
		"passwd\r\r\n\r\nOld: ", "\r\r\nhost> ",
		"wait\r\r\n\r\nwaiting\r\n", "^C\r\nhost> ",
		"long\r\r\n\r\none\r\n-Press Any Key For More-", "\r"+strings.Repeat(" ", 25)+"\rtwo\r\nhost> ", "exit\r\r\n")
	p := shelltest.NewPlayer(f)
	if err := p.Play(conversation, time.Minute); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if want := "version\rpasswd\rsecret\rwait\r\x03long\r exit\r"; f.typed.String() != want {
		t.Errorf("typed %q, want %q", f.typed.String(), want)
	}
}

func TestPlayDetectsDifferences(t *testing.T) {
	for _, c := range []struct {
		what, conversation string
		output             []string // of the session
		want               string   // in the error
	}{
		{"one byte", "host> «x»\nab\nhost> «…»", []string{"host> ", "x\r\nac\r\nhost> "}, "line 2:"},
		{"extra text", "host> «x»\nhost> «…»", []string{"host> ", "x\r\n\r\nhost> "}, `got "\nhost> "`},
		{"a missing question", "host> «x»\nSure? «y»\nhost> «…»", []string{"host> ", "x\r\nhost> "}, `got "host> "`},
		{"no echo", "host> «x»\nhost> «…»", []string{"host> ", "\r\nhost> "}, "echo of «x»"},
		{"an echo of a secret", "Old: ‹x›\nhost> «…»", []string{"Old: ", "x\r\nhost> "}, "echo of ‹x›"},
		{"a value that does not match ⟨count⟩", "⟨count⟩ ⟨count⟩\n«…»", []string{"    12 -\r\n"}, `got "    12 -`},
		{"a value that does not match ⟨number⟩", "Version ⟨number⟩\n«…»", []string{"Version a\r\n"}, `got "Version a`},
		{"silence", "host> «x»\nab\n«…»", []string{"host> ", "x\r\na", "never"}, "no more output"},
		{"the end", "host> «x»\nab\nhost> «…»", []string{"host> ", "x\r\na"}, "EOF"},
		{"more after the end", "host> «exit»\n", []string{"host> ", "exit\r\n\r\nbye\r\n"}, `got "\nbye\n"`},
		{"no end", "host> «exit»\n", []string{"host> ", "exit\r\n", "never"}, "the end of the session"},
	} {
		err := play(c.conversation, short, c.output...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.what, err, c.want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	for form, texts := range map[string][2][]string{
		"number": {{"0", "123"}, {"", "-1", "1,000"}},
		"ms":     {{"2.095", "0.1"}, {"2", "2.0951", ".5"}},
		"time":   {{"08:50:03", "23:59:59"}, {"8:50:03", "24:00:00", "08:60:00"}},
		"date": {
			{"Thu Jun 25 08:50:03 2015", "Mon Jan  5 00:00:00 2015"},
			{"Thu Jun 25 08:50:03", "Foo Jun 25 08:50:03 2015"},
		},
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
	const before = "host> «ping»\n\ntime=⟨ms⟩ ms\nold line\n" +
		"host> «name»\n[old]> «x»\n" +
		"host> «exit»\n"
	const after = "host> «ping»\n\ntime=⟨ms⟩ ms\nnew line\n" +
		"host> «name»\n\nName:\n[]> «x»\n\n" +
		"host> «exit»\nbye\n"
	output := []string{
		"host> ", "ping\r\n\r\ntime=2.1 ms\r\nnew line\r\nhost> ",
		"name\r\n\r\nName:\r\n[]> ", "x\r\n\r\nhost> ",
		"exit\r\nbye\r\n",
	}
	for _, conversation := range []string{before, after, "«ping»\n«name»\n«x»\n«exit»\n"} {
		p := shelltest.NewPlayer(newSession(output...))
		got, err := p.Record(conversation, time.Minute)
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

func TestPrompter(t *testing.T) {
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
		t.Errorf("recorded %q, %d answers not used", got, p.Unused())
	}
}
