package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
)

// A Database is what the appliance collects for reporting, or for tracking: files of a
// directory of its own in the file area. Whether it collects anything is state, not
// configuration: it changes at once and outlives a restart.
type Database struct {
	appliance *Appliance
	name      string // "reporting"
	off       atomic.Bool
}

// databaseDir is where databases have their directories.
const databaseDir = "var/db"

func openDatabase(a *Appliance, name string) (*Database, error) {
	d := &Database{appliance: a, name: name}
	text, err := readState(a.state, name)
	d.off.Store(text == "disabled")
	return d, err
}

// Dir is the directory of the file area that holds the data; it is there once
// something is.
func (d *Database) Dir() string { return databaseDir + "/" + d.name }

// Enabled reports whether data is to be collected.
func (d *Database) Enabled() bool { return !d.off.Load() }

// Enable says whether data is to be collected from now on. What there is stays.
func (d *Database) Enable(on bool) error {
	text := "enabled"
	if !on {
		text = "disabled"
	}
	if err := writeState(d.appliance.state, d.name, text); err != nil {
		return err
	}
	d.off.Store(!on)
	return nil
}

// Usage counts the files and their bytes.
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
	for _, name := range slices.Backward(names) { // what is in a directory before it
		err = errors.Join(err, d.appliance.Files.Remove(name))
	}
	if err != nil {
		return fmt.Errorf("delete the %s database: %w", d.name, err)
	}
	return nil
}

// walk calls f for everything below the directory, if there is one.
func (d *Database) walk(f func(name string, e fs.DirEntry) error) error {
	err := fs.WalkDir(d.appliance.Files, d.Dir(), func(name string, e fs.DirEntry, err error) error {
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
