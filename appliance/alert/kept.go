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

// kept is what survives a restart.
type kept struct {
	Alerts []Alert   `json:"alerts"` // the oldest first
	Report time.Time `json:"report"` // when the last weekly report was due
}

// load reads the file; one that does not exist, or is empty, leaves k as it is.
func (k *kept) load(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, k); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// save replaces the file as a whole.
func (k kept) save(file string) error {
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.WriteSynced(file, append(b, '\n'))
}

// store keeps an alert, and no more than most of them. mu is held.
func (d *Desk) store(a Alert, most int) {
	d.kept.Alerts = append(d.kept.Alerts, a)
	if extra := len(d.kept.Alerts) - most; extra > 0 {
		d.kept.Alerts = slices.Delete(d.kept.Alerts, 0, extra)
	}
	d.save()
}

// save has the file written soon. mu is held, and the desk is not stopped.
func (d *Desk) save() {
	d.dirty = true
	if d.writes {
		return
	}
	d.writes = true
	d.saving.Go(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for d.dirty {
			now := kept{slices.Clone(d.kept.Alerts), d.kept.Report}
			d.dirty = false
			d.mu.Unlock()
			if err := now.save(d.o.File); err != nil {
				d.o.Logger.Error("the alerts are not stored", "err", err)
			}
			d.mu.Lock()
		}
		d.writes = false
	})
}
