package docker

// This file defines what Linux tells about processes.

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

func boot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func space() string {
	s, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.Trim(s, "pid:[]")
}

// started gives when a process started, in clock ticks since boot; "" when
// there is none.
func started(pid string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
	if err != nil {
		return ""
	}
	// The second field, the name, may hold anything; it ends at the last ")".
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	if i < 0 || len(fields) < 20 {
		return ""
	}
	if fields[0] == "Z" {
		return "" // dead, and not yet waited for
	}
	return fields[19]
}
