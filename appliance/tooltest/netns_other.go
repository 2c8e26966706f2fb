//go:build !linux

package tooltest

import (
	"os/exec"
	"testing"
)

// A Namespace is a network namespace of a test: a machine with interfaces of its own and no way to
// the machine's.
type Namespace struct{}

// NewNamespace makes a namespace that exists until the test ends. The test is skipped, even if every
// tool has to be there, where this process may not make one.
func NewNamespace(t testing.TB) *Namespace {
	t.Skip("network namespaces are made on Linux only")
	return nil
}

// Here returns the namespace in which this process is, for a test that InNamespace has given one.
func Here(testing.TB) *Namespace { return nil }

// Command returns a command in the namespace, not yet started.
func (n *Namespace) Command(string, ...string) *exec.Cmd { return nil }

// Run runs a command in the namespace and returns what it prints. If it fails, the test ends.
func (n *Namespace) Run(string, ...string) string { return "" }

// IP runs the command ip with words.
func (n *Namespace) IP(string) {}

// Link adds an interface of its own to the namespace with the words of "ip link add". The test is
// skipped if the kernel does not have such interfaces.
func (n *Namespace) Link(string) {}

// Cable adds two interfaces that are connected: one here, one in another namespace. Both are up.
func (n *Namespace) Cable(string, *Namespace, string) {}

// InNamespace runs the test once more, in a new process and a new network namespace, where it may
// change everything, and reports whether this is that process: the caller returns if not. The test is
// skipped, even if every tool has to be there, where this process may not make a namespace.
func InNamespace(t *testing.T) bool {
	t.Skip("network namespaces are made on Linux only")
	return false
}
