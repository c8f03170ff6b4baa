//go:build unix && !linux

package external

import "syscall"

// apart puts a client into a process group of its own. Where the kernel does
// not end it with this program, the end of its stdin has to.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func stay() (leave func()) { return func() {} }

func signalGroup(pid int, s syscall.Signal) { syscall.Kill(-pid, s) }
