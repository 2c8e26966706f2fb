package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
)

// deskState is the part of a Desk's state that survives a restart.
type deskState struct {
	Alerts     []Alert   `json:"alerts"` // the oldest first
	LastReport time.Time `json:"report"` // when the last weekly report was due
}

// load reads the file. If it does not exist or is empty, and after an error, k is unchanged.
func (k *deskState) load(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var read deskState
	if err := json.Unmarshal(b, &read); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	*k = read
	return nil
}

// save replaces the file as a whole.
func (k deskState) save(file string) error {
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.WriteSynced(file, append(b, '\n'))
}

// keep stores an alert and removes the oldest above the limit. mu must be held.
func (d *Desk) keep(a Alert, limit int) {
	d.state.Alerts = append(d.state.Alerts, a)
	if extra := len(d.state.Alerts) - limit; extra > 0 {
		d.state.Alerts = slices.Delete(d.state.Alerts, 0, extra)
	}
	d.save()
}

// save starts a goroutine that writes the file unless there is one. mu must be held, and the
// desk must not be stopped.
func (d *Desk) save() {
	d.unsaved = true
	if d.writing {
		return
	}
	d.writing = true
	d.saving.Go(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for d.unsaved {
			now := deskState{slices.Clone(d.state.Alerts), d.state.LastReport}
			d.unsaved = false
			d.mu.Unlock()
			err := now.save(d.o.File)
			d.mu.Lock()
			if err != nil && !d.saveFailed {
				d.o.Logger.Warn("the alerts are kept in memory: they cannot be stored", "err", err)
			}
			d.saveFailed = err != nil
		}
		d.writing = false
	})
}
