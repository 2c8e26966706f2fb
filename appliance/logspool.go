package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs"
)

// spoolDir is where lines wait for syslog servers, below the state directory.
const spoolDir = "syslog"

// A spoolSweeper removes what waits for syslog servers once nobody is to send it: a log
// that is made later must not send what one of its name has left. It follows the hub,
// which ends pushes.
type spoolSweeper struct{ appliance *Appliance }

func (spoolSweeper) Apply(context.Context, *config.Config, *config.Config) error { return nil }

func (s spoolSweeper) Done(_ context.Context, _, next *config.Config) {
	if err := s.sweep(logs.Section.Get(next)); err != nil {
		s.appliance.Logger.Error("the buffer of a syslog push is not removed", "err", err)
	}
}

// sweep removes the buffers of all but the logs of list that have one.
func (s spoolSweeper) sweep(list logs.Subscriptions) error {
	dir := filepath.Join(s.appliance.state, spoolDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for buffers of syslog pushes: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if sub := list.Find(e.Name()); sub == nil || sub.Method != logs.Syslog || sub.Push.Buffer == 0 {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
