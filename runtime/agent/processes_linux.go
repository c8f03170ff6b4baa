package agent

// This file defines the processes that an agent supervises.
//
// All waits of the agent are in one place: on SIGCHLD everything that has ended
// is reaped, the agent's own children as well as the orphans that come to it.
// mu is held over a start and over a reaping, and whenever a signal is sent, so
// that a pid that is looked at cannot have become another's.
//
// What belongs to a process is found anew each time: its session (Start makes
// it a session's leader), the children of what belongs to it, and those orphans
// that carry its mark in their environment.

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markName is the environment variable that marks what a process starts.
const markName = "STARFALL_PROCESS"

// tick is how often /proc is looked at by what waits for it.
const tick = 2 * time.Millisecond

// lastMoment bounds the killing at the end.
const lastMoment = 900 * time.Millisecond

// clockTick is the unit of processor time in /proc: USER_HZ, 100 on every
// architecture that Go runs on.
const clockTick = 100

// processes are those of one agent.
type processes struct {
	log  *log.Logger
	self int
	mark string // of everything this agent starts, before the name

	mu     sync.Mutex
	byName map[string]*process
	ended  bool

	reaping func() error
	quit    chan struct{}
}

// process is one that was started by name.
type process struct {
	spec    Process
	mark    string
	pid     int
	started time.Time
	logs    *logFile
	drained chan struct{} // closed when the log has everything

	exited chan struct{} // closed with what follows set
	ws     syscall.WaitStatus
	cpu    float64 // as of its end
	at     time.Time
	// alone: it has exited and nothing belonged to it any more, so that its pid
	// may be another's by now.
	alone bool
}

// newProcesses prepares for processes. PID 1 reaps from the beginning, for
// orphans may come from outside (docker exec); others from the first start.
func newProcesses(l *log.Logger) (*processes, error) {
	ps := &processes{log: l, self: os.Getpid(), mark: markName + "=" + rand.Text() + "/", byName: map[string]*process{}, quit: make(chan struct{})}
	ps.reaping = sync.OnceValue(ps.beginReaping)
	if ps.self == 1 {
		return ps, ps.reaping()
	}
	return ps, nil
}

// beginReaping makes orphans come to the agent and reaps all that ends.
func (ps *processes) beginReaping() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		defer signal.Stop(children)
		for {
			ps.reap()
			select {
			case <-children:
			case <-ps.quit:
				return
			}
		}
	}()
	return nil
}

// reap takes every child that has ended.
func (ps *processes) reap() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for {
		var ws syscall.WaitStatus
		var used syscall.Rusage
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, &used)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for _, p := range ps.byName {
			if p.pid == pid && !p.gone() {
				p.ws, p.at = ws, time.Now()
				p.cpu = seconds(used.Utime) + seconds(used.Stime)
				close(p.exited)
			}
		}
	}
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// gone says whether the process itself has been reaped.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// start starts a process.
func (ps *processes) start(spec Process) (Status, error) {
	if spec.Name == "" || len(spec.Args) == 0 {
		return Status{}, invalid("start: a process needs a name and arguments")
	}
	if err := ps.reaping(); err != nil {
		return Status{}, err
	}
	logs, err := openLog(spec.Log, spec.LogLimit)
	if err != nil {
		return Status{}, fmt.Errorf("start %s: log: %w", spec.Name, err)
	}
	p, out, err := ps.launch(spec, logs)
	if err != nil {
		logs.Close()
		return Status{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	go p.drain(out)
	return ps.status(spec.Name)
}

// launch starts a process and gives what it writes.
func (ps *processes) launch(spec Process, logs *logFile) (*process, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	p := &process{spec: spec, mark: ps.mark + spec.Name, logs: logs, drained: make(chan struct{}), exited: make(chan struct{})}
	cmd := exec.Command(spec.Args[0], spec.Args[1:]...)
	cmd.Dir = spec.Dir
	cmd.Env = append(append(os.Environ(), spec.Env...), p.mark)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}

	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err := ps.mayStart(spec.Name); err != nil {
		r.Close()
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		r.Close()
		return nil, nil, err
	}
	p.pid, p.started = cmd.Process.Pid, time.Now()
	cmd.Process.Release() // it is reaped by pid
	ps.byName[spec.Name] = p
	return p, r, nil
}

// mayStart says why a name cannot be started now.
func (ps *processes) mayStart(name string) error {
	if ps.ended {
		return &Error{Kind: KindCanceled, Message: "the agent is ending"}
	}
	p := ps.byName[name]
	if p == nil {
		return nil
	}
	if !p.gone() {
		return &Error{Kind: KindExists, Message: fmt.Sprintf("it runs already, pid %d", p.pid)}
	}
	all, err := allProcesses()
	if err != nil {
		return err
	}
	if left := p.members(all, ps.self); len(left) > 0 {
		return &Error{Kind: KindExists, Message: fmt.Sprintf("it has exited, but not what it started: %s; kill it first", describe(left))}
	}
	return nil
}

// drain keeps what a process and its descendants write, until none is left.
func (p *process) drain(r *os.File) {
	defer close(p.drained)
	defer r.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := r.Read(b)
		p.logs.Write(b[:n])
		if err != nil {
			p.logs.Close()
			return
		}
	}
}

// members is what belongs to a process, by pid. mu must be held.
func (p *process) members(all map[int]procStat, self int) []procStat {
	if p.alone {
		return nil
	}
	out := belong(all, func(s procStat) bool {
		switch {
		case s.pid == p.pid:
			return !p.gone()
		case s.session == p.pid:
			return true
		}
		// Whoever leaves the session and its parents comes to the agent.
		return s.ppid == self && marked(s.pid, p.mark)
	})
	p.alone = p.gone() && len(out) == 0
	return out
}

// belong is every process that is a root, and the descendants of these, by pid.
func belong(all map[int]procStat, root func(procStat) bool) []procStat {
	in := map[int]bool{}
	for pid, s := range all {
		if root(s) {
			in[pid] = true
		}
	}
	for grown := len(in) > 0; grown; {
		grown = false
		for pid, s := range all {
			if !in[pid] && in[s.ppid] {
				in[pid], grown = true, true
			}
		}
	}
	out := make([]procStat, 0, len(in))
	for pid := range in {
		out = append(out, all[pid])
	}
	slices.SortFunc(out, func(a, b procStat) int { return cmp.Compare(a.pid, b.pid) })
	return out
}

func describe(ps []procStat) string {
	var out []string
	for i, p := range ps {
		if i == 5 {
			out = append(out, fmt.Sprintf("%d more", len(ps)-i))
			break
		}
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// find gives a process by name. mu must be held.
func (ps *processes) find(name string) (*process, error) {
	p := ps.byName[name]
	if p == nil {
		return nil, &Error{Kind: KindNotFound, Message: fmt.Sprintf("process: got %q, want one of %s", name, names(ps.byName))}
	}
	return p, nil
}

// status tells about one process.
func (ps *processes) status(name string) (Status, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p, err := ps.find(name)
	if err != nil {
		return Status{}, err
	}
	return ps.statusOf(p)
}

// statusOf tells about a process. mu must be held.
func (ps *processes) statusOf(p *process) (Status, error) {
	all, err := allProcesses()
	if err != nil {
		return Status{}, err
	}
	return ps.describe(p, p.members(all, ps.self)), nil
}

// describe tells about a process to which members belong. mu must be held.
func (ps *processes) describe(p *process, members []procStat) Status {
	s := Status{Name: p.spec.Name, PID: p.pid, Started: p.started, At: time.Now(), State: Running}
	if err := p.logs.failure(); err != nil {
		s.LogError = err.Error()
	}
	if p.gone() {
		s.State, s.Ended, s.CPU, s.Code = Exited, p.at, p.cpu, p.ws.ExitStatus()
		if p.ws.Signaled() {
			s.Code, s.Signal = 128+int(p.ws.Signal()), int(p.ws.Signal())
		}
	}
	for _, m := range members {
		if m.pid == p.pid && stopped(m.state) {
			s.State = Paused
		}
		s.RSS += m.rss * int64(os.Getpagesize())
		s.CPU += float64(m.ticks) / clockTick
	}
	return s
}
