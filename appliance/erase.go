package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// erasedDir holds the data that Erase has set aside, until it is removed.
const erasedDir = "erased"

// Erase returns the appliance that is kept in dir to its factory state. It must not be running.
// Erase removes the configuration with its history and the accounts, the whole file area (saved
// configurations, captures, logs), the history of logins and all other state. It keeps the values
// that belong to the hardware and the installed software: the clock's setting and the date of the
// installation.
//
// The directories are first renamed, so that a crash never leaves half of a configuration. The next
// New removes the renamed ones if a crash has left them.
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
