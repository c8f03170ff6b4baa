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
	"os/signal"
	"path/filepath"
	"runtime"
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
	// Children that end need not wait for the race detector's last words.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	name := os.Getenv(role)
	if name == "" {
		os.Exit(m.Run())
	}
	run := map[string]func() error{"agent": beAgent, "host": beHost, "listen": beListener, "lock": beBroker, "threads": beThreads}[name]
	if run == nil {
		run = func() error { return fmt.Errorf("no role %q", name) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// beAgent is what the command is in a container.
func beAgent() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	o := Options{Build: os.Getenv("BUILD"), Services: services()}
	if d := os.Getenv("HELLO"); d != "" {
		var err error
		if o.Hello, err = time.ParseDuration(d); err != nil {
			return err
		}
	}
	return Serve(ctx, stdio{}, os.Stderr, o)
}

// beHost starts an agent with a tree of processes, tells the agent's pid, and
// waits to be killed.
func beHost() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), role+"=agent")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	a, err := Connect(context.Background(), &pair{out, in}, ConnectOptions{})
	if err != nil {
		return err
	}
	if _, err := a.Start(context.Background(), Process{Name: "tree", Args: []string{"sh", "-c", treeScript, "tree", os.Getenv("PIDS")}}); err != nil {
		return err
	}
	fmt.Println(cmd.Process.Pid)
	<-a.Done()
	return a.Err()
}

// pair is a connection of two pipes.
type pair struct {
	io.ReadCloser
	w io.WriteCloser
}

func (p *pair) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *pair) Close() error                { return errors.Join(p.w.Close(), p.ReadCloser.Close()) }

// beListener listens once it is told to by a line on a fifo, or exits by another.
func beListener() error {
	b, err := os.ReadFile(os.Getenv("FIFO"))
	if err != nil {
		return err
	}
	if string(b) != "listen\n" {
		return fmt.Errorf("told to exit: %s", b)
	}
	l, err := net.Listen("tcp", os.Getenv("LISTEN"))
	if err != nil {
		return err
	}
	defer l.Close()
	select {}
}

// beBroker locks a log dir as a broker does, and says so.
func beBroker() error {
	f, err := os.Create(os.Getenv("LOCK"))
	if err != nil {
		return err
	}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}); err != nil {
		return err
	}
	fmt.Println("locked")
	select {}
}

// beThreads keeps several threads busy.
func beThreads() error {
	for range 8 {
		go func() {
			runtime.LockOSThread()
			for {
				syscall.Nanosleep(&syscall.Timespec{Nsec: 1e5}, nil)
			}
		}()
	}
	select {}
}

// treeScript starts a tree of processes that ignore SIGTERM and writes their
// pids to its argument: itself, a child, a grandchild, a grandchild whose
// parent is gone, and one that has left the session as well.
const treeScript = `
trap '' TERM
echo $$ >"$1.new"
sh -c 'trap "" TERM; echo $$ >>"$0"; sleep 1000 & echo $! >>"$0"; wait' "$1.new" &
sh -c 'sleep 1001 & echo $! >>"$0"' "$1.new"
pids=4
if command -v setsid >/dev/null; then # not every image has it
  setsid sh -c 'sleep 1002 & echo $! >>"$0"' "$1.new"
  pids=5
fi
while [ $(wc -l <"$1.new") -lt $pids ]; do sleep 0.01; done
mv "$1.new" "$1"
wait
sleep 1003`

// stdio is the agent's end of its session.
type stdio struct{}

func (stdio) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }

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
