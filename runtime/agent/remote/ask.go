// This file defines how the outside asks: requests and answers on one stream.

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// exchange is a stream of requests.
type exchange struct {
	s    *Session
	conn net.Conn

	writing sync.Mutex

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan reply
	closed  bool
}

// exchange opens a stream for requests.
func (s *Session) exchange(ctx context.Context) (*exchange, error) {
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	conn, err := s.open(ctx, kindCall, opening{})
	if err != nil {
		if ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
		return nil, s.fail(err)
	}
	x := &exchange{s: s, conn: conn, waiting: map[uint64]chan reply{}}
	stop := context.AfterFunc(s.ctx, func() { shut(conn) })
	go func() {
		defer stop()
		x.read()
	}()
	return x, nil
}

// close ends the stream; inside, what was still asked is called off.
func (x *exchange) close() {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	shut(x.conn)
}

// read takes answers until the stream ends. It does not end by itself while all
// is well.
func (x *exchange) read() {
	var buf []byte
	for {
		kind, body, b, err := readFrame(x.conn, buf)
		buf = b
		var r reply
		if err == nil && kind != frameAnswer {
			err = fmt.Errorf("got a frame of kind %d, want %d", kind, frameAnswer)
		}
		if err == nil {
			err = json.Unmarshal(body, &r)
		}
		x.mu.Lock()
		if x.closed {
			x.mu.Unlock()
			return
		}
		ch := x.waiting[r.ID]
		delete(x.waiting, r.ID)
		x.mu.Unlock()
		if err != nil {
			x.s.fail(fmt.Errorf("answers do not come any more: %w", noEOF(err)))
			return
		}
		if ch != nil {
			ch <- r
		}
	}
}

// send puts a question. The answer comes on the channel, but not when the
// session ends before.
func (x *exchange) send(ctx context.Context, op string, args any) (uint64, <-chan reply, error) {
	r := request{Op: op}
	if args != nil {
		b, err := json.Marshal(args)
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", op, err)
		}
		r.Args = b
	}
	if at, ok := ctx.Deadline(); ok {
		left := time.Until(at)
		r.Left = &left
	}
	ch := make(chan reply, 1)
	x.mu.Lock()
	x.last++
	r.ID = x.last
	x.waiting[r.ID] = ch
	x.mu.Unlock()
	if err := x.write(frameAsk, r); err != nil {
		return 0, nil, err
	}
	return r.ID, ch, nil
}

func (x *exchange) write(kind byte, v any) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.conn.SetWriteDeadline(time.Now().Add(stuck))
	if err := writeJSON(x.conn, kind, v); err != nil {
		return x.s.fail(err)
	}
	return nil
}

// errSilent is a question that is not answered, though its time is over.
var errSilent = errors.New("no answer")

// ask puts a question and waits for the answer. When ctx ends the context
// inside ends too, and the answer is waited for a little longer: errSilent
// when it does not come.
func (x *exchange) ask(ctx context.Context, patience time.Duration, op string, args, value any) error {
	id, answer, err := x.send(ctx, op, args)
	if err != nil {
		return err
	}
	var r reply
	select {
	case r = <-answer:
	case <-x.s.ctx.Done():
		return context.Cause(x.s.ctx)
	case <-ctx.Done():
		// A deadline passes inside too; so it stays one there.
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			if err := x.write(frameCancel, cancellation{id, fail(context.Cause(ctx))}); err != nil {
				return err
			}
		}
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case r = <-answer:
		case <-x.s.ctx.Done():
			return context.Cause(x.s.ctx)
		case <-t.C:
			return fmt.Errorf("%s: %w %v after %w", op, errSilent, patience, context.Cause(ctx))
		}
	}
	if r.Cuts > 0 {
		if err := x.s.absorbed(r.Cuts); err != nil {
			return errors.Join(r.Error.err(), err)
		}
	}
	if r.Error != nil {
		return r.Error.err()
	}
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(r.Value, value); err != nil {
		return x.s.fail(fmt.Errorf("%s: answer: %w", op, err))
	}
	return nil
}

// call asks one thing on a stream of its own.
func (s *Session) call(ctx context.Context, op string, args, value any) error {
	x, err := s.exchange(ctx)
	if err != nil {
		return err
	}
	defer x.close()
	return x.ask(ctx, answerLimit, op, args, value)
}
