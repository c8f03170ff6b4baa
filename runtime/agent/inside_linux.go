package agent

// This file defines what the agent does with the connections that it makes.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// pipes are the connections that the agent holds, by the stream they cross.
type pipes struct {
	mu   sync.Mutex
	open map[uint32]*net.TCPConn
}

func (p *pipes) add(id uint32, c *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[uint32]*net.TCPConn{}
	}
	p.open[id] = c
}

func (p *pipes) remove(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, id)
}

// abort resets a connection; one that is gone already needs none.
func (p *pipes) abort(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.open[id]; c != nil {
		reset(c)
	}
}

// reset closes a connection so that its peer sees a reset.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// dial makes a connection and carries it until both sides have ended it.
func (s *server) dial(ctx context.Context, c *inCall) error {
	var req dialRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	var d net.Dialer
	if req.Local != "" {
		local, err := netip.ParseAddr(req.Local)
		if err != nil {
			return invalid(fmt.Sprintf("dial: local address: %v", err))
		}
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	c.watch()
	made, err := d.DialContext(ctx, "tcp", req.Address)
	if err != nil {
		return err
	}
	conn := made.(*net.TCPConn)
	id := c.stream.StreamID()
	s.pipes.add(id, conn)
	defer s.pipes.remove(id)
	defer conn.Close()
	if err := c.answer(dialAnswer{conn.LocalAddr().String(), conn.RemoteAddr().String()}); err != nil {
		reset(conn)
		return err
	}
	carry(conn, c)
	return nil
}

// carry moves bytes both ways until both have ended.
func carry(conn *net.TCPConn, c *inCall) {
	out := frameWriter{w: c.stream}
	var aborted sync.Once
	abort := func(err error) {
		aborted.Do(func() {
			reset(conn)
			text := err.Error()
			out.write(frameAbort, []byte(text[:min(len(text), 512)]))
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, frameMax)
		for {
			n, err := conn.Read(b)
			if n > 0 {
				if _, err := out.write(frameData, b[:n]); err != nil {
					reset(conn) // the session is over
					return
				}
			}
			switch {
			case err == io.EOF:
				out.write(frameEnd, nil)
				return
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				abort(err)
				return
			}
		}
	})
	wg.Go(func() {
		in := frameReader{r: c.r}
		b := make([]byte, frameMax)
		// Whatever ends this direction, the host must not wait for its window.
		defer io.Copy(io.Discard, c.r)
		<-c.watched
		for {
			kind, n, err := in.next()
			switch {
			case err != nil:
				// The host is gone without a word: so is the program behind it.
				reset(conn)
				return
			case kind == frameData:
				if err := forward(conn, c.r, n, b); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						abort(err)
					}
					return
				}
			case kind == frameEnd:
				if err := conn.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
					abort(err)
					return
				}
			case kind == frameClose:
				conn.Close()
				return
			default:
				abort(fmt.Errorf("got frame %d", kind))
				return
			}
		}
	})
	wg.Wait()
}

// forward moves n bytes by way of b.
func forward(w io.Writer, r io.Reader, n int, b []byte) error {
	for n > 0 {
		got, err := r.Read(b[:min(n, len(b))])
		if got > 0 {
			if _, err := w.Write(b[:got]); err != nil {
				return err
			}
			n -= got
		}
		if err != nil {
			return err
		}
	}
	return nil
}
