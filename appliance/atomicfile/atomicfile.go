package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

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
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
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
