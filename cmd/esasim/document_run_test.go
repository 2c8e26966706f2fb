package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/tooltest"
)

// TestDocuments runs the lines that the pages show.
func TestDocuments(t *testing.T) {
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) { testDocument(t, page) })
	}
}

func testDocument(t *testing.T, page string) {
	blocks := blocksOf(t, page)
	var r *reader
	for _, b := range blocks {
		if b.notRun != "" || b.language == "python" && page == clientsPage || b.language == "sh" && page == clientsPage && isNeed(t, b.text) {
			continue // the needs have tests of their own
		}
		if r == nil {
			tooltest.Need(t, "bash", "curl", "ssh", "scp", "sftp", "sshpass", "python3", "swaks", "tshark")
			r = newReader(t, page)
		}
		r.runBlock(b)
		for _, m := range b.marks {
			if !m.used {
				t.Errorf("%s:%d: the mark %q applies to no line", page, b.line, m.verb+": "+m.prefix)
			}
		}
	}
}

// isNeed reports whether the text is a need of the page of clients.
func isNeed(t *testing.T, text string) bool {
	t.Helper()
	for _, n := range needs(t) {
		for _, e := range n.examples["sh"] {
			if e == text {
				return true
			}
		}
	}
	return false
}

// A reader types the lines of a page, with an appliance that runs.
type reader struct {
	t         *testing.T
	page, dir string
	env       []string
	ports     *strings.Replacer
	variables string // assignments of earlier lines
}

// prelude makes clients answer the questions that a reader answers.
const prelude = `
set -o pipefail
quiet="-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
ssh() { command sshpass -p ironport ssh $quiet "$@"; }
curl() { command curl --fail-with-body -sS "$@"; }
scp() { command sshpass -p ironport scp $quiet "$@"; }
sftp() { command sshpass -p ironport sftp $quiet "$@"; }
`

func newReader(t *testing.T, page string) *reader {
	t.Helper()
	r := &reader{t: t, page: page, dir: clientDir(t)}
	if signal.Ignored(syscall.SIGINT) {
		// A process in the background of a script ignores interrupts, and so would its children. They
		// do not inherit that a signal is caught. It stays caught: this process goes on as before.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGINT)
	}
	p := start(t, r.dir, "--ctl", "127.0.0.1:0")
	var ports []string
	for usual, addr := range map[string]string{
		"2222": p.ssh, "2121": p.ftp, "8443": p.ready.Addresses["https"], "8080": p.ready.Addresses["http"],
		"2525": p.ready.Addresses["smtp"], "4000": p.ready.Ctl,
	} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, ":"+usual, ":"+port, "-p "+usual, "-p "+port, "-P "+usual, "-P "+port)
	}
	r.ports = strings.NewReplacer(ports...)
	r.env = append(os.Environ(), "HOME="+r.dir, "TMPDIR="+r.dir, "XDG_STATE_HOME=", "ESASIM_SOCKET=",
		"PATH="+r.dir+":"+os.Getenv("PATH"))
	return r
}

// runBlock runs the commands of a block in their order.
func (r *reader) runBlock(b *block) {
	r.t.Helper()
	for _, m := range b.marks {
		if m.verb == "first" {
			m.used = true
			if out, err := r.run(r.ports.Replace(m.argument)); err != nil {
				r.t.Errorf("%s:%d: before the block: %s: %v\n%s", r.page, b.line, m.argument, err, out)
			}
		}
	}
	for _, command := range b.commands() {
		if _, skip := b.mark("skip", command); skip {
			continue
		}
		if out, err := r.runCommand(b, command); err != nil {
			r.t.Errorf("%s:%d: %s\n%v\n%s", r.page, b.line, command, err, out)
		}
	}
}

// runCommand runs a command of a page.
func (r *reader) runCommand(b *block, command string) (output string, err error) {
	typed := r.ports.Replace(b.typed(command))
	if b.language == "python" {
		return r.finish(exec.Command("python3", "-W", "error", "-c", typed), 0)
	}
	if name, _, is := strings.Cut(typed, "="); is && !strings.ContainsAny(name, " \"'-./$") {
		r.variables += typed + "\n"
	}
	status := 0
	if want, is := b.mark("status", command); is {
		if status, err = strconv.Atoi(want); err != nil {
			return "", err
		}
	}
	until, forever := b.mark("interrupt", command)
	if other, is := b.mark("meanwhile", command); is {
		ctx, stop := context.WithCancel(r.t.Context())
		var repeating sync.WaitGroup
		defer repeating.Wait()
		defer stop()
		repeating.Go(func() { r.repeat(ctx, r.ports.Replace(other), false) })
	}
	if forever {
		return r.interrupt(typed, r.ports.Replace(until), status)
	}
	return r.finish(r.bash(typed), status)
}

// bash returns a command of the shell that runs a line.
func (r *reader) bash(line string) *exec.Cmd {
	return exec.Command("bash", "-c", prelude+r.variables+line)
}

// run runs a line.
func (r *reader) run(line string) (output string, err error) { return r.finish(r.bash(line), 0) }

// finish runs a command, which must end with an exit status.
func (r *reader) finish(c *exec.Cmd, status int) (output string, err error) {
	var out safeBuffer
	r.prepare(c, &out)
	if err := c.Start(); err != nil {
		return "", err
	}
	kill := time.AfterFunc(testTimeout, func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	defer kill.Stop()
	err = c.Wait()
	if got := c.ProcessState.ExitCode(); got != status {
		return out.String(), fmt.Errorf("exit status %d, want %d (%w)", got, status, err)
	}
	return out.String(), nil
}

// prepare makes a command write to out, as the first process of a group.
func (r *reader) prepare(c *exec.Cmd, out io.Writer) {
	c.Dir, c.Env, c.Stdout, c.Stderr = r.dir, r.env, out, out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.WaitDelay = 10 * time.Second
}

// interrupt runs a line, waits until it has printed something or, if until is not empty, until that
// command succeeds, and interrupts the line as Ctrl-C does.
func (r *reader) interrupt(line, until string, status int) (output string, err error) {
	var out safeBuffer
	c := r.bash(line)
	r.prepare(c, &out)
	if err := c.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	ctx, cancel := context.WithTimeout(r.t.Context(), testTimeout)
	defer cancel()
	if until == "" {
		for out.String() == "" && clock.System().Sleep(ctx, 20*time.Millisecond) == nil {
			continue
		}
	} else {
		r.repeat(ctx, until, true)
	}
	failed := context.Cause(ctx)
	syscall.Kill(-c.Process.Pid, syscall.SIGINT)
	select {
	case err = <-ended:
	case <-time.After(testTimeout):
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		return out.String(), fmt.Errorf("it does not end after an interrupt: %w", <-ended)
	}
	if failed != nil {
		return out.String(), fmt.Errorf("it is not ready: %w", failed)
	}
	switch c.ProcessState.ExitCode() {
	case status, 128 + int(syscall.SIGINT), -1: // -1: the interrupt has ended the shell
		return out.String(), nil
	}
	return out.String(), err
}

// repeat runs a line until ctx ends or, if once is true, until it succeeds.
func (r *reader) repeat(ctx context.Context, line string, once bool) {
	for ctx.Err() == nil {
		c := r.bash(line)
		var out safeBuffer
		r.prepare(c, &out)
		if c.Run() == nil && once {
			return
		}
		clock.System().Sleep(ctx, 100*time.Millisecond) //nolint:errcheck // the loop looks at ctx
	}
}

// A safeBuffer is a buffer that can be read while a process writes to it.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
