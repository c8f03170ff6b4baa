//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"starfall/report"
	"starfall/runtime/judge"
	"starfall/runtime/record"
)

// lucky is a scenario that would pass, long enough to be broken off anywhere.
const lucky = `"""Broken off"""
scenario(run_for = "40s", warmup = "2s", drain = "20s")
kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 2, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 20)
billing = consumer(orders, group = "billing", work = "1ms")
outage = at("10s", kill(orders.leader(partition = 0), restart_after = "10s"))
expect(billing.missing.none())
`

// process is the command in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	stdout text
	stderr text
	lines  chan string
	done   chan struct{}
}

// text is a stream that can be read while it is written.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (x *text) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(b)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

func start(t *testing.T, scenario string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s.star"), []byte(scenario), 0o666); err != nil {
		t.Fatal(err)
	}
	return startIn(t, dir, exec.Command("starfall", args...))
}

func startIn(t *testing.T, dir string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, dir: dir, lines: make(chan string, 1000), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "STARFALL_ENGINE=", "NO_COLOR=1")
	p.cmd.Stdout = &p.stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	go func() {
		defer close(p.done)
		sc := bufio.NewScanner(stderr)
		for sc.Scan() {
			fmt.Fprintln(&p.stderr, sc.Text())
			select {
			case p.lines <- sc.Text():
			default:
			}
		}
	}()
	return p
}

func (p *process) errors() string { return p.stderr.String() }

// await returns once stderr has had a line with text.
func (p *process) await(text string) {
	p.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case line := <-p.lines:
			if strings.Contains(line, text) {
				return
			}
		case <-p.done:
			if strings.Contains(p.errors(), text) {
				return
			}
			p.t.Fatalf("got the end, want a line with %q\n%s", text, p.errors())
		case <-limit:
			p.t.Fatalf("got no line with %q within a minute\n%s", text, p.errors())
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// exit waits for the end and wants an exit code.
func (p *process) exit(want int) {
	p.t.Helper()
	timer := time.AfterFunc(time.Minute, func() { p.cmd.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	<-p.done
	p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		p.t.Errorf("got exit code %d, want %d\n%s%s", got, want, p.stdout.String(), p.errors())
	}
}

// recording opens the one run folder.
func (p *process) recording() *record.Recording {
	p.t.Helper()
	found, err := filepath.Glob(filepath.Join(p.dir, "runs", "*"))
	if err != nil || len(found) != 1 {
		p.t.Fatalf("got run folders %v (%v), want one", found, err)
	}
	rec, err := record.Open(found[0])
	if err != nil {
		p.t.Fatalf("recording: %v", err)
	}
	return rec
}

// TestInterruptInEachPhase sends Ctrl-C as each phase begins: the run heals and
// winds down, the table says INCONCLUSIVE, the code is 130, and what was
// recorded up to then can be read. One that comes when all has been recorded
// changes neither.
func TestInterruptInEachPhase(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster for each phase")
	}
	for _, phase := range []string{"prepare", "load", "run", "heal", "drain", "audit", "take_down"} {
		t.Run(phase, func(t *testing.T) {
			p := start(t, lucky, "run", "s.star", "--speed", "10")
			p.await("phase: " + phase)
			p.signal(os.Interrupt)
			<-p.done
			rec := p.recording()
			v, err := judge.Judge(rec.Plan, rec)
			if err != nil {
				t.Fatalf("judging what was recorded: %v", err)
			}
			if !v.Interrupted && phase != "take_down" {
				t.Errorf("the recording does not say that it was interrupted\n%s", p.errors())
			}
			if v.Interrupted && v.Result != judge.Inconclusive {
				t.Errorf("got %s of an interrupted run, want INCONCLUSIVE", v.Result)
			}
			p.exit(v.Exit)
			if !strings.Contains(p.stdout.String(), " "+string(v.Result)+"  ") {
				t.Errorf("got no %s in the table:\n%s%s", v.Result, p.stdout.String(), p.errors())
			}
		})
	}
}

// TestSecondInterrupt takes down at once.
// TestInterruptedSweep: a sweep that is broken off has an index that says which
// runs there are, and is not passed.
func TestInterruptedSweep(t *testing.T) {
	p := start(t, lucky, "run", "s.star", "--out", "runs", "--repeat", "3", "--jobs", "1")
	p.await("phase: run")
	p.signal(os.Interrupt)
	p.exit(exitInterrupted)
	found, err := filepath.Glob(filepath.Join(p.dir, "runs", "s-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v and %v, want one folder", found, err)
	}
	x, err := report.ReadIndex(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var ran []bool
	for _, r := range x.Runs {
		ran = append(ran, r.Ran)
	}
	if want := []bool{true, false, false}; !x.Ended || !slices.Equal(ran, want) {
		t.Errorf("got ended %v and ran %v, want true and %v", x.Ended, ran, want)
	}
	code, out, errs := command(t, "judge", found[0])
	if code != exitInterrupted || !strings.Contains(errs, "interrupted: 2 of 3 runs did not begin") || !strings.Contains(out, "0 of 1 run passed") {
		t.Errorf("got exit code %d\n%s%s", code, out, errs)
	}
}

func TestSecondInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster")
	}
	p := start(t, strings.Replace(lucky, `"40s"`, `"10m"`, 1), "run", "s.star", "--speed", "1")
	p.await("phase: run")
	p.signal(os.Interrupt)
	p.await("phase: heal")
	p.signal(os.Interrupt)
	began := time.Now()
	p.exit(130)
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("got %s until the end after the second interrupt, want 15 s at most", d)
	}
	p.recording()
}

// TestKilled ends the command in the middle of an outage: nothing runs on, and
// the recording up to then can be read and judged.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster")
	}
	p := start(t, lucky, "run", "s.star", "--speed", "10")
	p.await("process gone")
	p.signal(syscall.SIGKILL)
	p.exit(-1)
	rec := p.recording()
	if rec.Whole {
		t.Error("got a whole recording of a run that was killed")
	}
	v, err := judge.Judge(rec.Plan, rec)
	if err != nil {
		t.Fatalf("judging what was recorded: %v", err)
	}
	if v.Result != judge.Inconclusive {
		t.Errorf("got %s, want INCONCLUSIVE", v.Result)
	}
	if len(rec.Events) == 0 {
		t.Error("got no events in the journal, want those up to the kill")
	}
}

// TestFullDisk runs on a disk that is too small for the recording.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s.star"), []byte(lucky), 0o666); err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(dir, "runs")
	if err := os.Mkdir(runs, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("starfall", "run", "s.star")
	if mounted(t, runs, "32k") {
		t.Log("on a file system of 32 KB")
	} else {
		// Where root may not mount: no file may pass one block.
		t.Log("with files limited to one block")
		cmd = exec.Command("sh", "-c", "ulimit -f 1; exec starfall run s.star")
	}
	p := startIn(t, dir, cmd)
	p.exit(4)
	if !strings.Contains(p.errors(), "the disk is full: free some") {
		t.Errorf("got no advice about the full disk:\n%s", p.errors())
	}
	if strings.Contains(p.errors(), "goroutine ") {
		t.Errorf("got a stack trace:\n%s", p.errors())
	}
}

// mounted puts a small file system at dir, when that is allowed.
func mounted(t *testing.T, dir, size string) bool {
	t.Helper()
	if os.Getuid() != 0 || exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).Run() != nil {
		return false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return true
}

// TestPortInUse wants a clear line and nothing left when a port is taken.
func TestPortInUse(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if n, _ := strconv.Atoi(port); n > 65000 {
		t.Skipf("the system chose port %d, which --port refuses", n)
	}
	p := start(t, lucky, "up", "s.star", "--port", port)
	p.exit(4)
	if !strings.Contains(p.errors(), "in use by another program") || !strings.Contains(p.errors(), "choose another port: --port") {
		t.Errorf("got no clear line about the port:\n%s", p.errors())
	}
	if out := p.stdout.String(); out != "" {
		t.Errorf("got output %q, want none", out)
	}
}

// TestUp brings a cluster up, plays its timeline, and goes with Ctrl-C.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster")
	}
	p := start(t, lucky, "up", "s.star", "--timeline", "--speed", "10")
	p.await("Ctrl-C takes everything down")
	p.await("process gone")
	address := ""
	for _, f := range strings.Fields(p.stdout.String()) {
		if strings.HasPrefix(f, "127.0.0.1:") {
			address = f
		}
	}
	first, _, _ := strings.Cut(address, ",")
	reached := false
	for a := range strings.SplitSeq(address, ",") {
		if c, err := net.Dial("tcp", a); err == nil {
			c.Close()
			reached = true
		}
	}
	if !reached {
		t.Errorf("got no connection to any of %q", address)
	}
	p.signal(os.Interrupt)
	p.exit(0)
	if c, err := net.Dial("tcp", first); err == nil {
		c.Close()
		t.Errorf("%s is still reached after the end", first)
	}
}
