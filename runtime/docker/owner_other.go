//go:build !linux

package docker

// This file defines what other systems tell about processes: ps does, and a
// host's name has to do for its boot.

import (
	"os"
	"os/exec"
	"strings"
)

func boot() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(name, "/", "-")
}

func space() string { return "" }

// started gives when a process started; "" when there is none.
func started(pid string) string {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", pid).Output()
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(string(out), "/", "-")), " ")
}
