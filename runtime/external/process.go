// This file defines process: a client's process, its streams and its end.

package external

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// leaveLimit is how long a client may take to drain and leave after
	// SIGTERM, wall time.
	leaveLimit = 10 * time.Second
	// maxStderr is how much of stderr is kept, in bytes; the rest is read and
	// dropped.
	maxStderr = 8 << 20
	// maxNonsense is how many lines a client may write that nobody understands
	// before it is taken for one that floods.
	maxNonsense = 1000
)

// process is one life of a member.
//
//	state     begins with        streams                        ends with
//	running   start              lines in, lines out            its own exit, stop, kill
//	leaving   stop: SIGTERM      what it still says is heard    its exit, or kill after leaveLimit
//	gone      exit               none                           –
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	logs *tail

	gone chan struct{} // closed when it has ended and all that it said was heard
	mu   sync.Mutex
	err  error // how it ended; nil for exit code 0
	told bool  // its end was asked for
}

// start starts a command and hears its lines, one after the other. Hear is
// called with each line, or with an error for one that cannot be taken.
func start(name, line, dir, folder string, env []string, hear func([]byte, error) (goOn bool)) (*process, error) {
	words, err := Words(line)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = apart()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, outEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: cmd, in: in, gone: make(chan struct{})}
	if p.logs, err = newTail(folder, name); err != nil {
		out.Close()
		outEnd.Close()
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = outEnd, p.logs
	// What is left of its process group may hold stderr open for ever.
	cmd.WaitDelay = time.Second
	started := make(chan error)
	go func() {
		// The kernel ends the child when the thread ends that made it, so this
		// goroutine keeps its thread until the child is gone.
		unlock := stay()
		defer unlock()
		err := cmd.Start()
		outEnd.Close()
		started <- err
		if err != nil {
			return
		}
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			p.listen(out, hear)
		}()
		err = cmd.Wait()
		// A grandchild may hold stdout open: what it says is not the client's.
		signalGroup(cmd.Process.Pid, syscall.SIGKILL)
		out.SetReadDeadline(time.Now().Add(time.Second))
		<-heard
		out.Close()
		p.logs.Close()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.gone)
	}()
	if err := <-started; err != nil {
		out.Close()
		p.logs.Close()
		return nil, fmt.Errorf("start %s: %w", words[0], err)
	}
	return p, nil
}

// listen hears lines until the stream ends or hear wants no more; what then
// still comes is read and dropped, so that the client can end.
func (p *process) listen(r io.Reader, hear func([]byte, error) bool) {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(b)
		if err != nil && !errors.Is(err, errLong) {
			return
		}
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !hear(line, err) {
			io.Copy(io.Discard, b)
			return
		}
	}
}

var errLong = fmt.Errorf("got a line of more than %d bytes", maxLine)

// readLine reads one line. One that is too long is skipped.
func readLine(b *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := b.ReadSlice('\n')
		if !long {
			line = append(line, part...)
			long = len(line) > maxLine
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && len(line) == 0:
			return nil, err
		case long:
			return nil, errLong
		}
		return line, nil
	}
}

// terminate asks it to drain and leave. It does not wait.
func (p *process) terminate() {
	p.mu.Lock()
	p.told = true
	p.mu.Unlock()
	p.in.Close()
	signalGroup(p.cmd.Process.Pid, syscall.SIGTERM)
}

// kill ends it and its process group at once, and waits.
func (p *process) kill() {
	p.mu.Lock()
	p.told = true
	p.mu.Unlock()
	p.in.Close()
	signalGroup(p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.gone
}

// ended tells how it ended; unasked is true when nobody wanted it to.
func (p *process) ended() (how string, unasked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how = "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if last := p.logs.last(); last != "" {
		how += ": " + last
	}
	return how, !p.told
}

// tail keeps what a client writes to stderr in a file, up to maxStderr, and
// its last line.
type tail struct {
	mu   sync.Mutex
	file *os.File
	kept int
	line []byte // the last whole line, or what there is of it
	next []byte
}

func newTail(folder, name string) (*tail, error) {
	t := &tail{}
	if folder == "" {
		return t, nil
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	var err error
	t.file, err = os.OpenFile(filepath.Join(folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	return t, err
}

// Write implements io.Writer. It never fails: a client does not end because
// its log cannot be kept.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file != nil && t.kept < maxStderr {
		part := b[:min(len(b), maxStderr-t.kept)]
		t.file.Write(part)
		if t.kept += len(part); t.kept == maxStderr {
			t.file.WriteString("\n… no more of this is kept\n")
		}
	}
	for _, c := range b {
		switch {
		case c == '\n' && len(bytes.TrimSpace(t.next)) > 0:
			t.line, t.next = append(t.line[:0], t.next...), t.next[:0]
		case c != '\n' && len(t.next) < 300:
			t.next = append(t.next, c)
		}
	}
	return len(b), nil
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.next)); s != "" {
		return s
	}
	return strings.TrimSpace(string(t.line))
}

func (t *tail) Close() {
	if t.file != nil {
		t.file.Close()
	}
}

// environment gives a client what it needs to be found, to find its libraries
// and to print, and nothing else of what stands in environ.
func environment(environ []string, more map[string]string) []string {
	pass := []string{"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SystemRoot", "VIRTUAL_ENV", "PYTHONPATH", "NODE_PATH", "GOCACHE", "GOPATH", "GOFLAGS", "GOMODCACHE"}
	var out []string
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(pass, name) {
			out = append(out, kv)
		}
	}
	names := make([]string, 0, len(more))
	for name := range more {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, name+"="+more[name])
	}
	return out
}
