package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/refusal"
)

// The state directory holds small files, one for each value that must survive a restart and is
// neither configuration nor in the file area. They are replaced as a whole.

// Names of state files.
const (
	installedFile = "installed" // when the appliance was first started, in RFC 3339
	clockFile     = "clock"     // how far its clock is ahead of the machine's, as a Go duration
	dnsFile       = "dns"       // lifetime counters of the DNS client, in JSON
	leasesFile    = "leases"    // the last lease of each interface with DHCP, in JSON
)

// readState returns the content of a state file, without white space around it; "" if there is no
// such file.
func readState(dir, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read state: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// loadState calls parse with the content of a state file that exists and is not empty. An
// appliance starts whatever its state files hold: if the file cannot be read, or parse returns an
// error, loadState logs that the file is ignored.
func (a *Appliance) loadState(name string, parse func(text string) error) {
	text, err := readState(a.state, name)
	if err == nil && text != "" {
		err = parse(text)
	}
	if err != nil {
		a.Logger.Warn("a state file is ignored", "file", filepath.Join(a.state, name), "err", err)
	}
}

// writeState replaces a state file and waits until its content is on disk.
func writeState(dir, name, text string) error {
	if err := atomicfile.WriteSynced(filepath.Join(dir, name), []byte(text+"\n")); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// openState reads the setting of the clock and the date of the installation. At the first start it
// sets that date, which is not saved yet (see installation).
func (a *Appliance) openState() {
	if err := atomicfile.Sweep(a.state); err != nil {
		a.Logger.Warn("temporary files in the state directory could not be removed", "err", err)
	}
	a.loadState(clockFile, func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("expected a duration such as -26h3m: %w", err)
		}
		now := a.Clock.Now().Add(d - a.Clock.Shift())
		if err := checkYear(now); err != nil {
			return err
		}
		a.Clock.SetShift(d)
		return nil
	})
	if !a.Product.Installed.IsZero() {
		return
	}
	a.loadState(installedFile, func(text string) error {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("expected a time in RFC 3339: %w", err)
		}
		if err := checkYear(at); err != nil {
			return err
		}
		a.Product.Installed = at.Truncate(time.Second)
		return nil
	})
	if !a.Product.Installed.IsZero() {
		return
	}
	a.Product.Installed = a.Clock.Now().Truncate(time.Second) // as the file has it
	a.installation.unsaved = true
}

// An installation saves the date of the installation, once. A first start does not wait for that:
// a process may start many appliances of which nobody ever uses one. The date is saved when
// somebody has asked for it, installationDelay after the start, and when the appliance stops.
type installation struct {
	mu        sync.Mutex // a leaf; held while the file is written
	unsaved   bool
	stopTimer func() bool // nil: there is no timer
}

// installationDelay is the time after a first start when the date of the installation is saved.
const installationDelay = time.Minute

// Installed returns the date of the installation. It is on disk when Installed returns, so that an
// administrator never sees two different dates.
func (a *Appliance) Installed() time.Time {
	a.saveInstalled()
	return a.Product.Installed
}

// saveInstalled saves the date of the installation unless that is done.
func (a *Appliance) saveInstalled() {
	i := &a.installation
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.unsaved {
		return
	}
	i.unsaved = false
	// This write does not wait for the disk. A power cut may lose the date of an installation that
	// is minutes old.
	err := atomicfile.Write(filepath.Join(a.state, installedFile),
		[]byte(a.Product.Installed.UTC().Format(time.RFC3339)+"\n"))
	if err != nil {
		a.Logger.Warn("the date of the installation is not saved", "err", err)
	}
}

// startInstallationTimer makes saveInstalled be called installationDelay from now.
func (a *Appliance) startInstallationTimer() {
	i := &a.installation
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.unsaved {
		i.stopTimer = a.timers.AfterFunc(a.Clock, installationDelay, a.saveInstalled)
	}
}

// stopInstallationTimer saves the date of the installation and stops the timer.
func (a *Appliance) stopInstallationTimer() {
	a.saveInstalled()
	i := &a.installation
	i.mu.Lock()
	stop := i.stopTimer
	i.mu.Unlock()
	if stop != nil {
		stop()
	}
	a.timers.Wait()
}

// The range of years that administrators may set the clock to.
const (
	MinYear = 1970
	MaxYear = 2100
)

// checkYear returns an error if administrators may not set the clock to t.
func checkYear(t time.Time) error {
	if y := t.Year(); y < MinYear || y > MaxYear {
		return fmt.Errorf("expected a time in the years from %d to %d", MinYear, MaxYear)
	}
	return nil
}

// SetTime sets the appliance's wall time. The setting survives a restart, like that of a
// battery-backed clock. If it cannot be saved, the error is a refusal, and the time stays.
func (a *Appliance) SetTime(t time.Time) error {
	return a.changeShift(a.Clock.Shift() + t.Sub(a.Clock.Now().Round(0)))
}

// AdvanceTime moves the appliance's wall time forward by d, like SetTime.
func (a *Appliance) AdvanceTime(d time.Duration) error { return a.changeShift(a.Clock.Shift() + d) }

// changeShift saves and sets how far the appliance's wall time is ahead of the machine's.
func (a *Appliance) changeShift(d time.Duration) error {
	if err := writeState(a.state, clockFile, d.String()); err != nil {
		return notSaved(err)
	}
	a.setShift(d)
	return nil
}

// setShift sets the wall time, and tells the parts that wait for one.
func (a *Appliance) setShift(d time.Duration) {
	before := a.Clock.Now()
	a.Clock.SetShift(d)
	events.Publish(a.Events, 0, ClockChanged{before, a.Clock.Now()})
	a.Logs.ClockSet()
	a.MTA.Delivery.Reschedule()
}

// shiftTime is changeShift for a time server's time, which is right even if it cannot be saved.
func (a *Appliance) shiftTime(d time.Duration) error {
	a.setShift(d)
	if err := writeState(a.state, clockFile, d.String()); err != nil {
		a.Logger.Warn("the setting of the clock is not saved", "err", err)
	}
	return nil
}

// notSaved returns the refusal of a change that could not be written to disk.
func notSaved(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return refusal.Because(err, "The setting was not changed: there is no disk space left.")
	}
	return refusal.Because(err, "The setting was not changed: it could not be saved to disk.")
}

// Sync writes what the appliance would write when it stops, as far as it is kept: lines of logs that
// wait for the disk, counters of the DNS client, and the date of the installation.
func (a *Appliance) Sync(ctx context.Context) error {
	a.saveInstalled()
	a.saveResolver()
	if err := a.Logs.Flush(ctx); err != nil {
		return fmt.Errorf("write what waits for the disk: %w", err)
	}
	return nil
}
