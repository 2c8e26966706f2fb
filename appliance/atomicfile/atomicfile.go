package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// tmpMark precedes the digits at the end of the name of a temporary file.
const tmpMark = ".tmp"

// Write replaces the file at path by one with the given content. It does not wait for the disk.
func Write(path string, data []byte) error {
	return replace(path, data, func(*os.File) error { return nil })
}

// WriteSynced replaces the file at path by one with the given content and waits until the content
// is on the disk. A loss of power soon afterwards may bring back the old content, because the
// directory is not synced, but never leaves part of the new content.
func WriteSynced(path string, data []byte) error { return replace(path, data, (*os.File).Sync) }

func replace(path string, data []byte, sync func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+tmpMark+"*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = sync(tmp)
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// Sweep removes the temporary files that killed processes have left in dir, which must hold no
// other files with such names. Nothing may write files there at the same time. A directory that
// does not exist is swept.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if e.Type().IsRegular() && isTemporary(e.Name()) {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// isTemporary reports whether name is that of a temporary file: NAME.tmp123456789, or
// NAME.123456789 as earlier versions had it.
func isTemporary(name string) bool {
	rest := strings.TrimRight(name, "0123456789")
	if len(name)-len(rest) < 4 {
		return false
	}
	return len(rest) > 1 && strings.HasSuffix(rest, ".") ||
		len(rest) > len(tmpMark) && strings.HasSuffix(rest, tmpMark)
}
