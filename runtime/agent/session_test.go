//go:build linux

package agent

// This file tests how sessions begin and end.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

	"starfall/runtime"
)

func TestConnectRefusesAnotherVersion(t *testing.T) {
	tests := []struct {
		name  string
		agent string // what the agent is of
		host  ConnectOptions
		want  string
	}{
		{"another build", "BUILD=v2", ConnectOptions{Build: "v1"}, `the agent says: agent: another version: the host is of build "v1", this side of build "v2": both must be of one build`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := launch(t, tt.agent)
			_, err := Connect(t.Context(), p, tt.host)
			if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
			p.end(t, 5*time.Second)
		})
	}
}

func TestHello(t *testing.T) {
	tests := []struct {
		name string
		line string
		want string // in the error, "" for none
	}{
		{"ours", `{"starfall":"agent","protocol":1,"build":"v1"}`, ""},
		{"another protocol", `{"starfall":"agent","protocol":2,"build":"v1"}`, "the peer speaks protocol 2, this side protocol 1"},
		{"another build", `{"starfall":"agent","protocol":1,"build":"v0"}`, `the peer is of build "v0", this side of build "v1"`},
		{"a refusal", `{"starfall":"agent","protocol":9,"build":"v0","error":"no"}`, "the peer says: no"},
		{"another program", `{"hello":1}`, "the peer is not starfall's"},
		{"no JSON", "exec format error", `got "exec format error" for the first line`},
		{"too long", strings.Repeat("x", helloLimit+1), "a line is longer than 4096 bytes"},
		{"cut off", "\x00", "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := tt.line + "\n"
			if tt.line == "\x00" {
				line = tt.line
			}
			h, err := readHello(bufio.NewReader(strings.NewReader(line)))
			if err == nil {
				err = h.check("peer", "v1")
			}
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestConnectWithoutAgent(t *testing.T) {
	t.Run("the stream ends", func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			io.ReadFull(there, make([]byte, 10))
			there.Close()
		}()
		if _, err := Connect(t.Context(), here, ConnectOptions{}); !errors.Is(err, ErrEnded) {
			t.Errorf("got %v, want ErrEnded", err)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		here, _ := net.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := Connect(ctx, here, ConnectOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if _, err := here.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write: got %v, want the stream closed", err)
		}
	})
}

func TestAgentEndsWithAMessage(t *testing.T) {
	ours := `{"starfall":"agent","protocol":1,"build":"v1"}` + "\n"
	tests := []struct {
		name, input, want string
		open              bool // stdin stays open
	}{
		{"garbage for a first line", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", `got "GET / HTTP/1.1`, true},
		{"another protocol", `{"starfall":"agent","protocol":7,"build":"v1"}` + "\n", "speaks protocol 7", true},
		{"an endless first line", strings.Repeat("a", 10000), "longer than 4096 bytes", true},
		{"garbage for a session", ours + strings.Repeat("garbage ", 100), "the connection broke", true},
		{"a window that nobody gave", ours + "\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xff", "the connection broke", true},
		{"silence", "", "nobody said hello for 50ms", true},
		{"no host", "", "", false},
		{"a host that leaves at once", ours, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := []string{"BUILD=v1"}
			if tt.want == "nobody said hello for 50ms" {
				env = append(env, "HELLO=50ms")
			}
			p := launch(t, env...)
			io.WriteString(p.in, tt.input)
			if !tt.open {
				p.in.Close()
			}
			p.end(t, 5*time.Second)
			if code := p.cmd.ProcessState.ExitCode(); (code != 0) != (tt.want != "") {
				t.Errorf("got exit code %d; log:\n%s", code, p.log())
			}
			if !strings.Contains(p.log(), tt.want) {
				t.Errorf("got log %q, want one with %q", p.log(), tt.want)
			}
		})
	}
}

// Nothing is left when the host dies, however it does.
func TestHostIsKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pids")
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), role+"=host", "PIDS="+file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	agent, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	pids := append(pidsIn(t, file, 5), agent)
	for _, pid := range pids {
		if !alive(pid) {
			t.Errorf("pid %d is gone before the host", pid)
		}
	}
	begin := time.Now()
	cmd.Process.Kill()
	cmd.Wait()
	allGone(t, pids)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v until everything was gone, want at most a second", took)
	}
}

func TestCloseEndsTheAgent(t *testing.T) {
	a, p := connected(t)
	file := filepath.Join(t.TempDir(), "pids")
	if _, err := a.Start(t.Context(), Process{Name: "tree", Args: []string{"sh", "-c", treeScript, "tree", file}}); err != nil {
		t.Fatal(err)
	}
	pids := pidsIn(t, file, 5)
	if _, err := a.Start(t.Context(), Process{Name: "paused", Args: []string{"sleep", "1000"}}); err != nil {
		t.Fatal(err)
	}
	s, err := a.Signal(t.Context(), "paused", runtime.SignalPause)
	if err != nil {
		t.Fatal(err)
	}
	pids = append(pids, s.PID)
	a.Close()
	if took := p.end(t, 5*time.Second); took > time.Second {
		t.Errorf("the agent took %v to end, want at most a second", took)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("pid %d has outlived the agent", pid)
		}
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("got exit code %d, want 0; log:\n%s", code, p.log())
	}
	<-a.Done()
	if err := a.Err(); !errors.Is(err, ErrEnded) {
		t.Errorf("got %v, want ErrEnded", err)
	}
	if err := a.Ping(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("ping: got %v, want ErrEnded", err)
	}
}

func TestKeep(t *testing.T) {
	a, p := connected(t)
	s, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Close()
	soon(t, "the agent notices", func() bool { return strings.Contains(p.log(), "staying, as it was told") })
	if !alive(s.PID) {
		t.Error("the process is gone with the host")
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.end(t, 5*time.Second)
	if alive(s.PID) {
		t.Error("the process has outlived the agent")
	}
}

func TestTerm(t *testing.T) {
	a, p := connected(t)
	s, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sh", "-c", "trap '' TERM; while :; do sleep 1000; done"}})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-a.Done()
	p.end(t, 5*time.Second)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the agent took %v to end, want at most a second", took)
	}
	if alive(s.PID) {
		t.Error("the process has outlived the agent")
	}
}

func TestDeadTransport(t *testing.T) {
	p := launch(t)
	a, err := Connect(t.Context(), p, ConnectOptions{Keepalive: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGSTOP)
	defer p.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-a.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("a stopped agent is not noticed")
	}
	if err := a.Err(); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "no answer for 60ms") {
		t.Errorf("got %v, want ErrEnded with the reason", err)
	}
}

func TestManyCalls(t *testing.T) {
	a, p := connected(t)
	s, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const n = 200
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, n)
	for range n {
		go func() {
			_, err := a.Wait(ctx, "x")
			waiting <- err
		}()
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			path := filepath.Join(dir, strconv.Itoa(i))
			want := bytes.Repeat([]byte{byte(i)}, 10000)
			if err := a.Write(t.Context(), File{Path: path, Content: want}); err != nil {
				t.Error(err)
				return
			}
			got, err := a.Read(t.Context(), path, 0)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("read: got %d bytes and %v", len(got), err)
			}
			if s, err := a.Status(t.Context(), "x"); err != nil || s.State != Running {
				t.Errorf("status: got %v and %v", s, err)
			}
		})
	}
	wg.Wait()
	// Half of them give up, half see the end.
	cancel()
	for range n {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Fatalf("wait: got %v, want Canceled", err)
		}
	}
	done := make(chan error, n)
	for range n {
		go func() {
			s, err := a.Wait(t.Context(), "x")
			if err == nil && s.Signal != 9 {
				err = fmt.Errorf("got %v", s)
			}
			done <- err
		}()
	}
	syscall.Kill(s.PID, syscall.SIGKILL)
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
	if strings.Contains(p.log(), "ERR") {
		t.Errorf("log:\n%s", p.log())
	}
}

func TestErrorsCross(t *testing.T) {
	a, _ := connected(t)
	tests := []struct {
		name string
		call func() error
		kind Kind
		is   error
		want string
	}{
		{"no file", func() error { _, err := a.Read(t.Context(), "/no/such", 0); return err }, KindNotFound, fs.ErrNotExist, "open /no/such: no such file"},
		{"a folder", func() error { _, err := a.Read(t.Context(), "/proc", 0); return err }, KindInvalid, nil, "read /proc: got d"},
		{"no process", func() error { _, err := a.Status(t.Context(), "x"); return err }, KindNotFound, fs.ErrNotExist, `process: got "x", want one of none`},
		{"no operation", func() error { return a.call(t.Context(), "fly", nil, nil) }, KindInvalid, nil, `request: for op: got "fly", want one of abort, address`},
		{"a field too many", func() error { return a.call(t.Context(), "status", map[string]int{"nam": 1}, nil) }, KindInvalid, nil, `unknown field "nam"`},
		{"no such signal", func() error { _, err := a.Signal(t.Context(), "x", "hurt"); return err }, KindInvalid, nil, `signal: got "hurt", want kill, stop, pause or resume`},
		{"no such service", func() error { _, err := a.Open(t.Context(), "tea", nil); return err }, KindInvalid, nil, `service: got "tea", want one of echo`},
		{"a request too long", func() error {
			return a.Remove(t.Context(), strings.Repeat("x", lineLimit))
		}, KindInvalid, nil, "at most 4194304 are possible"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind {
				t.Fatalf("got %v, want an Error of kind %s", err, tt.kind)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v, want it to be %v", err, tt.is)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want one with %q", err, tt.want)
			}
		})
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	a, _ := connected(t)
	if _, err := a.Start(t.Context(), Process{Name: "x", Args: []string{"sleep", "1000"}}); err != nil {
		t.Fatal(err)
	}
	// The agent gives up a little before the host's deadline, and says on what.
	_, err := a.exchange(t.Context(), request{Op: "wait", Wait: 10, Body: json.RawMessage(`{"name":"x"}`)}, nil)
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "wait x: it has not exited") {
		t.Errorf("got %v, want the agent's own answer", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := a.Wait(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	<-ctx.Done()
	if err := a.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	soon(t, "no stream is left", func() bool { return a.session.NumStreams() == 0 })
}

func TestService(t *testing.T) {
	a, p := connected(t)
	c, err := a.Open(t.Context(), "echo", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); line != `{"a":"b"}`+"\n" {
		t.Fatalf("got %q and %v, want the request", line, err)
	}
	io.WriteString(c, "hello")
	b := make([]byte, 5)
	if _, err := io.ReadFull(r, b); string(b) != "hello" {
		t.Fatalf("got %q and %v", b, err)
	}
	c.Close() // the host's side only: the service's goodbye can be read
	if b, err := io.ReadAll(r); len(b) != 0 || err != nil {
		t.Errorf("got %q and %v, want the end", b, err)
	}

	if c, err = a.Open(t.Context(), "echo", nil); err != nil {
		t.Fatal(err)
	}
	r = bufio.NewReader(c)
	r.ReadString('\n')
	p.cmd.Process.Kill()
	if _, err := r.ReadByte(); !errors.Is(err, ErrEnded) {
		t.Errorf("got %v, want ErrEnded", err)
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"op":"ping"}`, `{"op":"start","wait":5,"body":{"name":"x","args":["a"]}}`, `{"op":"write","body":{"files":[{"path":"/x","size":-1}]}}`, `{"op":`, `null`, `{"op":"discard","body":{"dir":"/","loss":{"default":{"age":1}}}}`} {
		f.Add([]byte(s + "\n"))
	}
	s := &server{ops: operations()}
	f.Fuzz(func(t *testing.T, line []byte) {
		req, op, err := s.readRequest(bufio.NewReader(bytes.NewReader(line)))
		if err != nil {
			if kindOf(err) != KindInvalid {
				t.Errorf("got %v of kind %s, want invalid", err, kindOf(err))
			}
			return
		}
		if op == nil {
			t.Fatalf("%q has no operation and no error", line)
		}
		// The bodies, without carrying anything out.
		for _, v := range []any{&Process{}, &writeRequest{}, &readRequest{}, &pathRequest{}, &nameRequest{}, &signalRequest{}, &awaitRequest{}, &abortRequest{}, &discardRequest{}, &dialRequest{}, &openRequest{}} {
			if err := (&inCall{body: req.Body}).decode(v); err != nil && kindOf(err) != KindInvalid {
				t.Errorf("%T: got %v of kind %s, want invalid", v, err, kindOf(err))
			}
		}
	})
}

func BenchmarkPing(b *testing.B) {
	a, _ := connected(b)
	for b.Loop() {
		if err := a.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPingParallel(b *testing.B) {
	a, _ := connected(b)
	b.SetParallelism(100)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := a.Ping(b.Context()); err != nil {
				b.Error(err)
			}
		}
	})
}
