package agent

// This file defines a call as the host makes it.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"
)

// call is one stream of the host.
type call struct {
	agent  *Agent
	ctx    context.Context
	op     string
	stream *yamux.Stream
	r      *bufio.Reader
	body   json.RawMessage // of the answer
	stop   func() bool     // undoes the closing at the end of ctx
}

// call makes a call that is one line each way.
func (a *Agent) call(ctx context.Context, op string, req, resp any) error {
	c, err := a.open(ctx, op, req, nil)
	if err != nil {
		return err
	}
	if resp != nil {
		if err := json.Unmarshal(c.body, resp); err != nil {
			c.close()
			return fmt.Errorf("agent: %s: %w", op, err)
		}
	}
	return c.finish()
}

// open makes a call up to its answer: the request line, what is to be sent
// after it, the answer line. It never outlives ctx, although a write to a
// transport that is stuck does; that write ends with the session.
func (a *Agent) open(ctx context.Context, op string, req any, send io.Reader) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("agent: %s: %w", op, err)
	}
	r := request{Op: op}
	if req != nil {
		body, err := json.Marshal(req)
		if err != nil {
			return nil, fmt.Errorf("agent: %s: %w", op, err)
		}
		r.Body = body
	}
	wait := ctx
	if deadline, ok := ctx.Deadline(); ok {
		// The agent gives up a little earlier, so that its answer arrives.
		left := time.Until(deadline)
		left -= min(left/4, 50*time.Millisecond)
		r.Wait = max(left.Milliseconds(), 1)
	}
	type result struct {
		c   *call
		err error
	}
	done := make(chan result, 1)
	go func() {
		c, err := a.exchange(wait, r, send)
		done <- result{c, err}
	}()
	select {
	case d := <-done:
		return d.c, d.err
	case <-ctx.Done():
		go func() {
			if d := <-done; d.c != nil {
				d.c.close()
			}
		}()
		return nil, a.failure(ctx, fmt.Errorf("agent: %s: %w", op, context.Cause(ctx)))
	}
}

// exchange does what open says, and may block for as long as the transport does.
func (a *Agent) exchange(ctx context.Context, r request, send io.Reader) (*call, error) {
	stream, err := a.session.OpenStream()
	if err != nil {
		return nil, a.failure(ctx, fmt.Errorf("agent: %s: %w", r.Op, err))
	}
	c := &call{agent: a, ctx: ctx, op: r.Op, stream: stream, r: bufio.NewReader(stream)}
	c.stop = context.AfterFunc(ctx, func() {
		stream.SetReadDeadline(time.Unix(1, 0))
		stream.Close()
	})
	if err := writeLine(stream, r); err != nil {
		c.close()
		return nil, a.failure(ctx, fmt.Errorf("agent: %s: %w", r.Op, err))
	}
	if send != nil {
		// The agent may answer before it has read everything: then it has
		// refused, and the answer says why.
		if _, err := io.Copy(stream, send); err != nil && a.session.IsClosed() {
			c.close()
			return nil, a.failure(ctx, fmt.Errorf("agent: %s: %w", r.Op, err))
		}
	}
	line, err := readLine(c.r, lineLimit)
	if err != nil {
		c.close()
		return nil, a.failure(ctx, fmt.Errorf("agent: %s: no answer: %w", r.Op, err))
	}
	var ans answer
	if err := json.Unmarshal(line, &ans); err != nil {
		c.close()
		return nil, fmt.Errorf("agent: %s: answer: %w", r.Op, err)
	}
	if ans.Kind != "" {
		c.close()
		return nil, &Error{Kind: ans.Kind, Message: ans.Error}
	}
	c.body = ans.Body
	return c, nil
}

// detach frees the call from its context; false when that has ended already.
func (c *call) detach() bool { return c.stop() }

// close ends the call, whatever its state, without waiting for the transport.
func (c *call) close() {
	c.stop()
	go func() {
		c.stream.Close()
		// What still comes is of no interest, but unread it would hold the stream.
		c.stream.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, c.stream)
	}()
}

// finish ends a call that has got everything.
func (c *call) finish() error {
	c.close()
	return nil
}

// failure is err, or the reason behind it: the end of the session, else of ctx.
func (a *Agent) failure(ctx context.Context, err error) error {
	if a.session.IsClosed() {
		if reason := a.Err(); reason != nil {
			return reason
		}
		return ErrEnded
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", err, ctx.Err())
	}
	return err
}
