package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks f for this process, or returns an error immediately. The operating system
// releases the lock when the process ends, in whatever way it ends.
func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
}
