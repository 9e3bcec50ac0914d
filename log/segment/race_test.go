//go:build race

package segment

// raceDetector makes the crash suite smaller: it is slow then, and has one
// goroutine.
const raceDetector = true
