package tooltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// A Namespace is a network namespace of a test: a machine with interfaces of its own and no way to
// the machine's.
type Namespace struct {
	t   testing.TB
	pid string // of the process that keeps it
}

// NewNamespace makes a namespace that exists until the test ends. The test is skipped, even if every
// tool has to be there, where this process may not make one.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces are made by root only")
	}
	Need(t, "ip", "nsenter", "cat")
	c := exec.Command("cat") // it ends with this process, whatever happens
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Skip("no network namespace can be made: ", err)
	}
	t.Cleanup(func() {
		in.(io.Closer).Close()
		_ = c.Wait()
	})
	n := &Namespace{t, strconv.Itoa(c.Process.Pid)}
	n.Run("ip", "link", "set", "lo", "up")
	return n
}

// Here returns the namespace in which this process is, for a test that InNamespace has given one.
func Here(t testing.TB) *Namespace { return &Namespace{t, strconv.Itoa(os.Getpid())} }

// Command returns a command in the namespace, not yet started.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", n.pid, "-n", "--", Path(n.t, name)}, args...)...)
}

// Run runs a command in the namespace and returns what it prints. If it fails, the test ends.
func (n *Namespace) Run(name string, args ...string) string {
	n.t.Helper()
	out, err := n.Command(name, args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// IP runs the command ip with words.
func (n *Namespace) IP(words string) {
	n.t.Helper()
	n.Run("ip", strings.Fields(words)...)
}

// Link adds an interface of its own to the namespace with the words of "ip link add". The test is
// skipped if the kernel does not have such interfaces.
func (n *Namespace) Link(words string) {
	n.t.Helper()
	c := n.Command("ip", append([]string{"link", "add"}, strings.Fields(words)...)...)
	if out, err := c.CombinedOutput(); err != nil {
		n.t.Skipf("this kernel has no such interfaces: ip link add %s: %v: %s", words, err, out)
	}
}

// Cable adds two interfaces that are connected: one here, one in another namespace. Both are up, and
// the kernel has noticed their carriers: it looks once a second.
func (n *Namespace) Cable(here string, other *Namespace, there string) {
	n.t.Helper()
	n.Link(fmt.Sprintf("name %s type veth peer name %s netns %s", here, there, other.pid))
	n.IP("link set " + here + " up")
	other.IP("link set " + there + " up")
	n.AwaitCarrier(here)
	other.AwaitCarrier(there)
}

// carrierTime limits the wait for a carrier. It only matters for tests that fail.
const carrierTime = 2 * time.Minute

// AwaitCarrier waits until the kernel has noticed that the cable of an interface is plugged in.
func (n *Namespace) AwaitCarrier(device string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), carrierTime)
	defer cancel()
	for !strings.Contains(n.Run("ip", "-o", "link", "show", device), " state UP ") {
		if err := clock.System().Sleep(ctx, 10*time.Millisecond); err != nil {
			n.t.Fatalf("%s has no carrier: %v", device, err)
		}
	}
}

// insideNamespace tells a test that it runs in a namespace of its own.
const insideNamespace = "ESASIM_TEST_INSIDE_NAMESPACE"

// InNamespace runs the test once more, in a new process and a new network namespace, where it may
// change everything, and reports whether this is that process: the caller returns if not. The test is
// skipped, even if every tool has to be there, where this process may not make a namespace.
func InNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideNamespace) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("network namespaces are made by root only")
	}
	c := exec.Command(os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
	c.Env = append(os.Environ(), insideNamespace+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := c.CombinedOutput()
	var status *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &status):
		t.Skip("no network namespace can be made: ", err)
	case err != nil:
		t.Errorf("in a namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("in a namespace:\n%s", out)
	default:
		t.Logf("in a namespace:\n%s", out)
	}
	return false
}
