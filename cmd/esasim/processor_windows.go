package main

import (
	"syscall"
	"time"
)

// processorTime returns the processor time that the process has used. ok reports whether the system
// tells it.
func processorTime() (used time.Duration, ok bool) {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, false
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(process, &created, &exited, &kernel, &user); err != nil {
		return 0, false
	}
	ticks := func(t syscall.Filetime) time.Duration { // of 100 ns
		return time.Duration(t.HighDateTime)<<32 + time.Duration(t.LowDateTime)
	}
	return (ticks(kernel) + ticks(user)) * 100, true
}
