//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks f for this process, or returns an error immediately. The operating system
// releases the lock when the process ends, in whatever way it ends.
func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
