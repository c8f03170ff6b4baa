// This file defines what the inside does when it is asked.

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"starfall/runtime"
	"starfall/runtime/record"
)

// life is what runs on one stream: nothing, or one member from its start to its
// end.
type life struct {
	member   runtime.Member
	producer runtime.Producer // nil for a consumer
	once     sync.Once
}

// crash ends the member when it still runs.
func (l *life) crash() {
	l.once.Do(func() { l.member.Crash() })
}

// job is a request under way.
type job struct {
	request
	ctx    context.Context
	cancel context.CancelCauseFunc
	free   context.CancelFunc
}

// answer serves a stream of requests: one after the other, while what ends
// their contexts is heeded at once.
func (x *inside) answer(conn net.Conn) error {
	ctx, cancel := context.WithCancelCause(x.ctx)
	defer cancel(nil)
	stop := context.AfterFunc(x.ctx, func() { shut(conn) })
	defer stop()
	x.mu.Lock()
	if x.ended {
		x.mu.Unlock()
		return errLeft
	}
	x.working.Add(1)
	x.mu.Unlock()
	defer x.working.Done()

	jobs := make(chan *job, 64)
	var mu, writing sync.Mutex
	open := map[uint64]*job{}
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		var l life
		var aside sync.WaitGroup // redirects: a member may be ended meanwhile
		defer aside.Wait()
		defer x.release(&l)
		work := func(j *job) {
			r := x.do(j, &l)
			mu.Lock()
			delete(open, j.ID)
			mu.Unlock()
			j.free()
			writing.Lock()
			defer writing.Unlock()
			conn.SetWriteDeadline(time.Now().Add(stuck))
			if err := writeJSON(conn, frameAnswer, r); err != nil {
				shut(conn) // the reader sees it
			}
		}
		for j := range jobs {
			if j.Op == opRedirect {
				aside.Go(func() { work(j) })
				continue
			}
			work(j)
		}
	}()
	defer func() {
		cancel(errLeft)
		close(jobs)
		<-worked
	}()
	var buf []byte
	for {
		kind, body, b, err := readFrame(conn, buf)
		buf = b
		if err != nil {
			return x.over(err)
		}
		switch kind {
		case frameAsk:
			j := &job{}
			if err := json.Unmarshal(body, &j.request); err != nil {
				return fmt.Errorf("clients: request: %w", err)
			}
			limited, free := ctx, context.CancelFunc(func() {})
			if j.Left != nil {
				limited, free = context.WithTimeout(ctx, *j.Left)
			}
			j.ctx, j.cancel = context.WithCancelCause(limited)
			j.free = func() { j.cancel(nil); free() }
			mu.Lock()
			open[j.ID] = j
			mu.Unlock()
			jobs <- j
		case frameCancel:
			var c cancellation
			if err := json.Unmarshal(body, &c); err != nil {
				return fmt.Errorf("clients: cancellation: %w", err)
			}
			mu.Lock()
			j := open[c.ID]
			mu.Unlock()
			if j != nil { // else it was answered meanwhile
				j.cancel(c.Cause.err())
			}
		default:
			return fmt.Errorf("clients: got a frame of kind %d", kind)
		}
	}
}

// over is nil for the ends of a stream that are in order.
func (x *inside) over(err error) error {
	if err == io.EOF || x.ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("clients: %w", err)
}

// release crashes a member whose stream is over.
func (x *inside) release(l *life) {
	x.mu.Lock()
	delete(x.running, l)
	x.mu.Unlock()
	if l.member != nil {
		l.crash()
	}
}

// do carries out one request. A panic is its error.
func (x *inside) do(j *job, l *life) (r reply) {
	r.ID = j.ID
	defer func() {
		if p := recover(); p != nil {
			r.Value, r.Error = nil, fail(fmt.Errorf("panic: %v\n%s", p, strings.TrimSpace(string(debug.Stack()))))
		}
	}()
	value, err := x.carryOut(j, l)
	r.Error = fail(err)
	switch j.Op {
	case opStop, opCrash, opAudit:
		// What they recorded is on its way before the answer is.
		var cut error
		if r.Cuts, cut = x.cut(0); cut != nil {
			r.Error = fail(errors.Join(err, cut))
		}
	}
	if r.Error == nil && value != nil {
		if r.Value, err = json.Marshal(value); err != nil {
			r.Error = fail(err)
		}
	}
	return r
}

// carryOut does what is asked.
func (x *inside) carryOut(j *job, l *life) (any, error) {
	switch j.Op {
	case opProducer, opConsumer:
		return nil, x.start(j, l)
	case opBegin, opRate, opStop, opCrash:
		return nil, x.change(j, l)
	case opRedirect:
		return nil, x.redirect(j, l)
	case opCompare:
		return x.compare(j)
	}
	var a adminArgs
	if err := json.Unmarshal(j.Args, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", j.Op, err)
	}
	x.mu.Lock()
	x.bootstrap[a.Cluster] = a.Bootstrap
	if j.Op == opInspect {
		x.controllers[a.Cluster] = a.Control
	}
	x.mu.Unlock()
	c := x.control()
	switch j.Op {
	case opCreate:
		return nil, c.Create(j.ctx, a.Cluster, a.Topics)
	case opDo:
		if a.Action == nil {
			return nil, errors.New("do: no action")
		}
		return x.proof(c.Do(j.ctx, a.Cluster, *a.Action))
	case opCoordinator:
		return given(c.Coordinator(j.ctx, a.Cluster, a.Group))
	case opConfigs:
		return given(c.Configs(j.ctx, a.Cluster, a.Target, a.Names))
	case opRestore:
		return x.proof(c.Restore(j.ctx, a.Cluster, a.Target, a.Values))
	case opGrant:
		return x.proof(c.Grant(j.ctx, a.Cluster, a.User, a.Rights))
	case opGroup:
		return given(c.Group(j.ctx, a.Cluster, a.Group))
	case opInspect:
		return given(x.inspector.Inspect(j.ctx, a.Cluster))
	case opAudit:
		if x.part == nil {
			return nil, errNoRecord
		}
		return nil, c.Audit(j.ctx, a.Cluster, a.Topic, a.Ends, func(partition int32, start, highWater int64) *record.AuditLog {
			return x.part.Audit(a.Topic, partition, start, highWater)
		})
	}
	return nil, fmt.Errorf("%s: it is not known what that asks for", j.Op)
}

// redirect lets the member of a stream go on elsewhere.
func (x *inside) redirect(j *job, l *life) error {
	if l.member == nil {
		return fmt.Errorf("%s: the stream has no member", j.Op)
	}
	r, ok := l.member.(runtime.Redirecter)
	if !ok {
		return fmt.Errorf("%s: this member cannot go on elsewhere (%T)", j.Op, l.member)
	}
	var to runtime.Destination
	if err := json.Unmarshal(j.Args, &to); err != nil {
		return fmt.Errorf("%s: %w", j.Op, err)
	}
	return r.Redirect(j.ctx, to)
}

// compare reads both sides of a mirror.
func (x *inside) compare(j *job) (any, error) {
	var a compareArgs
	if err := json.Unmarshal(j.Args, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", j.Op, err)
	}
	x.mu.Lock()
	for cluster, b := range a.Bootstrap {
		x.bootstrap[cluster] = b
	}
	x.mu.Unlock()
	spec := runtime.MirrorSpec{
		Env: x.env, Mirror: a.Mirror, Topics: a.Topics, Copies: a.Copies,
		From: a.Bootstrap[a.Mirror.From], To: a.Bootstrap[a.Mirror.To],
	}
	return given(x.control().Compare(j.ctx, spec, a.Ends, a.Groups))
}

var errNoRecord = errors.New("nothing is recorded here")

// given turns a result into a value.
func given[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (x *inside) proof(p runtime.Proof, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	out := proof{OK: p.OK, Text: p.Text, Wrote: p.Wrote, Deleted: p.Deleted}
	if !p.At.IsZero() {
		at := p.At.Sub(x.clock.base)
		out.At = &at
	}
	return out, nil
}

// start starts the member of a stream.
func (x *inside) start(j *job, l *life) error {
	switch {
	case x.part == nil:
		return errNoRecord
	case l.member != nil:
		return errors.New("the stream has a member already")
	}
	var err error
	if j.Op == opProducer {
		var a producerArgs
		if err := json.Unmarshal(j.Args, &a); err != nil {
			return fmt.Errorf("%s: %w", j.Op, err)
		}
		x.mu.Lock()
		x.locals[memberKey{a.Producer.Name, a.Member}] = a.Local
		x.mu.Unlock()
		l.producer, err = x.load.Producer(j.ctx, runtime.ProducerSpec{
			Env: x.env, Producer: a.Producer, Index: a.Index, Topic: a.Topic, Member: a.Member, Members: a.Members,
			Bootstrap: a.Bootstrap, Login: a.Login, Until: a.Until, Log: x.part.Producer(a.Producer.Name, a.Member),
		})
		if err == nil {
			l.member = l.producer
		}
	} else {
		var a consumerArgs
		if err := json.Unmarshal(j.Args, &a); err != nil {
			return fmt.Errorf("%s: %w", j.Op, err)
		}
		x.mu.Lock()
		x.locals[memberKey{a.Consumer.Name, a.Member}] = a.Local
		x.mu.Unlock()
		l.member, err = x.load.Consumer(j.ctx, runtime.ConsumerSpec{
			Env: x.env, Consumer: a.Consumer, Index: a.Index, Topics: a.Topics, Member: a.Member,
			Bootstrap: a.Bootstrap, Login: a.Login, Log: x.part.Consumer(a.Consumer.Name, a.Member),
		})
	}
	if err != nil {
		l.member, l.producer = nil, nil
		return err
	}
	x.mu.Lock()
	ended := x.ended
	if !ended {
		x.running[l] = true
	}
	x.mu.Unlock()
	if ended {
		l.crash()
		return errLeft
	}
	return nil
}

// change changes or ends the member of a stream.
func (x *inside) change(j *job, l *life) error {
	if l.member == nil {
		return fmt.Errorf("%s: the stream has no member", j.Op)
	}
	switch j.Op {
	case opStop:
		err := l.member.Stop(j.ctx)
		l.once.Do(func() {})
		return err
	case opCrash:
		l.crash()
		return nil
	}
	if l.producer == nil {
		return fmt.Errorf("%s: a consumer has no schedule", j.Op)
	}
	if j.Op == opRate {
		var share float64
		if err := json.Unmarshal(j.Args, &share); err != nil {
			return fmt.Errorf("%s: %w", j.Op, err)
		}
		l.producer.SetRate(share)
		return nil
	}
	var a beginArgs
	if err := json.Unmarshal(j.Args, &a); err != nil {
		return fmt.Errorf("%s: %w", j.Op, err)
	}
	x.clock.start(a.Zero)
	l.producer.Begin(a.At, a.Share)
	return nil
}
