package wire

// This file defines how Linux holds a port: a socket that is bound to it and never
// listens, which the listener shares by SO_REUSEPORT. A dial finds no listener and is
// refused; another user's program cannot bind the port.

import (
	"fmt"
	"os"
	"syscall"
)

const soReusePort = 0xf // SO_REUSEPORT; package syscall lacks it on some architectures

// holdPort binds a port, or any free one for 0, and gives its number and what ends it.
func holdPort(number int) (int, func(), error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return number, nil, os.NewSyscallError("socket", err)
	}
	fail := func(call string, err error) (int, func(), error) {
		syscall.Close(fd)
		return number, nil, os.NewSyscallError(call, err)
	}
	bind := func(n int) error {
		return syscall.Bind(fd, &syscall.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}})
	}
	if number != 0 {
		// First without sharing: another program that listens there shows.
		probe, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return fail("socket", err)
		}
		err = syscall.SetsockoptInt(probe, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		if err == nil {
			err = syscall.Bind(probe, &syscall.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}})
		}
		syscall.Close(probe)
		if err != nil {
			return fail("bind", err)
		}
	}
	// Without SO_REUSEADDR, which would let in anybody who sets it too.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort, 1); err != nil {
		return fail("setsockopt", err)
	}
	if err := bind(number); err != nil {
		return fail("bind", err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		return fail("getsockname", err)
	}
	bound, ok := addr.(*syscall.SockaddrInet4)
	if !ok {
		return fail("getsockname", fmt.Errorf("got address %T, want one of IPv4", addr))
	}
	return bound.Port, func() { syscall.Close(fd) }, nil
}

func shareHeldPort(_, _ string, c syscall.RawConn) error {
	var set error
	if err := c.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1)
	}); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", set)
}
