//go:build !race

package commands_test

// raceDetector says that the race detector is off.
const raceDetector = false
