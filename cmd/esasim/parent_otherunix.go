//go:build unix && !linux

package main

import "os"

// watchProcess waits for the end of the process that started this one.
func (p *parent) watchProcess() error { return p.pollProcess(os.Getppid()) }
