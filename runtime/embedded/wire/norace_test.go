//go:build !race

package wire

const appendsTwice = false
