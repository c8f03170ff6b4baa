package external

import (
	"runtime"
	"syscall"
)

// apart puts a client into a process group of its own, and has the kernel end
// it when this program ends, however that comes about.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// stay keeps the goroutine on its thread, whose end would be the client's.
func stay() (leave func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

func signalGroup(pid int, s syscall.Signal) { syscall.Kill(-pid, s) }
