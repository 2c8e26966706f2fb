package queue

import (
	"errors"
	"syscall"
)

// SyncDir does nothing: Windows has no such operation, and NTFS keeps a journal of its directories.
func (diskFS) SyncDir(string) error { return nil }

func isFullHere(err error) bool {
	const handleDiskFull, diskFull = syscall.Errno(39), syscall.Errno(112)
	return errors.Is(err, handleDiskFull) || errors.Is(err, diskFull)
}
