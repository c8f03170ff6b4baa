package wire

// This file defines what the network does to the bytes of clients: each path
// between a listener's place and a broker has a condition for each direction, and
// each connection a lane in each direction that keeps its bytes in order.
//
// It is modelled on TCP over a bad path, request by request, in scenario time: loss
// and cuts never lose bytes, they make them come late. What is sent while the path is
// cut waits for TCP's retransmissions, and comes through at the first of them that finds
// the path whole: 0.2, 0.4, 0.8, 1.6 … s after the first byte that was lost, as between
// nodes in the core.

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"starfall/runtime/embedded/core"
)

const (
	firstRTO = 204 * time.Millisecond // Linux' TCP_RTO_MIN and a tick of its clock
	maxRTO   = 120 * time.Second      // TCP_RTO_MAX
	synRTO   = time.Second            // first retransmission of a SYN
	segment  = 1448                   // payload of a TCP segment on Ethernet
)

// link is one direction of the path between a place and a broker. Its connections
// share the bandwidth.
type link struct {
	clock clock
	whole atomic.Bool // path is the zero Path: the way without a lock
	mu    sync.Mutex
	path  core.Path
	busy  time.Duration // when the last byte sent has left the narrow place
	rng   *rand.Rand
}

func newLink(c clock, seed uint64) *link {
	l := &link{clock: c, rng: rand.New(rand.NewPCG(seed, 0x6c616e65))}
	l.whole.Store(true)
	return l
}

func (l *link) set(p core.Path) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path = p
	l.whole.Store(p == core.Path{})
}

func (l *link) cut() bool {
	if l.whole.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.path.Cut
}

// latency is the one-way time of a packet without jitter.
func (l *link) latency() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.path.Latency
}

// parcel is a request or an answer on its way.
type parcel struct {
	size int
	sent time.Duration
	lost bool          // the path was cut when it was sent
	at   time.Duration // when it arrives, unless lost or held up by others
}

// send gives a parcel to the path.
func (l *link) send(size int) parcel {
	p := parcel{size: size, sent: l.clock.now()}
	l.transmit(&p)
	return p
}

func (l *link) transmit(p *parcel) {
	p.at = p.sent
	if l.whole.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.lost = l.path.Cut; p.lost {
		return
	}
	if l.path.Bandwidth > 0 {
		l.busy = max(l.busy, p.at) + time.Duration(float64(p.size)/l.path.Bandwidth*float64(time.Second))
		p.at = l.busy
	}
	p.at += l.path.Latency
	if l.path.Jitter > 0 {
		p.at += time.Duration(l.rng.Int64N(int64(l.path.Jitter) + 1))
	}
	if l.path.Loss > 0 {
		p.at += l.retransmissions(p.size)
	}
}

// retransmissions is the delay that loss makes. A lone last segment has nothing
// behind it that would make the receiver complain, so it waits for the timer; a
// segment with others behind it is sent again after a round trip.
func (l *link) retransmissions(size int) time.Duration {
	var delay time.Duration
	roundTrip := 2 * l.path.Latency
	for left := size; left > segment; left -= segment {
		if l.rng.Float64() < l.path.Loss {
			delay = max(delay, roundTrip) // segments of one flight are repaired together
		}
	}
	rto := firstRTO
	for l.rng.Float64() < l.path.Loss && rto < maxRTO {
		delay += rto
		rto *= 2
	}
	return delay
}

// lane is one direction of one connection.
type lane struct {
	link   *link
	closed <-chan struct{}
	last   time.Duration // nothing arrives before what was sent earlier
	opened time.Duration // nothing is sent before the connection is open
	passed time.Duration // the retransmission that last came through
}

// free says that bytes need no delay at all.
func (l *lane) free() bool { return l.link.whole.Load() }

// arrive waits until the parcel has come through. It reports false when the
// connection was closed first.
func (l *lane) arrive(p parcel) bool {
	if p.sent < l.opened {
		p.sent = l.opened
		l.link.transmit(&p)
	}
	if p.lost {
		if p.sent > l.passed {
			at, ok := l.retransmit(p.sent, firstRTO, true, func() bool { return !l.link.cut() })
			if !ok {
				return false
			}
			l.passed = at
		}
		p.sent, p.lost = max(p.sent, l.passed), false
		l.link.transmit(&p)
		p.at = max(p.at, p.sent)
	}
	l.last = max(l.last, p.at)
	return l.wait(l.last)
}

// retransmit waits for the first retransmission that passes and gives its time. The
// timeout doubles each time; a first one that is a tail loss probe (RFC 8985) does not
// count.
func (l *lane) retransmit(sent, rto time.Duration, probe bool, passes func() bool) (time.Duration, bool) {
	for at := sent + rto; ; at += rto {
		if !l.wait(at) {
			return 0, false
		}
		if passes() {
			return at, true
		}
		if !probe {
			rto = min(2*rto, maxRTO)
		}
		probe = false
	}
}

// open waits for the handshake of a connection that was accepted at a time: the
// kernel has shaken hands over loopback already, but over this path its packets
// would have had to pass both ways.
func (l *lane) open(accepted time.Duration, back *link) bool {
	if l.free() && back.whole.Load() {
		l.opened = accepted
		return true
	}
	at := accepted
	if l.link.cut() || back.cut() {
		var ok bool
		at, ok = l.retransmit(accepted, synRTO, false, func() bool { return !l.link.cut() && !back.cut() })
		if !ok {
			return false
		}
	}
	l.opened = at + l.link.latency() + back.latency()
	return l.wait(l.opened)
}

func (l *lane) wait(until time.Duration) bool {
	d := l.link.clock.wall(until - l.link.clock.now())
	if d <= 0 {
		select {
		case <-l.closed:
			return false
		default:
			return true
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closed:
		return false
	}
}
