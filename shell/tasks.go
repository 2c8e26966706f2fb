package shell

import (
	"context"
	"sync"
)

// A taskGroup counts running tasks. It is a sync.WaitGroup that can be waited for until a
// context ends: with a WaitGroup that takes a goroutine, which stays behind when the context
// ends first. The zero value is usable.
type taskGroup struct {
	mu      sync.Mutex // a leaf
	running int
	idle    chan struct{} // closed when running drops to 0; nil while nothing waits
}

// add counts a task; the caller calls done when the task has ended.
func (g *taskGroup) add() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running++
}

func (g *taskGroup) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running--; g.running == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Go runs task in its own goroutine.
func (g *taskGroup) Go(task func()) {
	g.add()
	go func() {
		defer g.done()
		task()
	}()
}

// wait blocks until no task runs. If ctx ends first, wait returns its error.
func (g *taskGroup) wait(ctx context.Context) error {
	g.mu.Lock()
	if g.running == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
