package main

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// lockFile locks f for this process, or returns an error immediately. The operating system
// releases the lock when the process ends, in whatever way it ends. The locked byte is far behind
// the content, which other processes can therefore read.
func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	at := &windows.Overlapped{OffsetHigh: 1}
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, at)
}

// noFollow is 0: only administrators may create symbolic links on Windows.
const noFollow = 0

// errReadOnly is the error of opening a file for writing on a write-protected volume.
const errReadOnly = syscall.Errno(windows.ERROR_WRITE_PROTECT)

// ownedByUser reports whether a file belongs to the user of this process: the directory of
// temporary files is each user's own on Windows.
func ownedByUser(fs.FileInfo) bool { return true }
