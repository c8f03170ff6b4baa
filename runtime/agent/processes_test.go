//go:build linux

package agent

// This file tests processes, their signals and their logs.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"starfall/runtime"
)

// tree starts treeScript and gives its pids.
func tree(t *testing.T, a *Agent, name string) []int {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pids")
	if _, err := a.Start(t.Context(), Process{Name: name, Args: []string{"sh", "-c", treeScript, "tree", file}}); err != nil {
		t.Fatal(err)
	}
	return pidsIn(t, file, 5)
}

func signalled(t *testing.T, a *Agent, name string, s runtime.Signal) Status {
	t.Helper()
	st, err := a.Signal(t.Context(), name, s)
	if err != nil {
		t.Fatalf("%s %s: %v", s, name, err)
	}
	return st
}

func TestKillTakesTheTree(t *testing.T) {
	a, _ := connected(t)
	pids := tree(t, a, "x")
	other := tree(t, a, "other")

	// They all ignore SIGTERM: the effect cannot be proved, and the error says who is left.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := a.exchangeSignal(ctx, "x", runtime.SignalStop)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: got %v, want DeadlineExceeded", err)
	}
	s := signalled(t, a, "x", runtime.SignalKill)
	if s.State != Exited || s.Signal != 9 || s.Code != 137 {
		t.Errorf("got %+v, want exited by signal 9", s)
	}
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("pid %d: got %v, want it gone, entry and all", pid, err)
		}
	}
	for _, pid := range other {
		if !alive(pid) {
			t.Errorf("pid %d of another process is gone too", pid)
		}
	}
	// A kill of what is dead is proved at once.
	if s := signalled(t, a, "x", runtime.SignalKill); s.State != Exited {
		t.Errorf("got %+v, want exited", s)
	}
}

// exchangeSignal is Signal that the agent gives up on by itself after 50 ms.
func (a *Agent) exchangeSignal(ctx context.Context, name string, s runtime.Signal) (*call, error) {
	return a.exchange(ctx, request{Op: "signal", Wait: 50, Body: []byte(fmt.Sprintf(`{"name":%q,"signal":%q}`, name, s))}, nil)
}

func TestStop(t *testing.T) {
	a, _ := connected(t)
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.01; done"}}); err != nil {
		t.Fatal(err)
	}
	// The trap may not be set yet; then SIGTERM ends it, which is in order too.
	s := signalled(t, a, "x", runtime.SignalStop)
	if s.State != Exited || s.Code != 7 && s.Signal != 15 {
		t.Errorf("got %+v, want exited with 7 or by signal 15", s)
	}
	if _, err := a.Start(t.Context(), Process{Name: "left", Args: []string{"sh", "-c", treeScript, "tree", filepath.Join(t.TempDir(), "pids")}}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the tree is there", func() bool {
		_, err := a.exchangeSignal(t.Context(), "left", runtime.SignalStop)
		return err != nil && strings.Contains(err.Error(), "stop left: sent, but not proved: pid ")
	})
}

func TestPause(t *testing.T) {
	a, _ := connected(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A process of many threads, with a child of as many.
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", `"$0" & "$0"`, exe}, Env: []string{role + "=threads"}}); err != nil {
		t.Fatal(err)
	}
	var members []int
	soon(t, "three processes with threads", func() bool {
		all, err := allProcesses()
		if err != nil {
			t.Fatal(err)
		}
		st, err := a.Status(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		members = nil
		threads := 0
		for _, m := range belong(all, func(p procStat) bool { return p.pid == st.PID }) {
			members = append(members, m.pid)
			threads += len(threadStates(m.pid))
		}
		return len(members) == 3 && threads >= 17
	})
	for range 3 {
		s := signalled(t, a, "x", runtime.SignalPause)
		if s.State != Paused {
			t.Errorf("got %s, want paused", s.State)
		}
		for _, pid := range members {
			for _, state := range threadStates(pid) {
				if !stopped(state) {
					t.Errorf("a thread of pid %d is in state %c", pid, state)
				}
			}
		}
		again := signalled(t, a, "x", runtime.SignalPause)
		if again.CPU != s.CPU {
			t.Errorf("it used %v s of processor while it was paused", again.CPU-s.CPU)
		}
		_, err := a.Signal(t.Context(), "x", runtime.SignalStop)
		if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != KindInvalid || !strings.Contains(err.Error(), "it is paused") {
			t.Errorf("stop: got %v, want it refused", err)
		}
		s = signalled(t, a, "x", runtime.SignalResume)
		if s.State != Running {
			t.Errorf("got %s, want running", s.State)
		}
		for _, pid := range members {
			for _, state := range threadStates(pid) {
				if stopped(state) {
					t.Errorf("a thread of pid %d is still in state %c", pid, state)
				}
			}
		}
	}
	signalled(t, a, "x", runtime.SignalPause)
	if s := signalled(t, a, "x", runtime.SignalKill); s.State != Exited || s.Signal != 9 {
		t.Errorf("kill while paused: got %+v, want exited by signal 9", s)
	}
	allGone(t, members)
	for _, sig := range []runtime.Signal{runtime.SignalPause, runtime.SignalResume} {
		if _, err := a.Signal(t.Context(), "x", sig); !errors.Is(err, ErrExited) {
			t.Errorf("%s of what has exited: got %v, want ErrExited", sig, err)
		}
	}
}

func TestStatus(t *testing.T) {
	a, _ := connected(t)
	file := filepath.Join(t.TempDir(), "pid")
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sh -c 'echo $$ >"$0"; sleep 1000; exit 1' "$0"; exit 3`, file}}); err != nil {
		t.Fatal(err)
	}
	pidsIn(t, file, 1)
	var s Status
	soon(t, "processor time and memory", func() bool {
		var err error
		if s, err = a.Status(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		return s.CPU > 0 && s.RSS > 100<<10
	})
	if s.State != Running || s.PID == 0 || s.Code != 0 || !s.Ended.IsZero() {
		t.Errorf("got %+v, want it running", s)
	}
	syscall.Kill(s.PID, syscall.SIGKILL)
	end, err := a.Wait(t.Context(), "x")
	if err != nil || end.State != Exited || end.Code != 137 || end.Ended.Before(end.Started) || end.CPU < s.CPU {
		t.Errorf("got %+v and %v, want it exited", end, err)
	}
	// What it had started lives on, belongs to it, and stands in the way of a new start.
	_, err = a.Start(t.Context(), Process{Name: "x", Args: []string{"true"}})
	if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != KindExists || !strings.Contains(err.Error(), "not what it started: pid ") {
		t.Errorf("start: got %v, want it refused", err)
	}
	signalled(t, a, "x", runtime.SignalKill)
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", "exit 3"}}); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Wait(t.Context(), "x"); err != nil || s.Code != 3 || s.Signal != 0 {
		t.Errorf("got %+v and %v, want code 3", s, err)
	}
}

func TestStartRefuses(t *testing.T) {
	a, _ := connected(t)
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sleep", "1000"}}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		p    Process
		kind Kind
		want string
	}{
		{"twice", Process{Name: "x", Args: []string{"true"}}, KindExists, "start x: it runs already, pid "},
		{"no name", Process{Args: []string{"true"}}, KindInvalid, "needs a name"},
		{"no arguments", Process{Name: "y"}, KindInvalid, "needs a name and arguments"},
		{"no program", Process{Name: "y", Args: []string{"no-such-program"}}, KindFailed, `"no-such-program": executable file not found`},
		{"no file", Process{Name: "y", Args: []string{"/no/such"}}, KindNotFound, "no such file"},
		{"no folder", Process{Name: "y", Args: []string{"true"}, Dir: "/no/such"}, KindNotFound, "no such file"},
		{"no place for the log", Process{Name: "y", Args: []string{"true"}, Log: "/proc/x/log"}, KindNotFound, "start y: log: "},
		{"no room for the log", Process{Name: "y", Args: []string{"true"}, Log: "/tmp/x", LogLimit: 10}, KindInvalid, "got 10 bytes, want at least 4096"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := a.Start(t.Context(), tt.p)
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want kind %s and %q", err, tt.kind, tt.want)
			}
			if _, err := a.Status(t.Context(), "y"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("status: got %v, want nothing known of it", err)
			}
		})
	}
}

func TestLogIsBounded(t *testing.T) {
	a, _ := connected(t)
	log := filepath.Join(t.TempDir(), "sub", "x.log")
	const limit = 64 << 10
	p := Process{Name: "x", Args: []string{"sh", "-c", "seq 1 200000; echo the end >&2"}, Log: log, LogLimit: limit}
	for range 2 {
		if _, err := a.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if s, err := a.Wait(t.Context(), "x"); err != nil || s.Code != 0 || s.LogError != "" {
			t.Fatalf("got %+v and %v", s, err)
		}
	}
	newest, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(log + ".1")
	if err != nil {
		t.Fatal(err)
	}
	text := string(older) + string(newest)
	if len(text) > limit || len(text) < limit/2 {
		t.Errorf("%d bytes are kept, want at most %d and at least half of it", len(text), limit)
	}
	if !strings.HasSuffix(text, "199999\n200000\nthe end\n") {
		t.Errorf("the end is %q", text[len(text)-40:])
	}
	for i, lines := 0, strings.Split(text, "\n")[1:]; i+4 < len(lines); i++ {
		n, err1 := strconv.Atoi(lines[i])
		m, err2 := strconv.Atoi(lines[i+1])
		if err1 != nil || err2 != nil || m != n+1 {
			t.Fatalf("after line %q comes %q", lines[i], lines[i+1])
		}
	}
	entries, err := os.ReadDir(filepath.Dir(log))
	if err != nil || len(entries) != 2 {
		t.Errorf("got %v and %v, want two files", entries, err)
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	a, _ := connected(t)
	// The process goes on, and the status tells.
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", "seq 1 100000"}, Log: "/dev/full"}); err != nil {
		t.Fatal(err)
	}
	s, err := a.Wait(t.Context(), "x")
	if err != nil || s.Code != 0 || !strings.Contains(s.LogError, "no space left") {
		t.Errorf("got %+v and %v, want code 0 and an error of the log", s, err)
	}
}

func TestAwait(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := connected(t)
	for i, address := range []string{"127.0.0.1", "[::1]"} {
		t.Run(address, func(t *testing.T) {
			// A free port, as of now.
			l, err := net.Listen("tcp", address+":0")
			if err != nil {
				t.Skip(err)
			}
			port := l.Addr().(*net.TCPAddr).Port
			l.Close()
			name := fmt.Sprint("x", i)
			fifo := filepath.Join(t.TempDir(), "fifo")
			log := filepath.Join(t.TempDir(), "log")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			p := Process{Name: name, Args: []string{exe}, Log: log, Env: []string{role + "=listen", "FIFO=" + fifo, fmt.Sprintf("LISTEN=%s:%d", address, port)}}
			if _, err := a.Start(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			_, err = a.exchange(t.Context(), request{Op: "await", Wait: 20, Body: []byte(fmt.Sprintf(`{"name":%q,"port":%d}`, name, port))}, nil)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprintf("nobody listens on port %d", port)) {
				t.Fatalf("got %v, want that nobody listens", err)
			}
			done := make(chan error, 1)
			go func() { done <- a.Await(t.Context(), name, port) }()
			if err := os.WriteFile(fifo, []byte("listen\n"), 0); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			signalled(t, a, name, runtime.SignalKill)

			if _, err := a.Start(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			go func() { done <- a.Await(t.Context(), name, port) }()
			if err := os.WriteFile(fifo, []byte("go away\n"), 0); err != nil {
				t.Fatal(err)
			}
			err = <-done
			want := fmt.Sprintf("%s exited with code 1 before it listened on port %d; its last lines:\ntold to exit: go away", name, port)
			if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want ErrExited with %q", err, want)
			}
		})
	}
}

// Orphans that come to the agent leave no entry behind when they end.
func TestOrphansAreReaped(t *testing.T) {
	a, p := connected(t)
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", `
		for i in 1 2 3 4 5 6 7 8; do sh -c 'true & setsid true &' ; done; sleep 1000`}}); err != nil {
		t.Fatal(err)
	}
	soon(t, "only sh and sleep are left", func() bool {
		all, err := allProcesses()
		if err != nil {
			t.Fatal(err)
		}
		below := belong(all, func(s procStat) bool { return s.ppid == p.cmd.Process.Pid })
		return len(below) == 2 && below[1].name == "sleep" && !below[0].dead() && !below[1].dead()
	})
}

func TestParseStat(t *testing.T) {
	rest := " S 7 8 9 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 12345 1000000 250 18446744073709551615 1 1 0\n"
	tests := []struct {
		line string
		want procStat
		bad  string
	}{
		{"42 (java)" + rest, procStat{pid: 42, ppid: 7, group: 8, session: 9, name: "java", state: 'S', ticks: 127, rss: 250}, ""},
		{"42 (a) R 1 (b)" + rest, procStat{pid: 42, ppid: 7, group: 8, session: 9, name: "a) R 1 (b", state: 'S', ticks: 127, rss: 250}, ""},
		{"42 ()" + rest, procStat{pid: 42, ppid: 7, group: 8, session: 9, state: 'S', ticks: 127, rss: 250}, ""},
		{"", procStat{}, "stat: got"},
		{"42 (java) S 1", procStat{}, "stat: got 2 fields"},
		{"x (java)" + rest, procStat{}, "invalid syntax"},
	}
	for _, tt := range tests {
		got, err := parseStat(tt.line)
		if tt.bad != "" {
			if err == nil || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("%q: got %v, want an error with %q", tt.line, err, tt.bad)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: got %+v and %v, want %+v", tt.line, got, err, tt.want)
		}
	}
}

func TestListens(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 27 1 0 100 0 0 10 0
   1: 0100007F:2385 0100007F:2384 01 00000000:00000000 00:00000000 00000000     0        0 28 1 0 20 4 30 10 -1
   2: 00000000000000000000000000000000:2386 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
`
	for port, want := range map[int]bool{0x2384: true, 0x2385: false, 0x2386: true, 0x384: false, 0: false} {
		if got := listens([]byte(table), port); got != want {
			t.Errorf("port %#x: got %v, want %v", port, got, want)
		}
	}
}

func TestDiscardWhileABrokerRuns(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := connected(t)
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	now := time.Now()
	path := partition(t, dir, "t-0", map[int64][]byte{0: batchOf(now, 0, 10, 0)})
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{exe}, Log: log, Env: []string{role + "=lock", "LOCK=" + filepath.Join(dir, ".lock")}}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the lock is taken", func() bool { return lastLines(log, 1) == "locked" })
	_, err = a.Discard(t.Context(), dir, Loss{})
	if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != KindInvalid || !strings.Contains(err.Error(), "runs on it") {
		t.Errorf("got %v, want it refused", err)
	}
	if got, want := left(t, path), ".index .timeindex :161"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	signalled(t, a, "x", runtime.SignalKill)
	got, err := a.Discard(t.Context(), dir, Loss{})
	if err != nil || len(got) != 1 || got[0] != (Discarded{"t-0", 0, 161}) {
		t.Errorf("got %v and %v, want all of t-0", got, err)
	}
}
