package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write replaces the file at path. It does not wait for the disk.
func Write(path string, data []byte) error {
	return replace(path, data, func(*os.File) error { return nil })
}

// WriteSynced replaces the file at path. A loss of power soon afterwards may undo it, but
// leaves no file that is neither the old one nor the new one.
func WriteSynced(path string, data []byte) error { return replace(path, data, (*os.File).Sync) }

func replace(path string, data []byte, settle func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = settle(tmp)
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
