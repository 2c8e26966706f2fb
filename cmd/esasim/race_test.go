//go:build race

package main

// raceDetector reports whether the race detector is on, which allocates.
const raceDetector = true
