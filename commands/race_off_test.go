//go:build !race

package commands_test

// raceDetector slows everything down.
const raceDetector = false
