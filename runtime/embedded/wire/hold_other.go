//go:build !linux

package wire

// This file defines the poorer hold of systems on which a port cannot be bound twice
// in the needed way: the number is found, and nothing keeps other programs from it
// while its broker is down.

import (
	"net"
	"strconv"
	"syscall"
)

func holdPort(number int) (int, func(), error) {
	ln, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(number)))
	if err != nil {
		return number, nil, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, func() {}, nil
}

func shareHeldPort(string, string, syscall.RawConn) error { return nil }
