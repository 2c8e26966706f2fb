//go:build !windows

package queue

import (
	"errors"
	"os"
)

func (diskFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func isFullHere(error) bool { return false }
