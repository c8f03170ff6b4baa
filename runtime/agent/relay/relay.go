// Package relay carries TCP connections by way of the host that it runs on: each
// port it listens on stands for an address that it dials for whoever connects. It
// runs as a service of an agent, for as long as the stream by which it was asked for.
//
// What happens to one half of a connection happens to the other: an end to the end, a
// reset to the reset, and a refusal when dialling is a reset too, for the relay had
// said yes before it knew. Where nothing comes back the relay waits as the kernel
// does, and whoever connected waits with it.
package relay

// This file defines both sides.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Request is what a relay is to carry.
type Request struct {
	Routes []Route `json:"routes"`
}

// Route is a port of the relay and where it leads.
type Route struct {
	Port uint16         `json:"port"`
	To   netip.AddrPort `json:"to"`
}

// Count is what a relay has done so far.
type Count struct {
	Accepted int64  `json:"accepted"` // connections taken
	Reached  int64  `json:"reached"`  // of them, led to where they should go
	Open     int64  `json:"open"`     // carried now
	Error    string `json:"error,omitempty"`
}

// Relay is the outside's handle on one.
type Relay struct {
	mu     sync.Mutex
	stream net.Conn
	r      *bufio.Reader
}

// Start takes a stream on which the inside serves a Request, and returns once it
// listens on all ports.
func Start(ctx context.Context, stream net.Conn) (*Relay, error) {
	r := &Relay{stream: stream, r: bufio.NewReader(stream)}
	if _, err := r.answer(ctx); err != nil {
		stream.Close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	return r, nil
}

// Count asks what the relay has done.
func (r *Relay) Count(ctx context.Context) (Count, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.stream.Write([]byte{'?'}); err != nil {
		return Count{}, fmt.Errorf("relay: %w", err)
	}
	c, err := r.answer(ctx)
	if err != nil {
		return Count{}, fmt.Errorf("relay: %w", err)
	}
	return c, nil
}

// Close ends the relay and every connection that it carries.
func (r *Relay) Close() error { return r.stream.Close() }

func (r *Relay) answer(ctx context.Context) (Count, error) {
	stop := context.AfterFunc(ctx, func() { r.stream.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		r.stream.SetReadDeadline(time.Time{})
	}()
	line, err := r.r.ReadBytes('\n')
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Count{}, err
	}
	var c Count
	if err := json.Unmarshal(line, &c); err != nil {
		return Count{}, err
	}
	if c.Error != "" {
		return Count{}, errors.New(c.Error)
	}
	return c, nil
}

// inside is a relay at work.
type inside struct {
	ctx  context.Context
	wait sync.WaitGroup

	mu    sync.Mutex
	count Count
	conns map[net.Conn]bool
	ended bool
}

// Serve carries connections until the stream or ctx ends. Each byte on the stream is
// a question for Count.
func Serve(ctx context.Context, stream net.Conn, body json.RawMessage) error {
	defer stream.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	x := &inside{ctx: ctx, conns: map[net.Conn]bool{}}
	listeners, err := listen(body)
	if err != nil {
		return errors.Join(err, write(stream, Count{Error: err.Error()}))
	}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
		cancel()
		x.end()
	}()
	for _, l := range listeners {
		x.wait.Go(func() { x.accept(l) })
	}
	if err := write(stream, Count{}); err != nil {
		return err
	}
	var question [1]byte
	for {
		if _, err := io.ReadFull(stream, question[:]); err != nil {
			if err == io.EOF || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("relay: %w", err)
		}
		x.mu.Lock()
		c := x.count
		x.mu.Unlock()
		if err := write(stream, c); err != nil {
			return fmt.Errorf("relay: %w", err)
		}
	}
}

func write(w io.Writer, c Count) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// listener is a port with where it leads.
type listener struct {
	*net.TCPListener
	to netip.AddrPort
}

// listen opens the ports of a request, all or none.
func listen(body json.RawMessage) ([]listener, error) {
	var req Request
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("relay: request: %w", err)
	}
	if len(req.Routes) == 0 {
		return nil, errors.New("relay: request: it has no routes")
	}
	var out []listener
	for _, route := range req.Routes {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{Port: int(route.Port)})
		if err != nil {
			for _, x := range out {
				x.Close()
			}
			return nil, fmt.Errorf("relay: port %d: %w", route.Port, err)
		}
		out = append(out, listener{l, route.To})
	}
	return out, nil
}

// accept takes connections until the listener is closed.
func (x *inside) accept(l listener) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: it may pass
			select {
			case <-x.ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		x.wait.Go(func() { x.carry(c, l.to) })
	}
}

// carry carries one connection to its end.
func (x *inside) carry(near *net.TCPConn, to netip.AddrPort) {
	if !x.add(near) {
		return
	}
	defer x.drop(near)
	x.note(func(c *Count) { c.Accepted++; c.Open++ })
	defer x.note(func(c *Count) { c.Open-- })
	var d net.Dialer
	conn, err := d.DialContext(x.ctx, "tcp4", to.String())
	if err != nil {
		reset(near)
		return
	}
	far := conn.(*net.TCPConn)
	if !x.add(far) {
		reset(near)
		return
	}
	defer x.drop(far)
	x.note(func(c *Count) { c.Reached++ })
	Join(near, far)
}

// Join copies both ways until both are over. An end on one side is one on the other,
// and so is a reset.
func Join(a, b *net.TCPConn) {
	var once sync.Once
	abort := func() {
		once.Do(func() {
			reset(a)
			reset(b)
		})
	}
	var both sync.WaitGroup
	for _, x := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		both.Go(func() {
			if _, err := io.Copy(x[0], x[1]); err != nil || x[0].CloseWrite() != nil {
				abort()
			}
		})
	}
	both.Wait()
	a.Close()
	b.Close()
}

// reset closes a connection so that its other end sees a reset.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// add notes a connection, or resets it when everything is over.
func (x *inside) add(c *net.TCPConn) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		reset(c)
		return false
	}
	x.conns[c] = true
	return true
}

func (x *inside) drop(c net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.conns, c)
}

func (x *inside) note(f func(*Count)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(&x.count)
}

// end resets what is carried and waits until nothing is.
func (x *inside) end() {
	x.mu.Lock()
	x.ended = true
	for c := range x.conns {
		reset(c.(*net.TCPConn))
	}
	x.mu.Unlock()
	x.wait.Wait()
}
