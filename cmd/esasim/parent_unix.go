//go:build unix

package main

import (
	"os"
	"time"
)

// parentInterval is how often the parent's number is asked for where no event tells its end.
const parentInterval = 250 * time.Millisecond

// pollProcess waits until this process has another parent than the one of that number.
func (p *parent) pollProcess(started int) error {
	stop := make(chan struct{})
	p.end = append(p.end, func() { close(stop) })
	p.running.Go(func() {
		tick := time.NewTicker(parentInterval)
		defer tick.Stop()
		for os.Getppid() == started {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
		p.setGone()
	})
	return nil
}
