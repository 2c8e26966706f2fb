package appliance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/atomicfile"
)

// The state directory holds what is neither configuration nor a file of the user's:
// one small file for each fact, replaced as a whole.

// Files of the state directory.
const (
	installedFile = "installed" // when the appliance was first started, RFC 3339
	clockFile     = "clock"     // how far its clock is ahead of the machine's, a Go duration
	dnsFile       = "dns"       // what the DNS client has ever counted, JSON
)

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

// writeState does not wait for the disk, which would take longer than everything else
// at a first start: what a power cut may cost is the clock's setting, or the date of an
// installation that is minutes old. An empty file counts as none.
func writeState(dir, name, text string) error {
	if err := atomicfile.Write(filepath.Join(dir, name), []byte(text+"\n")); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// openState reads what earlier runs left: the time that was set, and the date of
// the installation, which is now if there is none.
func (a *Appliance) openState() error {
	text, err := readState(a.state, clockFile)
	if err != nil {
		return err
	}
	if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s: expected a duration such as -26h3m: %w", filepath.Join(a.state, clockFile), err)
		}
		a.Clock.SetShift(d)
	}
	if !a.Product.Installed.IsZero() {
		return nil
	}
	if text, err = readState(a.state, installedFile); err != nil {
		return err
	}
	if text == "" {
		a.Product.Installed = a.Clock.Now()
		return writeState(a.state, installedFile, a.Product.Installed.UTC().Format(time.RFC3339))
	}
	if a.Product.Installed, err = time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("%s: expected a time in RFC 3339: %w", filepath.Join(a.state, installedFile), err)
	}
	return nil
}

// Bounds of what administrators may set the clock to.
const (
	MinYear = 1970
	MaxYear = 2100
)

// SetTime sets the appliance's wall time at once. The setting outlives a restart,
// as a battery-backed clock's does.
func (a *Appliance) SetTime(t time.Time) error {
	a.Clock.Set(t)
	return a.keepTime()
}

// AdvanceTime is SetTime for who wants the clock to be d further.
func (a *Appliance) AdvanceTime(d time.Duration) error {
	a.Clock.Advance(d)
	return a.keepTime()
}

// shiftTime is SetTime for who knows how far the clock is to be ahead of the machine's.
func (a *Appliance) shiftTime(d time.Duration) error {
	a.Clock.SetShift(d)
	return a.keepTime()
}

func (a *Appliance) keepTime() error {
	a.Logs.ClockSet()
	return writeState(a.state, clockFile, a.Clock.Shift().String())
}
