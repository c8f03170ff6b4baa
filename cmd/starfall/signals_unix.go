//go:build unix

// This file defines how writes beyond a limit on file sizes fail: with an
// error, like on a full disk, instead of ending the process.

package main

import (
	"os/signal"
	"syscall"
)

func ignoreFileSizeSignal() { signal.Ignore(syscall.SIGXFSZ) }
