//go:build !unix

package docker

// This file defines how a process is kept from the signals of a terminal: here
// it is not.

import "os/exec"

func apart(*exec.Cmd) {}
