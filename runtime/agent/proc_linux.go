package agent

// This file defines what /proc tells: processes and threads.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// procStat is a line of /proc/PID/stat (proc(5)).
type procStat struct {
	pid, ppid, group, session int
	name                      string
	state                     byte   // R S D T t Z X I
	ticks                     uint64 // utime, stime and those of reaped children
	rss                       int64  // pages
}

// dead says that only the entry is left, until somebody reaps it.
func (p procStat) dead() bool { return p.state == 'Z' || p.state == 'X' }

// stopped says that a task does not run until it is continued.
func stopped(state byte) bool { return state == 'T' || state == 't' }

func (p procStat) String() string {
	return fmt.Sprintf("pid %d (%s) in state %c", p.pid, p.name, p.state)
}

// parseStat reads a line of stat. The name is in parentheses and may hold any
// character, parentheses too.
func parseStat(line string) (procStat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("stat: got %q", line)
	}
	f := strings.Fields(line[end+1:])
	if len(f) < 22 {
		return procStat{}, fmt.Errorf("stat: got %d fields after the name, want at least 22", len(f))
	}
	p := procStat{name: line[open+1 : end], state: f[0][0]}
	var err error
	number := func(s string) int64 {
		n, e := strconv.ParseInt(s, 10, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("stat: %w", e)
		}
		return n
	}
	p.pid = int(number(strings.TrimSpace(line[:open])))
	p.ppid, p.group, p.session = int(number(f[1])), int(number(f[2])), int(number(f[3]))
	for _, s := range f[11:15] {
		p.ticks += uint64(max(number(s), 0))
	}
	p.rss = number(f[21])
	return p, err
}

// allProcesses is every process that can be seen, by pid.
func allProcesses() (map[int]procStat, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	out := map[int]procStat{}
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		line, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // gone since
		}
		if p, err := parseStat(string(line)); err == nil {
			out[p.pid] = p
		}
	}
	return out, nil
}

// threadStates is the state of each thread of a process, none when it is gone.
func threadStates(pid int) []byte {
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	if err != nil {
		return nil
	}
	var out []byte
	for _, t := range tasks {
		line, err := os.ReadFile(t)
		if err != nil {
			continue // gone since
		}
		if p, err := parseStat(string(line)); err == nil {
			out = append(out, p.state)
		}
	}
	return out
}

// marked says whether a process was started with NAME=value in its environment.
func marked(pid int, entry string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if string(e) == entry {
			return true
		}
	}
	return false
}
