package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// erasedDir holds what Erase has set aside until it is removed.
const erasedDir = "erased"

// Erase makes the appliance that is kept in dir, which must not run, as it left the
// factory: it removes the configuration with its history, accounts among it, the whole
// file area (saved configurations, captures, logs), the history of logins and all other
// state. What the hardware and the installed software know stays: the clock's setting
// and the date of the installation.
//
// Everything is first set aside, a directory at a time, so that a crash leaves no half
// of a configuration; the next New removes what is left there.
func Erase(dir string) error {
	aside := filepath.Join(dir, erasedDir)
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("erase the appliance: %w", err)
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return fmt.Errorf("erase the appliance: %w", err)
	}
	state := filepath.Join(dir, stateDir)
	kept := map[string]string{}
	for _, name := range []string{installedFile, clockFile} {
		text, err := readState(state, name)
		if err != nil {
			return fmt.Errorf("erase the appliance: %w", err)
		}
		kept[name] = text
	}
	for _, name := range []string{configDir, filesDir, stateDir} {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("erase the appliance: %w", err)
		}
	}
	for name, text := range kept {
		if text == "" {
			continue
		}
		if err := writeState(state, name, text); err != nil {
			return fmt.Errorf("erase the appliance: %w", err)
		}
	}
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("erase the appliance: %w", err)
	}
	return nil
}
