package agent

// This file defines the host's handle on an agent.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"starfall/runtime"
)

// Agent is the host's handle on one agent. Its methods may be called from any
// number of goroutines; each call is on its own and none waits for another.
// They return an *Error for what the agent answered, ErrEnded once the session
// is over, and the context's error when that ends first.
type Agent struct {
	session *yamux.Session
	rwc     io.Closer
	build   string

	done   chan struct{}
	once   sync.Once
	mu     sync.Mutex
	reason error // why done is closed
}

// ConnectOptions are what Connect may need.
type ConnectOptions struct {
	// Build is what the agent must be of; "" means Build().
	Build string
	// Log gets what the library under the session has to say; nil for nobody.
	Log io.Writer
	// Keepalive is how often the agent is asked whether it is there; 0 means
	// 15 s. The session ends after three answers in a row that took longer.
	Keepalive time.Duration
}

// Connect begins a session with the agent at the other end of rwc, which is
// closed with the session and on error. It may be called before the container
// starts: it returns when the agent answers. The error is ErrMismatch when
// what answers is not an agent of this build, and ErrEnded when nothing does.
func Connect(ctx context.Context, rwc io.ReadWriteCloser, o ConnectOptions) (*Agent, error) {
	if o.Build == "" {
		o.Build = Build()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Keepalive <= 0 {
		o.Keepalive = 15 * time.Second
	}
	type result struct {
		r   *bufio.Reader
		err error
	}
	begun := make(chan result, 1)
	go func() {
		r, err := greet(rwc, o.Build)
		begun <- result{r, err}
	}()
	var r *bufio.Reader
	select {
	case <-ctx.Done():
		rwc.Close()
		return nil, fmt.Errorf("agent: no answer: %w", context.Cause(ctx))
	case b := <-begun:
		if b.err != nil {
			rwc.Close()
			return nil, b.err
		}
		r = b.r
	}
	a := &Agent{rwc: rwc, build: o.Build, done: make(chan struct{})}
	session, err := yamux.Client(&transport{r, rwc, rwc.Close}, mux(o.Log))
	if err != nil {
		rwc.Close()
		return nil, fmt.Errorf("agent: %w", err)
	}
	a.session = session
	go func() {
		<-session.CloseChan()
		a.end(nil)
	}()
	go a.watch(o.Keepalive)
	return a, nil
}

// greet exchanges the first lines.
func greet(rw io.ReadWriter, build string) (*bufio.Reader, error) {
	// Written on its own: a container that has not started does not read.
	wrote := make(chan error, 1)
	go func() { wrote <- writeLine(rw, hello{Starfall: magic, Protocol: protocol, Build: build}) }()
	r := bufio.NewReaderSize(rw, 64<<10)
	h, err := readHello(r)
	switch {
	case errors.Is(err, ErrMismatch):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w before the agent answered: %w", ErrEnded, err)
	}
	if err := h.check("agent", build); err != nil {
		return nil, err
	}
	if err := <-wrote; err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return r, nil
}

// watch ends the session when the agent does not answer any more. A host that
// was stopped for a while finds its timers expired and the answers unread, so
// that one missing answer means nothing; three asked for one after another do.
func (a *Agent) watch(every time.Duration) {
	tick := time.NewTimer(every)
	defer tick.Stop()
	missed := 0
	for {
		select {
		case <-a.done:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), every)
		err := a.Ping(ctx)
		cancel()
		if err == nil {
			missed = 0
			tick.Reset(every)
			continue
		}
		if missed++; missed == 3 {
			a.end(fmt.Errorf("no answer for %v", time.Duration(missed)*every))
			return
		}
		tick.Reset(0)
	}
}

// end closes the session once.
func (a *Agent) end(why error) {
	a.once.Do(func() {
		a.mu.Lock()
		a.reason = ErrEnded
		if why != nil {
			a.reason = fmt.Errorf("%w: %w", ErrEnded, why)
		}
		a.mu.Unlock()
		close(a.done)
		// The transport first: yamux waits for its reader.
		a.rwc.Close()
		go a.session.Close()
	})
}

// Done is closed when the session is over, however it ended.
func (a *Agent) Done() <-chan struct{} { return a.done }

// Err says why the session is over, nil while it is not.
func (a *Agent) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reason
}

// Close ends the session. The agent kills everything that it started and ends
// too, unless Keep was called. It is safe to call twice.
func (a *Agent) Close() error {
	a.end(nil)
	return nil
}

// Ping asks the agent whether it is there.
func (a *Agent) Ping(ctx context.Context) error { return a.call(ctx, "ping", nil, nil) }

// Keep lets the agent and what it started outlive this session.
func (a *Agent) Keep(ctx context.Context) error { return a.call(ctx, "keep", nil, nil) }

// Write writes files whole or not at all, one after another, and makes the
// folders above them. A file that is mounted from outside, as Docker does with
// /etc/hosts, is written in place.
func (a *Agent) Write(ctx context.Context, files ...File) error {
	req := writeRequest{Files: make([]fileHead, len(files))}
	contents := make([]io.Reader, len(files))
	for i, f := range files {
		mode := f.Mode.Perm()
		if mode == 0 {
			mode = 0o644
		}
		req.Files[i] = fileHead{f.Path, uint32(mode), int64(len(f.Content))}
		contents[i] = strings.NewReader(string(f.Content))
	}
	c, err := a.open(ctx, "write", req, io.MultiReader(contents...))
	if err != nil {
		return err
	}
	return c.finish()
}

// Read gives a file; with tail > 0 at most its last tail bytes.
func (a *Agent) Read(ctx context.Context, path string, tail int64) ([]byte, error) {
	c, err := a.open(ctx, "read", readRequest{path, tail}, nil)
	if err != nil {
		return nil, err
	}
	var head readAnswer
	if err := json.Unmarshal(c.body, &head); err != nil {
		c.close()
		return nil, fmt.Errorf("agent: read %s: %w", path, err)
	}
	b := make([]byte, head.Size)
	if _, err := io.ReadFull(c.r, b); err != nil {
		c.close()
		return nil, a.failure(ctx, fmt.Errorf("agent: read %s: %w", path, err))
	}
	return b, c.finish()
}

// List gives the names in a folder, in order.
func (a *Agent) List(ctx context.Context, dir string) ([]Entry, error) {
	var out []Entry
	err := a.call(ctx, "list", pathRequest{[]string{dir}}, &out)
	return out, err
}

// Remove removes files and folders with everything in them. What is not there
// is no error.
func (a *Agent) Remove(ctx context.Context, paths ...string) error {
	return a.call(ctx, "remove", pathRequest{paths}, nil)
}

// Start starts a process in a session of its own.
func (a *Agent) Start(ctx context.Context, p Process) (Status, error) {
	var s Status
	err := a.call(ctx, "start", p, &s)
	return s, err
}

// Signal sends kill, stop, pause or resume to a process and all its
// descendants, and returns once /proc shows the effect: kill and stop when all
// are gone, pause when every thread of every one is stopped, resume when none
// is. When ctx ends first the error says what is left and is a
// context.DeadlineExceeded; the signal has been sent all the same.
func (a *Agent) Signal(ctx context.Context, name string, s runtime.Signal) (Status, error) {
	var out Status
	err := a.call(ctx, "signal", signalRequest{name, string(s)}, &out)
	return out, err
}

// Status tells what a process does and uses.
func (a *Agent) Status(ctx context.Context, name string) (Status, error) {
	var s Status
	err := a.call(ctx, "status", nameRequest{name}, &s)
	return s, err
}

// Wait returns when a process has exited.
func (a *Agent) Wait(ctx context.Context, name string) (Status, error) {
	var s Status
	err := a.call(ctx, "wait", nameRequest{name}, &s)
	return s, err
}

// Await returns when somebody inside listens on a TCP port, which is found out
// without connecting to it. When the named process exits first the error is
// ErrExited and has the last lines of its log.
func (a *Agent) Await(ctx context.Context, name string, port int) error {
	return a.call(ctx, "await", awaitRequest{name, port}, nil)
}

// Discard takes from a log dir of Kafka what a power failure takes: records at
// the end of its logs that nobody had flushed. No broker may run on it. It
// gives what each partition lost; see discard.go for the rules.
func (a *Agent) Discard(ctx context.Context, dir string, l Loss) ([]Discarded, error) {
	var out []Discarded
	err := a.call(ctx, "discard", discardRequest{dir, l}, &out)
	return out, err
}

// Dial makes a TCP connection from inside, from a local address (the zero
// Addr: any) to host:port, resolved inside. Errors are *Error with kinds
// refused, timeout and unreachable.
func (a *Agent) Dial(ctx context.Context, local netip.Addr, address string) (*Conn, error) {
	req := dialRequest{Address: address}
	if local.IsValid() {
		req.Local = local.String()
	}
	c, err := a.open(ctx, "dial", req, nil)
	if err != nil {
		return nil, err
	}
	var ans dialAnswer
	if err := json.Unmarshal(c.body, &ans); err != nil {
		c.close()
		return nil, fmt.Errorf("agent: dial %s: %w", address, err)
	}
	if !c.detach() {
		c.close()
		return nil, a.failure(ctx, ctx.Err())
	}
	return newConn(a, c, ans), nil
}

// Open gives a raw stream to a service of the agent (Options.Services), which
// gets the request. It is for protocols that tell their own end: at the end of
// the session Read gives ErrEnded, but a service that returns gives io.EOF
// whatever the reason.
func (a *Agent) Open(ctx context.Context, service string, req any) (net.Conn, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("agent: service %s: %w", service, err)
	}
	c, err := a.open(ctx, "open", openRequest{service, body}, nil)
	if err != nil {
		return nil, err
	}
	if !c.detach() {
		c.close()
		return nil, a.failure(ctx, ctx.Err())
	}
	return &serviceConn{Stream: c.stream, r: c.r, agent: a}, nil
}

// serviceConn is the host's end of a stream to a service.
type serviceConn struct {
	*yamux.Stream
	r     *bufio.Reader
	agent *Agent
}

func (c *serviceConn) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err == io.EOF && c.agent.session.IsClosed() {
		err = ErrEnded
	}
	return n, err
}
