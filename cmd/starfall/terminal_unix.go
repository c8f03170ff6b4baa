//go:build unix

// This file defines how a terminal is read so that reading can be ended.

package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// foreground tells whether a terminal belongs to this job.
func foreground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// reading gives what comes in, until end is called; end waits until nothing is
// read any more, so that what is typed later is the shell's.
func reading(in *os.File) (chunks <-chan []byte, end func(), err error) {
	stop, stopped, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	out := make(chan []byte)
	over, gone := make(chan struct{}), make(chan struct{})
	fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}, {Fd: int32(stop.Fd()), Events: unix.POLLIN}}
	go func() {
		defer close(gone)
		defer close(out)
		defer stop.Close()
		b := make([]byte, 64)
		for {
			if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
			if fds[1].Revents != 0 {
				return
			}
			if fds[0].Revents == 0 {
				continue
			}
			n, err := unix.Read(int(fds[0].Fd), b)
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
				continue
			}
			if err != nil || n == 0 {
				return // hung up
			}
			select {
			case out <- append([]byte(nil), b[:n]...):
			case <-over:
				return
			}
		}
	}()
	return out, func() {
		close(over)
		stopped.Close()
		<-gone
	}, nil
}
