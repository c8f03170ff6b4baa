// This file defines what a process had in memory at most.

package kept

import (
	"os"
	"syscall"
)

// peak gives the largest resident set of a process that has ended, in bytes:
// ru_maxrss of getrusage(2), which Linux counts in units of 1024 bytes.
func peak(p *os.ProcessState) int64 {
	if used, ok := p.SysUsage().(*syscall.Rusage); ok {
		return int64(used.Maxrss) * 1024
	}
	return 0
}
