// This file defines Server: the inside of sessions, which runs the clients.

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/kafka"
	"starfall/runtime/record"
)

const (
	cutEvery = 50 * time.Millisecond // of real time, between two cuts
	// stuck is how long a side may not read what the other writes, or not write
	// what the other waits for, until it is given up.
	stuck = 15 * time.Second
	// maxLines bounds the lines for the log that wait for a cut, and maxLine
	// each of them, in bytes.
	maxLines = 4096
	maxLine  = 4096
)

// Server runs clients for the sessions of others. The zero value works. One
// process has one Server.
type Server struct {
	mu       sync.Mutex
	sessions map[uint64]*inside
}

// Serve serves one stream that a Session has opened and closes it. It returns
// when the stream is over, with an error when it did not end in order; with the
// end of ctx, at once. The end of a session's first stream, however it comes,
// crashes the members that still run.
func (s *Server) Serve(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { shut(conn) })
	defer stop()
	conn.SetReadDeadline(time.Now().Add(stuck))
	var o opening
	if err := readJSON(conn, frameOpening, &o); err != nil {
		return fmt.Errorf("clients: opening: %w", err)
	}
	conn.SetReadDeadline(time.Time{})
	if o.Version != protocol {
		err := fmt.Errorf("clients: got version %d, want %d", o.Version, protocol)
		return errors.Join(err, writeJSON(conn, frameReady, reply{Error: fail(err)}))
	}
	if o.Kind == kindSession {
		return s.session(ctx, conn, &o)
	}
	x := s.find(o.Session)
	if x == nil {
		return fmt.Errorf("clients: session %x: there is no such session", o.Session)
	}
	switch o.Kind {
	case kindClock:
		return x.tell(conn)
	case kindCall:
		return x.answer(conn)
	}
	return fmt.Errorf("clients: got a stream of kind %q, want %s, %s or %s", o.Kind, kindSession, kindClock, kindCall)
}

func (s *Server) find(id uint64) *inside {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// session serves the first stream of a session, and with it the session.
func (s *Server) session(ctx context.Context, conn net.Conn, o *opening) error {
	x, err := newInside(ctx, conn, o)
	if err == nil {
		s.mu.Lock()
		if s.sessions[o.Session] != nil {
			err = fmt.Errorf("clients: session %x: there is one already", o.Session)
		} else {
			if s.sessions == nil {
				s.sessions = map[uint64]*inside{}
			}
			s.sessions[o.Session] = x
		}
		s.mu.Unlock()
	}
	if err != nil {
		return errors.Join(err, writeJSON(conn, frameReady, reply{Error: fail(err)}))
	}
	defer func() {
		s.mu.Lock()
		delete(s.sessions, o.Session)
		s.mu.Unlock()
	}()
	if err := writeJSON(conn, frameReady, reply{}); err != nil {
		return err
	}
	go func() {
		kind, _, _, err := readFrame(conn, nil)
		switch {
		case err != nil:
			x.cancel(fmt.Errorf("clients: the run is gone: %w", err))
		case kind != frameLeave:
			x.cancel(fmt.Errorf("clients: session: got a frame of kind %d, want %d", kind, frameLeave))
		default:
			x.cancel(errLeft)
		}
	}()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		x.feed(stop)
	}()
	<-x.ctx.Done()
	x.end()
	close(stop)
	<-stopped
	if err := context.Cause(x.ctx); err != errLeft {
		return err
	}
	if _, err := x.cut(0); err != nil {
		return fmt.Errorf("clients: last cut: %w", err)
	}
	return writeFrame(conn, frameGone)
}

// errLeft is why the contexts of a session end in order.
var errLeft = errors.New("the run has left")

// inside is one session.
type inside struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	conn   net.Conn // the first stream
	plan   *plan.Plan
	env    runtime.Env
	clock  *clock
	part   *record.Writer // nil: nothing is recorded, there are no members
	load   kafka.Load

	inspector kafka.Inspector

	cutting sync.Mutex // guards what follows
	cuts    uint64
	through time.Duration
	broken  error

	logging sync.Mutex // guards what follows
	lines   []string
	dropped int
	denials []denial
	refused map[denial]bool // that were told

	mu          sync.Mutex          // guards what follows
	bootstrap   map[string][]string // by cluster
	controllers map[string][]string
	locals      map[memberKey]netip.Addr
	running     map[*life]bool
	ended       bool
	working     sync.WaitGroup // streams of requests
}

type memberKey struct {
	client string
	member int
}

func newInside(ctx context.Context, conn net.Conn, o *opening) (*inside, error) {
	p, err := plan.Read(bytes.NewReader(o.Plan))
	if err != nil {
		return nil, fmt.Errorf("clients: %w", err)
	}
	x := &inside{
		conn: conn, plan: p, clock: newClock(o.Speed),
		bootstrap: map[string][]string{}, controllers: map[string][]string{}, locals: map[memberKey]netip.Addr{}, running: map[*life]bool{},
	}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	x.env = runtime.Env{Run: o.Run, RunID: o.RunID, Seed: o.Seed, Speed: o.Speed, Clock: x.clock, Log: x.line,
		Operators: o.Operators, TextKey: o.TextKey, Denied: x.denied}
	x.load.From = x.local
	x.inspector.Brokers, x.inspector.Login = x.brokers, x.loginOf
	if o.Controllers {
		x.inspector.Controllers = func(cluster string) ([]string, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.controllers[cluster], nil
		}
	}
	if o.Record {
		x.part = record.NewPart(p, o.Info)
	}
	return x, nil
}

// control does admin and audits.
func (x *inside) control() *kafka.Control {
	return &kafka.Control{Plan: x.plan, RunID: x.env.RunID, Speed: x.env.Speed, Clock: x.clock, Operators: x.env.Operators, Bootstrap: x.brokers}
}

// loginOf is as whom a cluster's state is asked for. Controllers' own listeners
// know PLAIN, whatever clients log in by.
func (x *inside) loginOf(cluster string, controller bool) runtime.Login {
	l := x.env.Operators[cluster]
	if controller && l.Mechanism != "" {
		l.Mechanism = "PLAIN"
	}
	return l
}

// brokers are those that were named last.
func (x *inside) brokers(cluster string) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.bootstrap[cluster]
	if len(b) == 0 {
		return nil, fmt.Errorf("cluster %s: no bootstrap address", cluster)
	}
	return slices.Clone(b), nil
}

func (x *inside) local(client string, member int) netip.Addr {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.locals[memberKey{client, member}]
}

// line keeps a line for the log until the next cut.
func (x *inside) line(text string) {
	if len(text) > maxLine {
		text = text[:maxLine] + " …"
	}
	x.logging.Lock()
	defer x.logging.Unlock()
	if len(x.lines) >= maxLines {
		x.dropped++
		return
	}
	x.lines = append(x.lines, text)
}

// denied keeps a refusal until the next cut. Each is told once, so that there
// cannot be more of them than members, clusters and errors.
func (x *inside) denied(client string, member int, cluster, text string) {
	if len(text) > maxLine {
		text = text[:maxLine] + " …"
	}
	d := denial{client, member, cluster, text}
	x.logging.Lock()
	defer x.logging.Unlock()
	if x.refused == nil {
		x.refused = map[denial]bool{}
	}
	if !x.refused[d] && len(x.refused) < maxLines {
		x.refused[d] = true
		x.denials = append(x.denials, d)
	}
}

// feed sends cuts until it is stopped, also while the session is ending.
func (x *inside) feed(stop <-chan struct{}) {
	step := time.Duration(float64(cutEvery) * x.clock.speed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at, wait := x.clock.next(step)
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-stop:
			return
		}
		if _, err := x.cut(at); err != nil {
			x.cancel(err)
			return
		}
	}
}

// cut sends what was recorded and logged. It gives the number of the last cut.
func (x *inside) cut(through time.Duration) (uint64, error) {
	x.logging.Lock()
	lines, dropped, denials := x.lines, x.dropped, x.denials
	x.lines, x.dropped, x.denials = nil, 0, nil
	x.logging.Unlock()
	if dropped > 0 {
		lines = append(lines, fmt.Sprintf("%d lines more were dropped", dropped))
	}
	x.cutting.Lock()
	defer x.cutting.Unlock()
	if x.broken != nil {
		return x.cuts, x.broken
	}
	x.conn.SetWriteDeadline(time.Now().Add(stuck))
	for _, l := range lines {
		if x.broken = writeFrame(x.conn, frameLine, []byte(l)); x.broken != nil {
			return x.cuts, x.broken
		}
	}
	for _, d := range denials {
		if x.broken = writeJSON(x.conn, frameDenied, d); x.broken != nil {
			return x.cuts, x.broken
		}
	}
	var payload []byte
	if x.part != nil {
		payload = x.part.Take()
	}
	x.cuts++
	x.through = max(x.through, through)
	x.broken = writeFrame(x.conn, frameCut, appendCutHead(x.cuts, x.through), payload)
	return x.cuts, x.broken
}

// end crashes what still runs and waits for what is under way.
func (x *inside) end() {
	x.mu.Lock()
	x.ended = true
	var lives []*life
	for l := range x.running {
		lives = append(lives, l)
	}
	x.mu.Unlock()
	var crashes sync.WaitGroup
	for _, l := range lives {
		crashes.Go(l.crash)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.inspector.Close()
		crashes.Wait()
		x.working.Wait()
	}()
	t := time.NewTimer(stuck)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		x.line("clients: something does not end")
	}
}

// tell answers with the time inside and takes in when scenario time is zero.
func (x *inside) tell(conn net.Conn) error {
	stop := context.AfterFunc(x.ctx, func() { shut(conn) })
	defer stop()
	var buf []byte
	for {
		kind, body, b, err := readFrame(conn, buf)
		buf = b
		if err != nil {
			return x.over(err)
		}
		switch kind {
		case framePing:
			conn.SetWriteDeadline(time.Now().Add(stuck))
			if err := writeTime(conn, framePong, x.clock.wall()); err != nil {
				return x.over(err)
			}
		case frameZero:
			at, err := readTime(body)
			if err != nil {
				return err
			}
			x.clock.set(at)
		default:
			return fmt.Errorf("clients: clock: got a frame of kind %d", kind)
		}
	}
}
