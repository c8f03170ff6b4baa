//go:build unix

// Package cputime tells benchmarks how much processor time they took, which says
// more than wall time on a machine that does other work, too.
//
// This file defines Used where the system tells it.
package cputime

import (
	"syscall"
	"time"
)

// Used is the processor time, user and system, that this process has used so far; 0
// where it is not known.
func Used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
