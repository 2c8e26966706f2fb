package appliance_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/daemon"
	"github.com/esasim/esasim/appliance/product"
)

// A slowStarter is a service whose second Start blocks until mayStart is closed.
type slowStarter struct {
	starts, stops atomic.Int32
	running       atomic.Bool
	starting      chan struct{} // closed by the second Start
	mayStart      chan struct{}
	stopped       chan struct{} // closed by the second Stop
}

func (*slowStarter) Name() string            { return "gui" }
func (*slowStarter) Process() daemon.Process { return daemon.GUI }

func (s *slowStarter) Start(context.Context) error {
	if s.starts.Add(1) == 2 {
		close(s.starting)
		<-s.mayStart
	}
	s.running.Store(true)
	return nil
}

func (s *slowStarter) Stop(context.Context) error {
	s.running.Store(false)
	if s.stops.Add(1) == 2 {
		close(s.stopped)
	}
	return nil
}

func TestStopDuringRestart(t *testing.T) {
	s := &slowStarter{
		starting: make(chan struct{}), mayStart: make(chan struct{}), stopped: make(chan struct{}),
	}
	app := open(t, appliance.Options{
		Dir: t.TempDir(), Product: product.Facts{Version: product.Version{Major: 14}},
	})
	app.Add(s)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	restart, stop := make(chan error), make(chan error)
	go func() { restart <- app.Restart(t.Context(), daemon.GUI) }()
	<-s.starting
	go func() { stop <- app.Stop(context.Background()) }()
	<-s.stopped
	close(s.mayStart)
	if err := <-restart; !errors.Is(err, appliance.ErrNotRunning) {
		t.Errorf("Restart = %v", err)
	}
	if err := <-stop; err != nil {
		t.Error(err)
	}
	if s.running.Load() {
		t.Error("the service still runs")
	}
}

func TestRestartOfUnknownProcess(t *testing.T) {
	app := open(t, appliance.Options{Dir: t.TempDir()})
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := app.Restart(t.Context(), daemon.Postgres); !errors.Is(err, appliance.ErrNotRunning) {
		t.Errorf("Restart = %v", err)
	}
}
