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

// The state directory holds small files, one for each value that must survive a restart and is
// neither configuration nor in the file area. They are replaced as a whole.

// Names of state files.
const (
	installedFile = "installed" // when the appliance was first started, in RFC 3339
	clockFile     = "clock"     // how far its clock is ahead of the machine's, as a Go duration
	dnsFile       = "dns"       // lifetime counters of the DNS client, in JSON
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

// writeState replaces a state file. It does not wait until the content is on disk, which would take
// longer than all the rest of a first start. So a power cut may lose the last setting of the clock,
// or the date of an installation that is minutes old; readState treats an empty file like none.
func writeState(dir, name, text string) error {
	if err := atomicfile.Write(filepath.Join(dir, name), []byte(text+"\n")); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// openState reads the setting of the clock and the date of the installation. At the first start it
// sets that date.
func (a *Appliance) openState() error {
	text, err := readState(a.state, clockFile)
	if err != nil {
		return err
	}
	if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s: expected a duration such as -26h3m: %w",
				filepath.Join(a.state, clockFile), err)
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
		return fmt.Errorf("%s: expected a time in RFC 3339: %w",
			filepath.Join(a.state, installedFile), err)
	}
	return nil
}

// The range of years that administrators may set the clock to.
const (
	MinYear = 1970
	MaxYear = 2100
)

// SetTime sets the appliance's wall time. The setting survives a restart, like that of a
// battery-backed clock.
func (a *Appliance) SetTime(t time.Time) error {
	a.Clock.Set(t)
	return a.saveTime()
}

// AdvanceTime moves the appliance's wall time forward by d, like SetTime.
func (a *Appliance) AdvanceTime(d time.Duration) error {
	a.Clock.Advance(d)
	return a.saveTime()
}

// shiftTime sets how far the appliance's wall time is ahead of the machine's, like SetTime.
func (a *Appliance) shiftTime(d time.Duration) error {
	a.Clock.SetShift(d)
	return a.saveTime()
}

// saveTime saves the clock's setting, and tells the logs that the clock was set.
func (a *Appliance) saveTime() error {
	a.Logs.ClockSet()
	return writeState(a.state, clockFile, a.Clock.Shift().String())
}
