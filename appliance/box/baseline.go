package box

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance/clock"
)

// MaxBaseline is the number of bytes that the appliance's directory may hold at Start if the box is
// to be reset: they are kept in memory.
const MaxBaseline = 64 << 20

// A baseline is the content of a directory.
type baseline struct {
	dirs  []baseFile // each after the one that contains it
	files []baseFile
}

type baseFile struct {
	name string // below the directory
	mode fs.FileMode
	text []byte
	link string // of a symbolic link: what it points to

	changed time.Time // of a regular file, when it was read
}

// readBaseline returns the content of a directory, nil if it is more than MaxBaseline bytes. A
// directory that does not exist is empty.
func readBaseline(dir string) (*baseline, error) {
	b := &baseline{}
	left := int64(MaxBaseline)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // there is no directory, or the file has gone meanwhile
			}
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := baseFile{mode: info.Mode()}
		if f.name, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		switch {
		case d.IsDir():
			b.dirs = append(b.dirs, f)
			return nil
		case info.Mode()&fs.ModeSymlink != 0:
			f.link, err = os.Readlink(path)
		case info.Mode().IsRegular():
			f.changed = info.ModTime()
			if left -= info.Size(); left < 0 {
				return errTooLarge
			}
			f.text, err = os.ReadFile(path)
		default: // a socket, for example, belongs to a process
			return nil
		}
		b.files = append(b.files, f)
		return err
	})
	if errors.Is(err, errTooLarge) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the files to which a reset returns: %w", err)
	}
	return b, nil
}

var errTooLarge = errors.New("box: too much for a baseline")

// restore makes the content of a directory that of the baseline.
func (b *baseline) restore(dir string) error {
	if err := b.write(dir); err != nil {
		return fmt.Errorf("restore the files of the start: %w", err)
	}
	return nil
}

func (b *baseline) write(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for _, d := range b.dirs {
		if err := os.MkdirAll(filepath.Join(dir, d.name), d.mode.Perm()|0o700); err != nil {
			return err
		}
	}
	for _, f := range b.files {
		path := filepath.Join(dir, f.name)
		if f.link != "" {
			err = os.Symlink(f.link, path)
		} else {
			err = os.WriteFile(path, f.text, f.mode.Perm())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// size returns the number of bytes of all files.
func (b *baseline) size() (n int64) {
	for _, f := range b.files {
		n += int64(len(f.text))
	}
	return n
}

// errChanging is returned if files change while they are read.
var errChanging = errors.New("box: files change while they are read")

// settling is longer than the time within which two changes of a file may have the same time stamp.
const settling = 12 * time.Millisecond

// readStable is readBaseline for a directory in use: it returns the content that the directory had at
// one moment, or errChanging if some file was changed meanwhile.
func readStable(ctx context.Context, dir string) (*baseline, error) {
	b, err := readBaseline(dir)
	if err != nil || b == nil {
		return nil, err
	}
	if err := clock.System().Sleep(ctx, settling); err != nil {
		return nil, err
	}
	files, dirs := 0, 0
	known := make(map[string]*baseFile)
	for i := range b.files {
		known[b.files[i].name] = &b.files[i]
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return errChanging
		}
		if path == dir {
			return nil
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return errChanging
		case d.IsDir():
			dirs++
			return nil
		case !info.Mode().IsRegular():
			if info.Mode()&fs.ModeSymlink != 0 {
				files++
			}
			return nil
		}
		files++
		name, err := filepath.Rel(dir, path)
		f := known[name]
		if err != nil || f == nil || !f.changed.Equal(info.ModTime()) || info.Size() != int64(len(f.text)) {
			return errChanging
		}
		return nil
	})
	if err == nil && (files != len(b.files) || dirs != len(b.dirs)) {
		err = errChanging
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}
