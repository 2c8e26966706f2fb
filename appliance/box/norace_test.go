//go:build !race

package box_test

// raceDetector says that the race detector is on, which allocates.
const raceDetector = false
