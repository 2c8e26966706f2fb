package appliancetest_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
)

// t stands for the *testing.T of a test function in the examples of this package.
var t = &exampleT{}

// TestMain ends what the examples have started.
func TestMain(m *testing.M) {
	t.context, t.cancel = context.WithCancel(context.Background())
	status := m.Run()
	t.cancel()
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
	if t.failed {
		status = 1
	}
	os.Exit(status)
}

// An exampleT is a testing.TB for examples, which get none. It has the methods that this
// package and the examples call.
type exampleT struct {
	testing.TB
	context  context.Context
	cancel   context.CancelFunc
	cleanups []func()
	failed   bool
}

func (t *exampleT) Helper()                  {}
func (t *exampleT) Context() context.Context { return t.context }
func (t *exampleT) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Log(...any)               {}
func (t *exampleT) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }

func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleT) Error(args ...any) {
	t.failed = true
	fmt.Fprintln(os.Stderr, args...)
}

func (t *exampleT) TempDir() string {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// exampleTests stands for the *testing.M of a package with one test.
type exampleTests func(t testing.TB)

func (f exampleTests) Run() int {
	f(t)
	return 0
}
