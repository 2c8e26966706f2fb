//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes f for this process without waiting. The system gives it back when
// the process ends, however it ends.
func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
