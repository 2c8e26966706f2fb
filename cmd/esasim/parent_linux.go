package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watchProcess waits for the end of the process that started this one. PR_SET_PDEATHSIG would tell
// the end of the thread that started it, which may come before that of the process.
func (p *parent) watchProcess() error {
	started := os.Getppid()
	fd, err := unix.PidfdOpen(started, 0)
	switch {
	case err != nil && started == 0, errors.Is(err, unix.ESRCH), // outside of our container, or ended
		errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // an old kernel, or a sandbox
		return p.pollProcess(started)
	case err != nil:
		return fmt.Errorf("watch the parent process: %w", err)
	case os.Getppid() != started: // its number may be that of another process by now
		p.setGone()
		return unix.Close(fd)
	}
	woken, wake, err := os.Pipe()
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	p.end = append(p.end, func() { wake.Close() })
	p.running.Go(func() {
		defer woken.Close()
		defer unix.Close(fd)
		waitForEither(fd, int(woken.Fd()), p.setGone)
	})
	return nil
}

// waitForEither blocks until one of two descriptors can be read, and calls f if it is the first.
func waitForEither(first, second int, f func()) {
	fds := []unix.PollFd{
		{Fd: int32(first), Events: unix.POLLIN}, {Fd: int32(second), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && fds[0].Revents != 0:
			f()
		}
		return
	}
}
