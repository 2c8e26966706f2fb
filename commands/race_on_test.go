//go:build race

package commands_test

// raceDetector says that the race detector is on, which makes everything slower.
const raceDetector = true
