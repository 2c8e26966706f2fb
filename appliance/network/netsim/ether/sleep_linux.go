package ether

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleep waits for d, which is short. A signal may end it early.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}
