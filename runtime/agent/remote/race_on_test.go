//go:build race

package remote

// raceDetector tells whether the tests were built with -race.
const raceDetector = true
