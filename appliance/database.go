package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"

	"github.com/esasim/esasim/appliance/files"
)

// A Database is the data that the appliance collects for reporting or for tracking: a directory of
// the file area. Whether it collects data is state, not configuration: it changes at once and
// survives a restart.
type Database struct {
	name     string // "reporting", also of the state file
	state    string // the state directory
	files    *files.Store
	disabled atomic.Bool
}

// databasesDir is the directory of the file area that holds the databases.
const databasesDir = "var/db"

// openDatabase returns the database of that name. If its state file is damaged, data is collected.
func (a *Appliance) openDatabase(name string) *Database {
	d := &Database{name: name, state: a.state, files: a.Files}
	a.loadState(name, func(text string) error {
		if text != databaseEnabled && text != databaseDisabled {
			return fmt.Errorf("expected %s or %s, found %.20q", databaseEnabled, databaseDisabled, text)
		}
		d.disabled.Store(text == databaseDisabled)
		return nil
	})
	return d
}

// The content of a database's state file.
const (
	databaseEnabled  = "enabled"
	databaseDisabled = "disabled"
)

// Dir returns the directory of the file area that holds the data. It exists once there is data.
func (d *Database) Dir() string { return databasesDir + "/" + d.name }

// Enabled reports whether data is collected.
func (d *Database) Enabled() bool { return !d.disabled.Load() }

// SetEnabled says whether data is to be collected from now on. It does not change existing data. If
// the setting cannot be saved, the error is a refusal.
func (d *Database) SetEnabled(on bool) error {
	text := databaseEnabled
	if !on {
		text = databaseDisabled
	}
	if err := writeState(d.state, d.name, text); err != nil {
		return notSaved(err)
	}
	d.disabled.Store(!on)
	return nil
}

// Usage returns the number of files and of the bytes in them.
func (d *Database) Usage() (files int, bytes int64, err error) {
	err = d.walk(func(_ string, e fs.DirEntry) error {
		if e.IsDir() {
			return nil
		}
		info, err := e.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	return files, bytes, err
}

// Delete removes all data.
func (d *Database) Delete() error {
	var names []string
	err := d.walk(func(name string, _ fs.DirEntry) error {
		names = append(names, name)
		return nil
	})
	for _, name := range slices.Backward(names) { // a directory after the files in it
		err = errors.Join(err, d.files.Remove(name))
	}
	if err != nil {
		return fmt.Errorf("delete the %s database: %w", d.name, err)
	}
	return nil
}

// walk calls f for all files and directories below Dir, if that exists.
func (d *Database) walk(f func(name string, e fs.DirEntry) error) error {
	err := fs.WalkDir(d.files, d.Dir(), func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == d.Dir() {
			return err
		}
		return f(name, e)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
