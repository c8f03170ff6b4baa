package agent

// This file defines a TCP connection that is made inside and used outside. It
// crosses the session in frames, because the end of a stream alone cannot tell
// a peer that has finished from one that was reset:
//
//	frame   from host                          from agent
//	data    bytes for the peer                 bytes of the peer
//	end     no more bytes: FIN to the peer     the peer's FIN
//	abort   (the call abort, see Conn.Abort)   reset, or another error: the text
//	close   nobody reads any more              -
//
// A frame is a byte of kind, three bytes of length, big endian, and its bytes.
// A stream that ends without end, abort or close was aborted.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

type frame byte

const (
	frameData frame = iota
	frameEnd
	frameAbort
	frameClose
)

// frameMax bounds the bytes of one frame, so that connections take turns.
const frameMax = 32 << 10

// frameWriter writes frames, each in one write.
type frameWriter struct {
	mu     sync.Mutex
	w      io.Writer
	buf    []byte
	broken error // a frame was written in part: nothing can follow
}

func (f *frameWriter) write(kind frame, b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	n := 0
	for {
		part := b[n:min(len(b), n+frameMax)]
		f.buf = binary.BigEndian.AppendUint32(f.buf[:0], uint32(kind)<<24|uint32(len(part)))
		f.buf = append(f.buf, part...)
		wrote, err := f.w.Write(f.buf)
		if err != nil {
			if wrote > 0 || !errors.Is(err, yamux.ErrTimeout) {
				f.broken = err
			}
			return n, err
		}
		if n += len(part); n == len(b) {
			return n, nil
		}
	}
}

// frameReader reads frames. A read that fails for a deadline can be repeated.
type frameReader struct {
	r    *bufio.Reader
	left int // bytes of data that the frame at hand still has
}

// next reads the head of the next frame.
func (f *frameReader) next() (frame, int, error) {
	head, err := f.r.Peek(4)
	if err != nil {
		return 0, 0, err
	}
	v := binary.BigEndian.Uint32(head)
	f.r.Discard(4)
	return frame(v >> 24), int(v & 0xffffff), nil
}

// Conn is the host's end of a connection made by Dial.
type Conn struct {
	agent         *Agent
	stream        *yamux.Stream
	id            uint32
	local, remote net.Addr
	w             frameWriter

	rmu sync.Mutex
	r   frameReader
	eof error // what Read gives from now on

	mu     sync.Mutex
	ended  bool // end or close was sent
	closed bool
}

var _ net.Conn = (*Conn)(nil)

func newConn(a *Agent, c *call, ans dialAnswer) *Conn {
	conn := &Conn{agent: a, stream: c.stream, id: c.stream.StreamID(), local: tcpAddr(ans.Local), remote: tcpAddr(ans.Remote)}
	conn.w.w = c.stream
	conn.r.r = c.r
	return conn
}

// tcpAddr is an address inside; it was formatted there.
func tcpAddr(s string) net.Addr {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(ap)
}

// Read reads what the peer has sent. It gives io.EOF once the peer has
// finished in order, and ErrReset when it ended in any other way.
func (c *Conn) Read(b []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.isClosed() {
		return 0, c.failed("read", net.ErrClosed)
	}
	if len(b) == 0 {
		return 0, nil
	}
	for c.eof == nil && c.r.left == 0 {
		kind, n, err := c.r.next()
		switch {
		case errors.Is(err, yamux.ErrTimeout):
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		case err != nil && c.isClosed():
			c.eof = net.ErrClosed
		case err != nil:
			c.eof = fmt.Errorf("%w: the agent is gone", ErrReset)
		case kind == frameData:
			c.r.left = n
		case kind == frameEnd:
			c.eof = io.EOF
		case kind == frameAbort:
			text := make([]byte, min(n, frameMax))
			io.ReadFull(c.r.r, text)
			c.eof = fmt.Errorf("%w: %s", ErrReset, text)
		default:
			c.eof = fmt.Errorf("%w: got frame %d", ErrReset, kind)
		}
	}
	if c.eof != nil {
		if c.eof == io.EOF {
			return 0, io.EOF
		}
		return 0, c.failed("read", c.eof)
	}
	n, err := c.r.r.Read(b[:min(len(b), c.r.left)])
	c.r.left -= n
	if err != nil {
		switch {
		case errors.Is(err, yamux.ErrTimeout):
			err = os.ErrDeadlineExceeded
		case c.isClosed():
			c.eof = net.ErrClosed
			err = c.eof
		default:
			c.eof = fmt.Errorf("%w: the agent is gone", ErrReset)
			err = c.eof
		}
		return n, c.failed("read", err)
	}
	return n, nil
}

// Write sends to the peer. Like a socket it may take bytes that a peer which is
// already gone never gets; then Read gives ErrReset.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	ended, closed := c.ended, c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return 0, c.failed("write", net.ErrClosed)
	case ended:
		return 0, c.failed("write", io.ErrClosedPipe)
	case len(b) == 0:
		return 0, nil
	}
	n, err := c.w.write(frameData, b)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, yamux.ErrTimeout):
		err = os.ErrDeadlineExceeded
	case c.isClosed():
		err = net.ErrClosed
	default:
		err = fmt.Errorf("%w: %w", ErrReset, err)
	}
	return n, c.failed("write", err)
}

// CloseWrite tells the peer that nothing more comes; reading goes on.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.failed("close", net.ErrClosed)
	}
	ended := c.ended
	c.ended = true
	c.mu.Unlock()
	if ended {
		return nil
	}
	if _, err := c.w.write(frameEnd, nil); err != nil {
		return c.failed("close", err)
	}
	return nil
}

// Close ends the connection in order: what was written still reaches the peer,
// then its FIN. It does not wait for that. While a Write waits for the peer,
// and after one that sent a part only, there is no order to keep: then Close is
// Abort.
func (c *Conn) Close() error {
	if !c.w.mu.TryLock() {
		c.Abort()
		return nil
	}
	broken := c.w.broken != nil
	c.w.mu.Unlock()
	if broken {
		c.Abort()
		return nil
	}
	if c.shut() {
		go func() {
			c.w.write(frameClose, nil)
			c.release()
		}()
	}
	return nil
}

// Abort resets the connection: the peer sees a reset at once, also when it has
// not read for so long that nothing more can be written.
func (c *Conn) Abort() {
	if c.shut() {
		c.stream.SetWriteDeadline(time.Unix(1, 0))
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c.agent.call(ctx, "abort", abortRequest{c.id}, nil)
			c.release()
		}()
	}
}

// shut marks the connection as closed and wakes its readers; false when it was.
func (c *Conn) shut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed, c.ended = true, true
	c.stream.SetReadDeadline(time.Unix(1, 0))
	return true
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// release gives the stream back once the agent has ended its side too.
func (c *Conn) release() {
	c.stream.Close()
	c.rmu.Lock()
	c.eof = net.ErrClosed
	c.rmu.Unlock() // no reader gets to the stream any more
	c.stream.SetReadDeadline(time.Time{})
	io.Copy(io.Discard, c.stream)
}

// failed is an error as net's own connections give it.
func (c *Conn) failed(op string, err error) error {
	if err == os.ErrDeadlineExceeded && c.isClosed() {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// LocalAddr is the address inside that the connection was made from.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is when a Read gives os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return c.stream.SetReadDeadline(t)
}

// SetWriteDeadline is when a Write gives os.ErrDeadlineExceeded. A Write that
// had sent a part by then leaves the connection unfit for more.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return c.stream.SetWriteDeadline(t)
}

// Join carries a connection of the host over one made inside until both
// directions have ended, and closes both. FINs cross one by one; a reset or
// any other abrupt end of the one becomes a reset of the other.
func Join(outside *net.TCPConn, inside *Conn) {
	var once sync.Once
	abort := func() {
		once.Do(func() {
			outside.SetLinger(0)
			outside.Close()
			inside.Abort()
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := io.Copy(inside, outside); err != nil || inside.CloseWrite() != nil {
			abort()
		}
	})
	wg.Go(func() {
		if _, err := io.Copy(outside, inside); err != nil || outside.CloseWrite() != nil {
			abort()
		}
	})
	wg.Wait()
	outside.Close()
	inside.Close()
}
