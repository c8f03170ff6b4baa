//go:build linux

package agent

// This file defines how tests get an agent: the test binary runs itself as one.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// role is the environment variable that makes the test binary something else.
const role = "STARFALL_AGENT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "agent":
		err := Serve(context.Background(), stdio{}, os.Stderr, Options{Build: os.Getenv("BUILD"), Services: services(), Hello: helloLimitOf()})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "host":
		beHost()
	}
	os.Exit(0)
}

// stdio is the agent's end of its session.
type stdio struct{}

func (stdio) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }

func helloLimitOf() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("HELLO"))
	return d
}

// services is what the test agent offers.
func services() map[string]Service {
	return map[string]Service{
		"echo": func(ctx context.Context, c net.Conn, req json.RawMessage) error {
			fmt.Fprintf(c, "%s\n", req)
			_, err := io.Copy(c, c)
			return err
		},
	}
}

// inside is an agent that runs as a child of the test.
type inside struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	exited chan struct{}
	mu     sync.Mutex
	stderr strings.Builder
}

func (p *inside) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *inside) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p *inside) Close() error                { return errors.Join(p.in.Close(), p.out.Close()) }

func (p *inside) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// launch starts the test binary as an agent.
func launch(t testing.TB, env ...string) *inside {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &inside{cmd: exec.Command(exe), exited: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), role+"=agent"), env...)
	childIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.cmd.Stdout = childIn, childOut
	p.in, p.out = in, out
	p.cmd.Stderr = writerFunc(func(b []byte) (int, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.stderr.Write(b)
	})
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	childIn.Close()
	childOut.Close()
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Close()
		p.end(t, 5*time.Second)
	})
	return p
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// end waits for the agent's own end and gives how long it took.
func (p *inside) end(t testing.TB, limit time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	select {
	case <-p.exited:
	case <-time.After(limit):
		p.cmd.Process.Kill()
		t.Errorf("the agent did not end within %v; its log:\n%s", limit, p.log())
	}
	return time.Since(begin)
}

// connected gives a session with a new agent.
func connected(t testing.TB, env ...string) (*Agent, *inside) {
	t.Helper()
	p := launch(t, env...)
	a, err := Connect(t.Context(), p, ConnectOptions{})
	if err != nil {
		t.Fatalf("connect: %v; the agent's log:\n%s", err, p.log())
	}
	t.Cleanup(func() { a.Close() })
	return a, p
}

// soon waits for a condition that time alone does not tell.
func soon(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// alive says whether a process exists that is not a mere entry.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	p, err := parseStat(string(b))
	return err == nil && !p.dead()
}

// pidsIn reads pids, one a line, once there are n.
func pidsIn(t testing.TB, path string, n int) []int {
	t.Helper()
	var pids []int
	soon(t, fmt.Sprintf("%d pids in %s", n, filepath.Base(path)), func() bool {
		b, _ := os.ReadFile(path)
		pids = nil
		if !strings.HasSuffix(string(b), "\n") {
			return false
		}
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return len(pids) >= n
	})
	return pids
}

// allGone waits until none of the processes exists.
func allGone(t testing.TB, pids []int) {
	t.Helper()
	for _, pid := range pids {
		soon(t, fmt.Sprintf("pid %d gone", pid), func() bool { return !alive(pid) })
	}
}

var _ = syscall.SIGKILL
