// This file defines the dialer that keeps the connections of a client, so that
// they can be reset all at once when the client crashes.

package kafka

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// errCut is what a dialer says once it is closed.
var errCut = errors.New("the client has ended")

// dialer opens connections and remembers them until they are closed. It is a
// proxy.Dialer for sarama.
type dialer struct {
	timeout time.Duration
	local   net.Addr // nil: any
	reaches func(addr string) bool
	second  time.Duration // of scenario time
	ctx     context.Context
	cancel  context.CancelFunc

	// produced counts the produce requests that were about to be written.
	produced atomic.Int64

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// dialer makes a dialer for one client.
func (s settings) dialer() *dialer {
	ctx, cancel := context.WithCancel(context.Background())
	d := &dialer{timeout: s.wall(s.connectTimeout), ctx: ctx, cancel: cancel, conns: map[*conn]struct{}{}}
	d.reaches, d.second = s.reaches, s.wall(time.Second)
	if s.local.IsValid() {
		d.local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.local, 0))
	}
	return d
}

// Dial connects within the timeout, unless the dialer is closed meanwhile.
func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	limit := time.Now().Add(d.timeout)
	if err := d.knock(network, addr, limit); err != nil {
		return nil, err
	}
	nd := net.Dialer{Deadline: limit, LocalAddr: d.local}
	c, err := nd.DialContext(d.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		c.Close()
		return nil, errCut
	}
	t := &conn{Conn: c, d: d}
	d.conns[t] = struct{}{}
	return t, nil
}

// knock waits until a packet comes through, looking when TCP would send one: at once
// and after 1, 3, 7 … seconds of scenario time (RFC 6298, 2 and 5.5).
func (d *dialer) knock(network, addr string, limit time.Time) error {
	if d.reaches == nil {
		return nil
	}
	for wait := d.second; !d.reaches(addr); wait *= 2 {
		left := time.Until(limit)
		select {
		case <-time.After(min(wait, left)):
		case <-d.ctx.Done():
			return errCut
		}
		if left <= wait {
			return &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
		}
	}
	return nil
}

// close ends all connections and refuses new ones. With reset, peers see a
// reset as when the process is killed, and nothing that is still buffered goes
// out.
func (d *dialer) close(reset bool) {
	d.cancel()
	d.mu.Lock()
	conns := d.conns
	d.conns = map[*conn]struct{}{}
	d.mu.Unlock()
	for c := range conns {
		if t, ok := c.Conn.(*net.TCPConn); ok && reset {
			t.SetLinger(0)
		}
		c.Conn.Close()
	}
}

type conn struct {
	net.Conn
	d *dialer
}

// Write counts produce requests: sarama writes each request at once, and Kafka's
// requests begin with four bytes of length and two of the API key, 0 for Produce.
func (c *conn) Write(b []byte) (int, error) {
	if len(b) >= 6 && b[4] == 0 && b[5] == 0 {
		c.d.produced.Add(1)
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.d.mu.Lock()
	delete(c.d.conns, c)
	c.d.mu.Unlock()
	return c.Conn.Close()
}
