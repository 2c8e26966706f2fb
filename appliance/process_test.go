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

// slowStarter is a process whose second start takes until it may be done.
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

func TestAnApplianceThatStopsDuringARestartLeavesNothingRunning(t *testing.T) {
	s := &slowStarter{starting: make(chan struct{}), mayStart: make(chan struct{}), stopped: make(chan struct{})}
	app := open(t, appliance.Options{Dir: t.TempDir(), Product: product.Facts{Version: product.Version{Major: 14}}})
	app.Add(s)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	restarted, off := make(chan error), make(chan error)
	go func() { restarted <- app.Restart(t.Context(), daemon.GUI) }()
	<-s.starting
	go func() { off <- app.Stop(context.Background()) }()
	<-s.stopped
	close(s.mayStart)
	if err := <-restarted; !errors.Is(err, appliance.ErrNotRunning) {
		t.Errorf("Restart = %v", err)
	}
	if err := <-off; err != nil {
		t.Error(err)
	}
	if s.running.Load() {
		t.Error("the process runs")
	}
}
