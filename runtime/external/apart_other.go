//go:build !unix

package external

import (
	"os"
	"syscall"
)

func apart() *syscall.SysProcAttr { return nil }

func stay() (leave func()) { return func() {} }

// signalGroup ends the process itself: there are no groups, and no SIGTERM.
func signalGroup(pid int, _ syscall.Signal) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
	}
}
