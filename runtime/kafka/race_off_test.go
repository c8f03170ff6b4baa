//go:build !race

package kafka

// raceDetector tells whether the tests were built with -race.
const raceDetector = false
