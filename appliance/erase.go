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
// configurations, captures, logs), the history of logins and all other state. It keeps the state of
// the hardware and of the installed software: the clock's setting and the date of the installation.
//
// Files and directories are first renamed, so that a crash never leaves half of a configuration.
// The next New removes the renamed ones if a crash has left them. Erase writes no file, so it works
// on a full disk.
func Erase(dir string) error {
	aside := filepath.Join(dir, erasedDir)
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("erase the appliance: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(aside, stateDir), 0o700); err != nil {
		return fmt.Errorf("erase the appliance: %w", err)
	}
	names := []string{configDir, filesDir}
	entries, err := os.ReadDir(filepath.Join(dir, stateDir))
	errs := []error{err}
	if errors.Is(err, fs.ErrNotExist) {
		errs = nil
	}
	for _, e := range entries {
		if e.Name() != installedFile && e.Name() != clockFile {
			names = append(names, filepath.Join(stateDir, e.Name()))
		}
	}
	for _, name := range names {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name))
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(append(errs, os.RemoveAll(aside))...); err != nil {
		return fmt.Errorf("erase the appliance: %w", err)
	}
	return nil
}
