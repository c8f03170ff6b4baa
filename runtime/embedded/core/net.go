package core

// This file defines the network between nodes: TCP connections that carry requests
// and responses, with latency, loss, bandwidth, cuts, resets and retransmission.

import (
	"errors"
	"slices"
	"time"
)

// A channel is a purpose for which Kafka keeps a connection of its own from one node
// to another.
type channel uint8

const (
	chanFetch     channel = iota // replica fetcher
	chanHeartbeat                // broker lifecycle: registration, heartbeats
	chanAlter                    // AlterPartition
	chanForward                  // forwarded admin requests, producer ids
	chanRaft                     // KRaft: votes and metadata fetches
	chanTxn                      // transaction markers, and questions to a transaction's coordinator
)

// Times of TCP as Linux has them, and of Kafka's network client.
const (
	// baseLatency is the one-way time of a healthy path in one machine or rack.
	baseLatency = 100 * time.Microsecond
	// firstRTO is the retransmission timeout of an idle or fast connection, as ss shows it
	// on Linux: 200 ms and a tick of the kernel's clock. The first retransmission is a
	// tail loss probe (RFC 8985) that does not count; from then on the timeout doubles, up
	// to maxRTO: packets held since the start of a cut go out at 0.2, 0.4, 0.8, 1.6 … s.
	// After a cut of 20 s that is 26.1 s, and Kafka's own timeouts (30 s) do not end the
	// connection before: replication resumes six seconds late.
	firstRTO = 204 * time.Millisecond
	maxRTO   = 120 * time.Second
	// synRTO is the first retransmission of a connection attempt.
	synRTO = time.Second
	// connectTimeout is socket.connection.setup.timeout.ms.
	connectTimeout = 10 * time.Second
)

// How a call ends without an answer.
var (
	errDisconnected = errors.New("the connection was closed")
	errTimedOut     = errors.New("the request timed out")
)

type connKey struct {
	from, to int32
	ch       channel
}

// conn is one TCP connection, opened by from.
//
//	state       becomes      when
//	connecting  open         a SYN and its answer pass
//	connecting  closed       the port refuses, connectTimeout, a call times out, either process ends
//	open        closed       a reset or FIN arrives, a call times out, either process ends
type conn struct {
	w        *World
	key      connKey
	from, to *node
	fromInc  uint32
	toInc    uint32
	open     bool
	closed   bool
	out      stream // from → to
	back     stream // to → from
	waiting  []*call
	pending  []*call // sent or waiting, in order
	watchAt  time.Duration
}

// call is one request on its way, and its answer.
type call struct {
	conn     *conn
	req      any
	size     int
	done     func(resp any, err error)
	deadline time.Duration // 0 for none
	settled  bool
}

// stream is one direction of a connection. Packets keep their order. While the path
// is cut they are held, and leave at the next retransmission instant.
type stream struct {
	w        *World
	from, to *node
	lastAt   time.Duration
	held     []packet
	rto      time.Duration
	probed   bool // the tail loss probe has been sent
	dead     bool
}

type packet struct {
	size    int
	deliver func()
}

// path is the state of the network from one node to another, with hosts that are off.
func (w *World) path(from, to *node) Path {
	if from.state == PoweredOff || to.state == PoweredOff {
		return Path{Cut: true}
	}
	if from == to {
		return Path{}
	}
	p := w.paths(from.id, to.id)
	p.Cut = p.Cut || p.Loss >= 1
	return p
}

func (s *stream) send(p packet) {
	if s.dead {
		return
	}
	path := s.w.path(s.from, s.to)
	if len(s.held) > 0 {
		s.held = append(s.held, p)
		return
	}
	if path.Cut {
		s.held = append(s.held, p)
		s.rto, s.probed = firstRTO, false
		s.retryLater()
		return
	}
	s.transmit(p, path)
}

func (s *stream) retryLater() {
	s.w.at(s.w.now+s.rto, func() {
		if s.dead {
			return
		}
		path := s.w.path(s.from, s.to)
		if path.Cut {
			if s.probed {
				s.rto = min(2*s.rto, maxRTO)
			}
			s.probed = true
			s.retryLater()
			return
		}
		held := s.held
		s.held = nil
		for _, p := range held {
			s.transmit(p, path)
		}
	})
}

func (s *stream) transmit(p packet, path Path) {
	t := s.w.now
	if path.Bandwidth > 0 {
		// All connections of a path share its bandwidth.
		link := [2]int32{s.from.id, s.to.id}
		t = max(t, s.w.busy[link]) + time.Duration(float64(p.size)/path.Bandwidth*float64(time.Second))
		s.w.busy[link] = t
	}
	t += baseLatency + path.Latency + s.w.random(path.Jitter)
	if path.Loss > 0 {
		// A lost packet costs a retransmission timeout, which doubles with each loss.
		for rto := firstRTO; s.w.rng.Float64() < path.Loss; rto = min(2*rto, maxRTO) {
			t += rto
		}
	}
	s.lastAt = max(s.lastAt, t)
	s.w.at(s.lastAt, func() {
		if !s.dead {
			p.deliver()
		}
	})
}

// call sends a request to another node and tells done how it ended, once, unless this
// process ends first. A request that times out closes its connection, as Kafka's
// network client does. timeout 0 means none.
func (n *node) call(to int32, ch channel, req any, size int, timeout time.Duration, done func(resp any, err error)) {
	c := n.w.connect(n, n.w.byID[to], ch)
	k := &call{conn: c, req: req, size: size, done: done}
	c.pending = append(c.pending, k)
	if c.open {
		c.sendRequest(k)
	} else {
		c.waiting = append(c.waiting, k)
	}
	if timeout > 0 {
		k.deadline = n.w.now + timeout
		c.watch(k.deadline)
	}
}

// watch makes sure that the connection looks at its calls when the first of them times
// out. One timer serves all, because a busy connection has thousands of calls in that time.
func (c *conn) watch(deadline time.Duration) {
	if c.watchAt != 0 && c.watchAt <= deadline {
		return
	}
	c.watchAt = deadline
	c.from.after(deadline-c.w.now, func() {
		if c.closed || c.watchAt != deadline {
			return
		}
		c.watchAt = 0
		first := time.Duration(0)
		for _, k := range slices.Clone(c.pending) {
			switch {
			case k.deadline == 0:
			case k.deadline <= c.w.now:
				k.settle(nil, errTimedOut)
				c.close()
				return
			case first == 0 || k.deadline < first:
				first = k.deadline
			}
		}
		if first > 0 {
			c.watch(first)
		}
	})
}

func (k *call) settle(resp any, err error) {
	if k.settled {
		return
	}
	k.settled = true
	c := k.conn
	if i := slices.Index(c.pending, k); i >= 0 {
		c.pending = slices.Delete(c.pending, i, i+1)
	}
	if c.from.incarnation == c.fromInc {
		c.from.run(func() { k.done(resp, err) })
	}
}

func (w *World) connect(from, to *node, ch channel) *conn {
	key := connKey{from.id, to.id, ch}
	if c, ok := w.conns[key]; ok && !c.closed && c.fromInc == from.incarnation {
		return c
	}
	c := &conn{w: w, key: key, from: from, to: to, fromInc: from.incarnation}
	c.out = stream{w: w, from: from, to: to}
	c.back = stream{w: w, from: to, to: from}
	w.conns[key] = c
	w.connOrder = slices.DeleteFunc(w.connOrder, func(c *conn) bool { return c.closed })
	w.connOrder = append(w.connOrder, c)
	w.at(w.now+connectTimeout, func() {
		if !c.open {
			c.close()
		}
	})
	c.attempt(synRTO)
	return c
}

// attempt sends a SYN; it is repeated after rto while the path is cut either way.
func (c *conn) attempt(rto time.Duration) {
	if c.closed {
		return
	}
	there, back := c.w.path(c.from, c.to), c.w.path(c.to, c.from)
	if there.Cut || back.Cut {
		c.w.at(c.w.now+rto, func() { c.attempt(2 * rto) })
		return
	}
	rtt := 2*baseLatency + there.Latency + back.Latency
	if c.from == c.to {
		rtt = 0
	}
	c.w.at(c.w.now+rtt, func() {
		if c.closed {
			return
		}
		if !c.to.accepts(c.key.ch) {
			c.close()
			return
		}
		c.open = true
		c.toInc = c.to.incarnation
		for _, k := range c.waiting {
			c.sendRequest(k)
		}
		c.waiting = nil
	})
}

func (c *conn) sendRequest(k *call) {
	c.out.send(packet{k.size, func() {
		if c.to.incarnation != c.toInc || !c.to.listens() {
			// The kernel of the other host does not know this connection: a reset.
			c.w.at(c.w.now+baseLatency, c.close)
			return
		}
		c.to.run(func() { c.to.handleCall(c.from.id, k.req, k.respond) })
	}})
}

// respond sends the answer back, if the connection still stands.
func (k *call) respond(resp any, size int) {
	c := k.conn
	if c.closed {
		return
	}
	c.back.send(packet{size, func() {
		if !c.closed {
			k.settle(resp, nil)
		}
	}})
}

// close ends the connection: pending calls fail at the caller.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	c.out.dead, c.back.dead = true, true
	pending := c.pending
	c.pending, c.waiting = nil, nil
	for _, k := range pending {
		k.settle(nil, errDisconnected)
	}
}

// resetConns closes every connection of a node whose process has ended. A peer learns
// it from a reset or FIN, unless that cannot reach it: then by its own timeouts.
func (w *World) resetConns(n *node) {
	for _, c := range slices.Clone(w.connOrder) {
		switch {
		case c.closed:
		case c.from == n:
			c.close()
		case c.to == n:
			if w.path(n, c.from).Cut && n.state != Starting {
				continue
			}
			w.at(w.now+baseLatency, c.close)
		}
	}
}
