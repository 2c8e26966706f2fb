package shell

import (
	"strings"
	"testing"
)

// A recorder appends what happens to a list.
type recorder struct{ list []string }

func (r *recorder) Write(b []byte) (int, error) {
	r.list = append(r.list, string(b))
	return len(b), nil
}

// Output waits for the log's file if the user has entered a line, and only then.
func TestOutputAwaitsLog(t *testing.T) {
	sent := &recorder{}
	out := &outputBuffer{w: sent, awaitLog: func() { sent.list = append(sent.list, "(logged)") }}
	write := func(text string) {
		if _, err := out.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	write("prompt")
	out.logPending.Store(true)
	write("answer")
	write("rest")
	out.logPending.Store(true)
	if _, err := out.Write([]byte(strings.Repeat("x", maxBuffered))); err != nil {
		t.Fatal(err)
	}
	out.close()
	want := "prompt (logged) answer rest (logged) " + strings.Repeat("x", maxBuffered)
	if got := strings.Join(sent.list, " "); got != want {
		t.Errorf("%q", got)
	}
}

// An idle session keeps neither the memory of its output nor the timer that has sent it.
func TestIdleOutputKeepsNothing(t *testing.T) {
	sent := &recorder{}
	out := &outputBuffer{w: sent, awaitLog: func() {}}
	for _, text := range []string{"first", strings.Repeat("x", minBuffer+1)} {
		if _, err := out.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		out.timers.Wait() // for the timer that flushes
		if last := sent.list[len(sent.list)-1]; last != text {
			t.Errorf("%q was sent, not %q", last, text)
		}
		if out.buf != nil || out.stop != nil || out.pending {
			t.Errorf("after %q: %d bytes, a timer: %v", text, cap(out.buf), out.stop != nil)
		}
	}
	out.close()
}
