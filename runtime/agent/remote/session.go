// This file defines Session: the outside, which asks.

package remote

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// Options say whose clients a Session runs, and where.
type Options struct {
	// Name is the other side in errors: "load agent of site eu".
	Name string
	// Open opens a stream to the other side, where Server.Serve gets it.
	Open func(ctx context.Context) (net.Conn, error)
	Plan *plan.Plan
	// Env is the run's. Lines from the other side go to its Log. Its Clock must
	// have the power runtime.Zeroed; without Record there may be none. Tell stays
	// here: the clients that are run inside have nothing to say of themselves.
	Env runtime.Env
	// Record takes in what the clients record; nil: there are no members and no
	// audits, as in runtime.Up.
	Record *record.Writer
	// Bootstrap gives the brokers of a cluster as admin and audit dial them
	// from the other side. It is asked for each call. nil: the session is for
	// load only.
	Bootstrap func(cluster string) ([]string, error)
	// Controllers is as of kafka.Inspector, from the other side; nil: the
	// brokers are asked.
	Controllers func(cluster string) ([]string, error)
	// From gives the address, there, from which a member makes its connections;
	// nil, or the zero address: any.
	From func(client string, member int) netip.Addr
}

func (o *Options) validate() error {
	var errs []error
	if o.Open == nil {
		errs = append(errs, errors.New("options: Open is not set"))
	}
	if o.Plan == nil {
		errs = append(errs, errors.New("options: Plan is not set"))
	}
	if o.Env.Log == nil {
		errs = append(errs, errors.New("options: Env.Log is not set"))
	}
	if _, ok := o.Env.Clock.(runtime.Zeroed); !ok && (o.Record != nil || o.Env.Clock != nil) {
		errs = append(errs, fmt.Errorf("options: for Env.Clock: %T does not tell when its zero is", o.Env.Clock))
	}
	return errors.Join(errs...)
}

// How the clocks are compared: round trips at the start, until one is short
// enough but no more than firstTrips; then some again and again.
const (
	firstTrips  = 200
	leastTrips  = 16
	goodSlack   = 100 * time.Microsecond
	wideSlack   = time.Millisecond // more is told in the log
	againEvery  = 5 * time.Second
	againTrips  = 8
	leaveLimit  = 2 * stuck // for everything to end in order
	answerLimit = 5 * time.Second
)

// Session runs the clients of a run in another process. Its methods are safe
// for use by many goroutines.
type Session struct {
	o    Options
	id   uint64
	base time.Time

	ctx    context.Context
	cancel context.CancelCauseFunc
	first  net.Conn
	times  net.Conn
	feed   *record.Feed // nil without Record
	failed chan struct{}
	gone   chan struct{} // the other side has left in order
	wait   sync.WaitGroup

	asking sync.Mutex // one round trip on times at a time

	mu       sync.Mutex // guards what follows
	est      estimate
	zero     time.Duration // of scenario time, since base
	zeroed   bool
	told     time.Duration // zero by the clock inside, as it was told
	cuts     uint64        // that have been absorbed
	more     chan struct{} // closed when cuts changes
	err      error
	leaving  bool
	finished bool
}

var (
	_ runtime.Load     = (*Session)(nil)
	_ runtime.Admin    = (*Session)(nil)
	_ runtime.Configs  = (*Session)(nil)
	_ runtime.Restorer = (*Session)(nil)
	_ runtime.Auditor  = (*Session)(nil)
	_ runtime.Grantor  = (*Session)(nil)
	_ runtime.Comparer = (*Session)(nil)
	_ runtime.Health   = (*Session)(nil)
)

// Start begins a session. The end of ctx ends the beginning only.
func Start(ctx context.Context, o Options) (*Session, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:])
	s := &Session{
		o: o, id: binary.BigEndian.Uint64(id[:]), base: time.Now(),
		failed: make(chan struct{}), gone: make(chan struct{}), more: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if err := s.start(ctx); err != nil {
		s.finish(err)
		if ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
			err = errors.Join(context.Cause(ctx), err)
		}
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	return s, nil
}

func (s *Session) start(ctx context.Context) error {
	canonical, err := s.o.Plan.Canonical()
	if err != nil {
		return err
	}
	e := s.o.Env
	open := opening{Plan: canonical, Run: e.Run, RunID: e.RunID, Seed: e.Seed, Speed: e.Speed, Record: s.o.Record != nil,
		Controllers: s.o.Controllers != nil, Operators: e.Operators, TextKey: e.TextKey}
	if s.o.Record != nil {
		open.Info = s.o.Record.Info()
	}
	if s.first, err = s.open(ctx, kindSession, open); err != nil {
		return err
	}
	free := interrupt(ctx, s.first)
	var ready reply
	err = readJSON(s.first, frameReady, &ready)
	if free(); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	if ready.Error != nil {
		return ready.Error.err()
	}
	if s.times, err = s.open(ctx, kindClock, opening{}); err != nil {
		return err
	}
	free = interrupt(ctx, s.times)
	err = s.compare(firstTrips)
	if free(); err != nil {
		return err
	}
	if x := s.Slack(); x > wideSlack {
		e.Log(fmt.Sprintf("%s: times may be off by %v: no round trip is shorter", s.o.Name, x))
	}
	if s.o.Record != nil {
		s.feed = s.o.Record.Feed(s.o.Name)
	}
	s.wait.Go(s.take)
	s.wait.Go(s.again)
	if e.Clock != nil {
		s.wait.Go(s.awaitZero)
	}
	return nil
}

// interrupt lets what waits on a connection return when ctx ends, until free.
func interrupt(ctx context.Context, conn net.Conn) (free func()) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		stop()
		conn.SetDeadline(time.Time{})
	}
}

// open opens a stream and says what it is for.
func (s *Session) open(ctx context.Context, kind string, o opening) (net.Conn, error) {
	conn, err := s.o.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	o.Version, o.Session, o.Kind = protocol, s.id, kind
	conn.SetWriteDeadline(time.Now().Add(stuck))
	if err := writeJSON(conn, frameOpening, o); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	return conn, nil
}

// Failed is closed when the session has failed.
func (s *Session) Failed() <-chan struct{} { return s.failed }

// Err says why the session has failed, nil while it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Slack is how far times that come from the other side may be off, in real time.
func (s *Session) Slack() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.est.slackAt(time.Since(s.base))
}

// fail ends the session because of an error; the first one counts, and none
// does once it is being left.
func (s *Session) fail(err error) error {
	s.mu.Lock()
	switch {
	case s.err != nil:
		defer s.mu.Unlock()
		return s.err
	case s.leaving || s.finished:
		defer s.mu.Unlock()
		return fmt.Errorf("%s: %w", s.o.Name, errLeft)
	}
	s.err = fmt.Errorf("%s: %w", s.o.Name, err)
	err = s.err
	close(s.failed)
	s.mu.Unlock()
	s.finish(err)
	return err
}

// finish closes everything. What has come is in the recording.
func (s *Session) finish(err error) {
	s.mu.Lock()
	first := !s.finished
	s.finished = true
	s.mu.Unlock()
	if !first {
		return
	}
	s.cancel(err)
	for _, c := range []net.Conn{s.first, s.times} {
		if c != nil {
			shut(c)
		}
	}
	if s.feed != nil {
		s.feed.Close()
	}
}

// Close ends the session: members that still run are crashed, and what they
// recorded comes in. After a failure there is nothing left to end.
func (s *Session) Close() error {
	s.mu.Lock()
	over := s.leaving || s.finished
	s.leaving = true
	s.mu.Unlock()
	if over {
		s.wait.Wait()
		return nil
	}
	err := s.leave()
	s.finish(errLeft)
	s.wait.Wait()
	if err != nil {
		return fmt.Errorf("%s: not left in order: %w", s.o.Name, err)
	}
	return nil
}

func (s *Session) leave() error {
	s.first.SetWriteDeadline(time.Now().Add(stuck))
	if err := writeFrame(s.first, frameLeave); err != nil {
		return err
	}
	t := time.NewTimer(leaveLimit)
	defer t.Stop()
	select {
	case <-s.gone:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-t.C:
		return fmt.Errorf("no answer in %v", leaveLimit)
	}
}

// take takes in cuts and lines until the session ends.
func (s *Session) take() {
	var buf []byte
	for {
		s.first.SetReadDeadline(time.Now().Add(stuck))
		kind, body, b, err := readFrame(s.first, buf)
		buf = b
		if err == nil && kind == frameGone {
			close(s.gone)
			return
		}
		if err == nil {
			err = s.taken(kind, body)
		} else {
			err = fmt.Errorf("what the clients recorded does not come any more: %w", noEOF(err))
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// end fails the session, also while it is being left: then leave tells it.
func (s *Session) end(err error) {
	s.fail(err)
	s.cancel(err)
}

func (s *Session) taken(kind byte, body []byte) error {
	switch kind {
	case frameLine:
		s.o.Env.Log(string(body))
		return nil
	case frameDenied:
		var d denial
		if err := json.Unmarshal(body, &d); err != nil {
			return fmt.Errorf("denial: %w", err)
		}
		if f := s.o.Env.Denied; f != nil {
			f(d.Client, d.Member, d.Cluster, d.Text)
		}
		return nil
	case frameCut:
	default:
		return fmt.Errorf("got a frame of kind %d", kind)
	}
	n, through, payload, err := readCut(body)
	if err != nil {
		return err
	}
	if s.feed != nil {
		if err := s.feed.Absorb(payload, through); err != nil {
			return err
		}
	} else if len(payload) > 0 {
		return errors.New("got a recording, though nothing is recorded")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n != s.cuts+1 {
		return fmt.Errorf("got cut %d, want %d", n, s.cuts+1)
	}
	s.cuts = n
	close(s.more)
	s.more = make(chan struct{})
	return nil
}

// absorbed waits until the first n cuts are in the recording.
func (s *Session) absorbed(n uint64) error {
	t := time.NewTimer(stuck)
	defer t.Stop()
	for {
		s.mu.Lock()
		have, more := s.cuts, s.more
		s.mu.Unlock()
		if have >= n {
			break
		}
		select {
		case <-more:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-t.C:
			return s.fail(fmt.Errorf("cut %d does not come", n))
		}
	}
	if s.feed != nil {
		s.feed.Flush()
	}
	return nil
}

// compare makes round trips and keeps the best.
func (s *Session) compare(most int) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	for i := range most {
		asked := time.Since(s.base)
		if err := writeFrame(s.times, framePing); err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		kind, body, _, err := readFrame(s.times, nil)
		answered := time.Since(s.base)
		if err != nil {
			return fmt.Errorf("clock: %w", noEOF(err))
		}
		if kind != framePong {
			return fmt.Errorf("clock: got a frame of kind %d, want %d", kind, framePong)
		}
		inside, err := readTime(body)
		if err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		s.mu.Lock()
		s.est.add(asked, answered, inside)
		good := s.est.slackAt(answered) <= goodSlack
		s.mu.Unlock()
		if good && i+1 >= leastTrips {
			break
		}
	}
	return s.tellZero()
}

// tellZero tells the clock inside when scenario time is zero, where that is
// known and new. The caller holds asking.
func (s *Session) tellZero() error {
	s.mu.Lock()
	at, ok := s.zero+s.est.ahead, s.zeroed
	if !ok || at == s.told {
		s.mu.Unlock()
		return nil
	}
	s.told = at
	s.mu.Unlock()
	if err := writeTime(s.times, frameZero, at); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}

// again compares the clocks now and then.
func (s *Session) again() {
	tick := time.NewTicker(againEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		s.times.SetDeadline(time.Now().Add(stuck))
		if err := s.compare(againTrips); err != nil {
			s.fail(err)
			return
		}
	}
}

// awaitZero waits until the run's clock starts.
func (s *Session) awaitZero() {
	if _, err := s.inner(s.ctx); err != nil {
		return // the session is over
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	s.times.SetWriteDeadline(time.Now().Add(stuck))
	if err := s.tellZero(); err != nil {
		s.fail(err)
	}
}

// inner is the moment of scenario time zero by the clock inside.
func (s *Session) inner(ctx context.Context) (time.Duration, error) {
	zero, err := s.o.Env.Clock.(runtime.Zeroed).Zero(ctx)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zero, s.zeroed = zero.Sub(s.base), true
	return s.zero + s.est.ahead, nil
}

// moment is a moment inside as it is here.
func (s *Session) moment(inside time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base.Add(inside - s.est.ahead)
}
