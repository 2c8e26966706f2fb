//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile locks f for this process, or returns an error immediately. The operating system
// releases the lock when the process ends, in whatever way it ends.
func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// noFollow is a flag of os.OpenFile that makes opening a symbolic link an error.
const noFollow = unix.O_NOFOLLOW

// errReadOnly is the error of opening a file for writing on a read-only file system.
const errReadOnly = unix.EROFS

// ownedByUser reports whether a file belongs to the user of this process.
func ownedByUser(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
