package shell

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

func TestTaskGroupWaitsForAllTasks(t *testing.T) {
	var g taskGroup
	if err := g.wait(t.Context()); err != nil {
		t.Errorf("wait without a task: %v", err)
	}
	release, ended := make(chan struct{}), 0
	for range 2 { // a group can be used again
		g.add()
		g.Go(func() {
			<-release
			ended++
			g.done()
		})
		release <- struct{}{}
		if err := g.wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if ended != 2 {
		t.Errorf("wait returned after %d of 2 tasks", ended)
	}
}

func TestTaskGroupStopsWaitingWithoutLeavingAGoroutine(t *testing.T) {
	var g taskGroup
	g.add()
	defer g.done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := runtime.NumGoroutine()
	for range 100 {
		if err := g.wait(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("wait: %v", err)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}
