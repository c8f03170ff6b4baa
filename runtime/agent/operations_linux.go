package agent

// This file defines the calls as the agent carries them out: one stream, one
// operation.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"

	"starfall/runtime"
)

// server is one agent.
type server struct {
	o         Options
	log       *log.Logger
	processes *processes
	pipes     pipes
	shaper    shaper
	ops       map[string]operation
	kept      atomic.Bool
}

// operation carries out a call: it answers by itself, or returns an error that
// becomes the answer. ctx ends with the session, when the host gives up before
// the answer, and when the time is over that the host allows for the answer.
type operation func(s *server, ctx context.Context, c *inCall) error

// operations is every call there is.
func operations() map[string]operation {
	return map[string]operation{
		"abort":    plain((*server).abort),
		"address":  plain((*server).address),
		"await":    plain((*server).await),
		"counters": plain((*server).counters),
		"dial":     (*server).dial,
		"discard":  plain((*server).discard),
		"keep":     plain((*server).keep),
		"list":     plain((*server).list),
		"open":     (*server).open,
		"ping":     plain((*server).ping),
		"reach":    plain((*server).reach),
		"read":     (*server).read,
		"redirect": plain((*server).redirect),
		"remove":   plain((*server).remove),
		"shape":    plain((*server).shape),
		"signal":   plain((*server).signal),
		"start":    plain((*server).start),
		"status":   plain((*server).status),
		"support":  plain((*server).support),
		"wait":     plain((*server).wait),
		"write":    (*server).write,
	}
}

// inCall is a call as the agent sees it.
type inCall struct {
	stream   *yamux.Stream
	r        *bufio.Reader
	body     json.RawMessage
	answered bool
	session  context.Context // ends with the session only
	cancel   context.CancelCauseFunc
	watched  chan struct{} // closed once nobody else uses r; nil before watch
}

// decode reads the request's body. A field that is not known is an error: to
// pass over it would be to do something else than was asked.
func (c *inCall) decode(v any) error {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return invalid(fmt.Sprintf("request: %v", err))
	}
	return nil
}

// watch ends the call's context when the host closes its side of the stream.
// r is not to be read until watched is closed, which the host's first byte or
// its end does.
func (c *inCall) watch() {
	c.watched = make(chan struct{})
	go func() {
		defer close(c.watched)
		if _, err := c.r.Peek(1); err != nil {
			c.cancel(context.Canceled)
		}
	}()
}

// answer tells the host that the call succeeded.
func (c *inCall) answer(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.answered = true
	return writeLine(c.stream, answer{Body: body})
}

// nothing is the body of a request or an answer that has none.
type nothing struct{}

// plain is an operation that is one line each way.
func plain[Req, Resp any](f func(*server, context.Context, Req) (Resp, error)) operation {
	return func(s *server, ctx context.Context, c *inCall) error {
		var req Req
		if len(c.body) > 0 {
			if err := c.decode(&req); err != nil {
				return err
			}
		}
		c.watch()
		resp, err := f(s, ctx, req)
		if err != nil {
			return err
		}
		return c.answer(resp)
	}
}

// serve carries out the call of one stream.
func (s *server) serve(session context.Context, stream *yamux.Stream) {
	defer stream.Close()
	ctx, cancel := context.WithCancelCause(session)
	defer cancel(nil)
	c := &inCall{stream: stream, r: bufio.NewReader(stream), session: session, cancel: cancel}
	if err := s.run(ctx, c); err != nil && !c.answered {
		// A host that is still sending must come to read the answer.
		go func() {
			if c.watched != nil {
				<-c.watched
			}
			io.Copy(io.Discard, c.r)
		}()
		writeLine(stream, answer{Error: err.Error(), Kind: kindOf(err)})
	}
}

// readRequest reads the request line and finds its operation.
func (s *server) readRequest(r *bufio.Reader) (request, operation, error) {
	line, err := readLine(r, lineLimit)
	if err != nil {
		return request{}, nil, invalid(fmt.Sprintf("request: %v", err))
	}
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return request{}, nil, invalid(fmt.Sprintf("request: %v", err))
	}
	op, ok := s.ops[req.Op]
	if !ok {
		return request{}, nil, invalid(fmt.Sprintf("request: for op: got %q, want one of %s", req.Op, names(s.ops)))
	}
	return req, op, nil
}

// run carries out a call up to its answer, and what follows that.
func (s *server) run(ctx context.Context, c *inCall) error {
	req, op, err := s.readRequest(c.r)
	if err != nil {
		return err
	}
	c.body = req.Body
	if req.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(req.Wait)*time.Millisecond)
		defer cancel()
	}
	return op(s, ctx, c)
}

// names is the keys of a table for people.
func names[V any](table map[string]V) string {
	if len(table) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(table)), ", ")
}

func (s *server) ping(context.Context, nothing) (nothing, error) { return nothing{}, nil }

func (s *server) keep(context.Context, nothing) (nothing, error) {
	s.kept.Store(true)
	return nothing{}, nil
}

func (s *server) abort(_ context.Context, req abortRequest) (nothing, error) {
	s.pipes.abort(req.ID)
	return nothing{}, nil
}

func (s *server) start(_ context.Context, p Process) (Status, error) {
	return s.processes.start(p)
}

func (s *server) signal(ctx context.Context, req signalRequest) (Status, error) {
	return s.processes.signal(ctx, req.Name, runtime.Signal(req.Signal))
}

func (s *server) status(_ context.Context, req nameRequest) (Status, error) {
	return s.processes.status(req.Name)
}

func (s *server) wait(ctx context.Context, req nameRequest) (Status, error) {
	return s.processes.wait(ctx, req.Name)
}

func (s *server) await(ctx context.Context, req awaitRequest) (nothing, error) {
	return nothing{}, s.processes.await(ctx, req.Name, req.Port)
}

// discard refuses a log dir that a broker holds (LogManager.lockLogDirs).
func (s *server) discard(ctx context.Context, req discardRequest) ([]Discarded, error) {
	lock := filepath.Join(req.Dir, ".lock")
	if f, err := os.Open(lock); err == nil {
		defer f.Close()
		l := syscall.Flock_t{Type: syscall.F_WRLCK}
		if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &l); err != nil {
			return nil, fmt.Errorf("discard: %s: %w", lock, err)
		}
		if l.Type != syscall.F_UNLCK {
			return nil, invalid(fmt.Sprintf("discard: %s: pid %d runs on it", req.Dir, l.Pid))
		}
	}
	return discard(ctx, req.Dir, req.Loss, time.Now())
}

// open hands the stream to a service.
func (s *server) open(_ context.Context, c *inCall) error {
	var req openRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	service, ok := s.o.Services[req.Service]
	if !ok {
		return invalid(fmt.Sprintf("service: got %q, want one of %s", req.Service, names(s.o.Services)))
	}
	if err := c.answer(nothing{}); err != nil {
		return err
	}
	if err := service(c.session, &bufferedConn{c.stream, c.r}, req.Request); err != nil {
		s.log.Printf("service %s: %v", req.Service, err)
	}
	return nil
}

// bufferedConn reads through the buffer that the request was read with.
type bufferedConn struct {
	*yamux.Stream
	r *bufio.Reader
}

var _ net.Conn = (*bufferedConn)(nil)

func (c *bufferedConn) Read(b []byte) (int, error) { return c.r.Read(b) }
