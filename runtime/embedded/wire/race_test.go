//go:build race

package wire

// With the race detector what append makes of a new slice is allocated twice.
const appendsTwice = true
