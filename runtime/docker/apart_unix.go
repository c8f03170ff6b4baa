//go:build unix

package docker

// This file defines how a process is kept from the signals of a terminal.

import (
	"os/exec"
	"syscall"
)

func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
