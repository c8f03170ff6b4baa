package wire

// This file defines one connection of a client: what is read, when it is served, how
// it is answered and how it ends.

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

const (
	// readAhead is how many requests are read before the first of them is served;
	// Kafka leaves them in the socket's buffer.
	readAhead = 16
	// undelivered is how many answers may be on their way at once.
	undelivered = 64
	// bytesAhead is how many bytes of requests may wait before no more are read.
	bytesAhead = 16 << 20
	// keptBuffer is the largest buffer for answers that a connection holds on to.
	keptBuffer = 1 << 20
)

// conn is one connection. As in Kafka its requests are served one at a time: the
// next is taken up when the answer to the last one has been handed to the network.
type conn struct {
	s      *Server
	sock   net.Conn
	broker int32
	from   core.ClientConn // ClientID is set before each request, by serve alone
	at     time.Duration   // when it was accepted

	// login: the client has not logged in where it has to; pending are the tokens of
	// its login that are still to come.
	login   atomic.Bool
	pending int

	in, out lane
	ahead   atomic.Int64       // bytes of requests that were read and not taken up
	taken   chan struct{}      // holds one token when ahead has become less
	inbound chan arrived       // read requests; closed at the end of the client's bytes
	replies chan kmsg.Response // the answer to the request at hand
	gone    chan struct{}      // closed when the client has sent its last byte

	outbound  chan delayed // answers on their way; made when the first has to wait
	delivered chan struct{}
	onTheWay  atomic.Int32
	buffer    []byte // for answers that leave at once

	// orphan: the process at the other end is gone and the client cannot know.
	orphan atomic.Bool
	once   sync.Once
	closed chan struct{}
}

type arrived struct {
	req    request
	parcel parcel
}

type delayed struct {
	frame  []byte
	parcel parcel
}

func (s *Server) accept(ln net.Listener, place string, broker int32) {
	for {
		sock, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, or a client that was gone at once: the next
			// attempt may succeed, and the client sees a dial that hangs meanwhile.
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-s.done:
				return
			}
		}
		s.admit(sock, place, broker)
	}
}

// admit starts to serve a connection, unless its broker has gone down meanwhile.
func (s *Server) admit(sock net.Conn, place string, broker int32) {
	c := &conn{
		s: s, sock: sock, broker: broker, at: s.clock.now(),
		taken:   make(chan struct{}, 1),
		inbound: make(chan arrived, readAhead),
		replies: make(chan kmsg.Response, 1),
		gone:    make(chan struct{}),
		closed:  make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.brokers[broker]
	if !b.listening {
		reset(sock)
		return
	}
	s.lastID++
	c.login.Store(s.opts.Login != nil && s.opts.Login(place))
	c.from = core.ClientConn{ID: s.lastID, ClientHost: "/" + loopback, Listener: place}
	there, back := s.link(linkKey{place, broker, false}), s.link(linkKey{place, broker, true})
	c.in, c.out = lane{link: there, closed: c.closed}, lane{link: back, closed: c.closed}
	b.conns[c.from.ID] = c
	s.wg.Add(2)
	go c.read()
	go c.serve()
}

// read takes requests off the socket as they arrive there.
func (c *conn) read() {
	defer c.s.wg.Done()
	defer close(c.inbound)
	in := frames{r: bufio.NewReaderSize(c.sock, 32<<10), limit: c.limit}
	tokens := 0 // SASL tokens without header that come next
	for {
		for c.ahead.Load() > bytesAhead {
			select {
			case <-c.taken:
			case <-c.closed:
				return
			}
		}
		frame, err := in.next()
		var req request
		switch {
		case err != nil:
		case tokens > 0:
			tokens--
			req = bareToken(frame)
		default:
			if req, err = c.s.decoder.decode(frame); err == nil {
				tokens = bareTokens(req.body)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			close(c.gone)
			return
		default:
			// Garbage, or a reset: Kafka closes and says nothing.
			c.drop()
			return
		}
		inward(req.body, c.s.opts.Speed)
		c.ahead.Add(int64(req.size))
		select {
		case c.inbound <- arrived{req, c.in.link.send(req.size)}:
		case <-c.closed:
			return
		}
	}
}

// serve has the requests served in order. It owns the connection's end.
func (c *conn) serve() {
	defer c.s.wg.Done()
	defer c.leave()
	if !c.in.open(c.at, c.out.link) {
		return
	}
	for {
		var a arrived
		var ok bool
		select {
		case a, ok = <-c.inbound:
		case <-c.closed:
			return
		}
		if !ok {
			return
		}
		c.ahead.Add(-int64(a.req.size))
		select {
		case c.taken <- struct{}{}:
		default:
		}
		if !c.in.arrive(a.parcel) {
			return
		}
		if c.orphan.Load() {
			c.finish(true)
			return
		}
		c.from.ClientID = a.req.clientID
		c.s.post(item{conn: c, req: a.req.body})
		resp, ok := c.reply()
		if !ok {
			return
		}
		c.loggedIn(a.req.body, resp)
		if resp != nil && (refused(a.req, resp) || !c.write(a.req, resp) || last(resp)) {
			return
		}
	}
}

// limit is the largest frame that is taken now.
func (c *conn) limit() int {
	if c.login.Load() {
		return min(c.s.opts.MaxLogin, c.s.opts.MaxRequest)
	}
	return c.s.opts.MaxRequest
}

// loggedIn follows a login, whose end lets larger frames in.
func (c *conn) loggedIn(req kmsg.Request, resp kmsg.Response) {
	if !c.login.Load() {
		return
	}
	switch resp := resp.(type) {
	case *kmsg.SASLHandshakeResponse:
		if h, ok := req.(*kmsg.SASLHandshakeRequest); ok && resp.ErrorCode == 0 {
			c.pending = tokensOf(h.Mechanism)
		}
	case *kmsg.SASLAuthenticateResponse:
		if resp.ErrorCode == 0 {
			c.pending--
			c.login.Store(c.pending > 0)
		}
	}
}

// reply waits for the answer to the request at hand. A client that has left and sent
// nothing more does not wait for it.
func (c *conn) reply() (kmsg.Response, bool) {
	select {
	case resp := <-c.replies:
		return resp, true
	case <-c.closed:
		return nil, false
	case <-c.gone:
	}
	if len(c.inbound) == 0 {
		// The request has been carried out; only its answer finds nobody.
		select {
		case resp := <-c.replies:
			return resp, true
		default:
			return nil, false
		}
	}
	select {
	case resp := <-c.replies:
		return resp, true
	case <-c.closed:
		return nil, false
	}
}

// answer is called by the loop, once for each request.
func (c *conn) answer(resp kmsg.Response) {
	select {
	case c.replies <- resp:
	default: // nobody waits any more
	}
}

// write sends an answer on its way.
func (c *conn) write(req request, resp kmsg.Response) bool {
	outward(resp, c.s.opts.Speed)
	if c.onTheWay.Load() == 0 && c.out.free() {
		c.buffer = encode(c.buffer[:0], req, resp)
		_, err := c.sock.Write(c.buffer)
		if cap(c.buffer) > keptBuffer {
			c.buffer = nil
		}
		return err == nil
	}
	frame := encode(nil, req, resp)
	if c.outbound == nil {
		c.outbound, c.delivered = make(chan delayed, undelivered), make(chan struct{})
		c.s.wg.Add(1)
		go c.deliver()
	}
	c.onTheWay.Add(1)
	select {
	case c.outbound <- delayed{frame, c.out.link.send(len(frame))}:
		return true
	case <-c.closed:
		return false
	}
}

// deliver writes answers when they have come through.
func (c *conn) deliver() {
	defer c.s.wg.Done()
	defer close(c.delivered)
	for {
		select {
		case d, ok := <-c.outbound:
			if !ok || !c.out.arrive(d.parcel) {
				return
			}
			if _, err := c.sock.Write(d.frame); err != nil {
				c.drop()
				return
			}
			c.onTheWay.Add(-1)
		case <-c.closed:
			return
		}
	}
}

// leave takes the connection out of the books and tells the World. Answers that are
// still on their way are delivered first.
func (c *conn) leave() {
	if c.outbound != nil {
		close(c.outbound)
		<-c.delivered
	}
	c.drop()
	c.s.mu.Lock()
	delete(c.s.brokers[c.broker].conns, c.from.ID)
	c.s.mu.Unlock()
	if d, ok := c.s.world.(Disconnecter); ok {
		c.s.post(item{fn: func() { d.Disconnected(c.broker, c.from.ID) }})
	}
}

// drop closes the socket in order.
func (c *conn) drop() {
	c.once.Do(func() {
		close(c.closed)
		c.sock.Close()
	})
}

// end closes the connection because its broker's process has ended, or by its wish:
// with a reset or in order. Neither passes a path that is cut: then the client hears
// nothing, and what it sends later meets a host that does not know the connection.
func (c *conn) end(abrupt bool) {
	if !c.out.link.cut() {
		c.finish(abrupt)
		return
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.closed {
		return
	}
	c.orphan.Store(true)
	c.s.wg.Add(1)
	go func() {
		defer c.s.wg.Done()
		whole := func() bool { return !c.in.link.cut() && !c.out.link.cut() }
		waiting := lane{link: c.out.link, closed: c.closed}
		if _, ok := waiting.retransmit(c.s.clock.now(), firstRTO, true, whole); ok {
			c.finish(true)
		}
	}()
}

func (c *conn) finish(abrupt bool) {
	c.once.Do(func() {
		close(c.closed)
		if abrupt {
			reset(c.sock)
			return
		}
		c.sock.Close()
	})
}

// reset closes with a TCP reset.
func reset(sock net.Conn) {
	if tcp, ok := sock.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only on a socket that is closed already
	}
	sock.Close()
}
