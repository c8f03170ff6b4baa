// This file defines a lane: the way of one partition's records from the
// member's buffer through a sarama producer of their own to their fate.

package kafka

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

const (
	// probe is how many records a lane in trouble risks with sarama.
	probe = 64
	// widest is the most records a lane hands to sarama at a time.
	widest = 8192
)

// entry is a record that waits for its way out. since is the start of its delivery
// timeout; doubt says that it may have been written to a broker before, so that it
// may be in the log; aborted that a transaction with it did not commit.
type entry struct {
	seq     uint64
	since   time.Duration
	part    int32
	doubt   bool
	aborted bool
}

// outlet is the way of records to a broker: a lane for one partition, or a transactor
// for all of them.
type outlet interface {
	standing() <-chan struct{} // closed when its first client stands
	put(entries []entry)       // of the last incarnation or route, before begin
	begin()
	take(entries []entry)
	flush() // nothing more comes: do not wait for it
	expire(now time.Duration)
	refuse(now time.Duration, no error) // what waits fails, because the client is refused
	retire()                            // hands over nothing more; what is in flight may still end
	close(reset bool)
	drop() []entry // what had no fate, oldest first, once it is closed
}

var _ outlet = (*lane)(nil)

// item is a record that sarama has. It is its own value encoder.
type item struct {
	entry
	msg      sarama.ProducerMessage
	value    []byte
	troubles uint32 // lane.troubles when it was handed over
	produced int64  // requests that its pipe had written by then
	done     bool
}

func (it *item) Encode() ([]byte, error) { return it.value, nil }
func (it *item) Length() int             { return len(it.value) }

// lane sends one partition's records in their order.
//
//	state    pipe   hands over                       left by
//	closed   nil    nothing                          –
//	opening  nil    nothing                          the pipe stands → clear
//	clear    set    up to window records             sarama asks for metadata → trouble
//	trouble  set    up to probe records in all       an acknowledgement → clear
//	any      –      –                                a record's timeout with sarama, or an error that
//	                                                 is worth another try → opening
//	retired  any    nothing                          close; no pipe is opened any more
//
// In trouble the records stay in the queue, so that they have failed, not
// become unknown, when the trouble outlasts their timeout, and so that sarama
// need not carry thousands of them from one attempt to the next.
type lane struct {
	p      *producer
	r      *route
	part   int32
	window int
	ready  chan struct{} // closed when the first pipe stands

	mu       sync.Mutex
	dialing  *client // of the pipe that is being made
	begun    bool
	closed   bool
	retired  bool
	refused  error // why there is no pipe, when that is a refusal
	queue    ring[entry]
	flight   ring[*item]
	pending  int // of flight, without fate
	pipe     *pipe
	trouble  bool
	troubles uint32
	moved    time.Time // when sarama last showed life
	said     time.Time // when a reopening was last logged
	free     []*item

	// waits is since when the lane waits for an acknowledgement: the last one, or
	// when it got something to wait for; in ns from 1 of scenario time, 0: it does not.
	waits atomic.Int64
}

func newLane(p *producer, r *route, part int32) *lane {
	l := &lane{p: p, r: r, part: part, ready: make(chan struct{})}
	// Room for the batch that is in flight and the one that follows.
	l.window = min(max(2*p.set.maxRequest/int(p.size), 4*probe), widest)
	return l
}

// open makes a pipe, after a pause, and tries until it stands. A pipe of an
// idempotent producer needs a producer id from a broker.
func (l *lane) open(pause time.Duration) {
	l.p.work.Go(func() {
		if pause > 0 && !l.r.cluster.pause(pause) {
			return
		}
		for {
			p, err := l.dial()
			if err == nil {
				l.mu.Lock()
				if l.closed || l.retired {
					l.mu.Unlock()
					close(p.sent)
					p.abandon(true)
					p.discard()
					return
				}
				l.pipe, l.refused = p, nil
				l.moved = time.Now()
				select {
				case <-l.ready:
				default:
					close(l.ready)
				}
				l.mu.Unlock()
				go l.send(p)
				l.read(p)
				return
			}
			no := refusalIn(err)
			l.mu.Lock()
			over := l.closed || l.retired
			l.refused = no
			l.mu.Unlock()
			switch {
			case over:
				return
			case no != nil:
				l.p.refused(l.r, no)
			default:
				l.p.spec.Env.Log(fmt.Sprintf("%s: partition %d: %v", memberID(l.p.spec.Producer.Name, l.p.spec.Member), l.part, err))
			}
			if !l.r.cluster.pause(l.p.set.wall(l.p.set.backoff)) {
				return
			}
		}
	})
}

// noteTrouble is told when sarama asks for metadata: something is to be sent
// again.
func (l *lane) noteTrouble(p *pipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pipe == p {
		l.trouble = true
		l.troubles++
		l.moved = time.Now()
	}
}

func (l *lane) standing() <-chan struct{} { return l.ready }

// flush has nothing to do: a lane never waits for more.
func (l *lane) flush() {}

// begin lets records go.
func (l *lane) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = true
	l.feed()
}

// take accepts records.
func (l *lane) take(entries []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		l.queue.push(e)
	}
	l.watch(false)
	l.feed()
}

// watch keeps waits. The caller holds mu.
func (l *lane) watch(acked bool) {
	switch waiting := l.pending > 0 || l.queue.len() > 0; {
	case !waiting:
		l.waits.Store(0)
	case acked || l.waits.Load() == 0:
		l.waits.Store(max(int64(l.p.spec.Clock.Now()), 1))
	}
}

// put gives a lane what its member's last incarnation left, or what it did not
// get through where it was before.
func (l *lane) put(entries []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		l.queue.push(e)
	}
	l.watch(false)
}

// feed lets the sender look for records. The caller holds mu.
func (l *lane) feed() {
	if l.pipe == nil || l.queue.len() == 0 {
		return
	}
	select {
	case l.pipe.wake <- struct{}{}:
	default:
	}
}

// next moves records from the queue to flight, as far as the state allows.
func (l *lane) next(p *pipe, batch []*item) []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pipe != p || !l.begun || l.retired || l.r.barred.Load() {
		return batch
	}
	limit := l.window
	if l.trouble {
		limit = probe
	}
	if l.pending == 0 {
		l.moved = time.Now()
	}
	for l.pending < limit && l.queue.len() > 0 && len(batch) < sendAtOnce {
		var it *item
		if n := len(l.free); n > 0 {
			it = l.free[n-1]
			l.free = l.free[:n-1]
		} else {
			it = new(item)
		}
		it.entry, it.done, it.troubles = l.queue.pop(), false, l.troubles
		it.produced = p.client.dial.produced.Load()
		l.flight.push(it)
		l.pending++
		batch = append(batch, it)
	}
	return batch
}

// acked records acknowledgements, consecutive ones as runs.
func (l *lane) acked(p *pipe, batch []*item) {
	now := l.p.spec.Clock.Now()
	log := l.r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pipe != p {
		return
	}
	var first, stride uint64
	var offset int64
	n := 0
	flush := func() {
		log.AckedRun(first, stride, n, l.part, offset, now)
		n = 0
	}
	for _, it := range batch {
		it.done = true
		switch {
		case l.p.unsure:
			log.Unknown(it.seq, l.part, now, "acks=0")
		case it.msg.Offset < 0:
			// DUPLICATE_SEQUENCE_NUMBER: it is in the log, nobody says where.
			log.Unknown(it.seq, l.part, now, "written before; the broker no longer knows the offset")
		case n == 1 && it.seq > first && it.msg.Offset == offset+1:
			stride = it.seq - first
			n++
		case n > 1 && it.seq == first+uint64(n)*stride && it.msg.Offset == offset+int64(n):
			n++
		default:
			flush()
			first, stride, offset, n = it.seq, 1, it.msg.Offset, 1
		}
	}
	flush()
	l.pending -= len(batch)
	l.trouble = false
	l.moved = time.Now()
	l.watch(true)
	l.settle()
	l.p.release(len(batch))
	l.feed()
}

// failed decides on a record that sarama hands back.
func (l *lane) failed(p *pipe, it *item, err error) {
	now := l.p.spec.Clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pipe != p {
		return
	}
	l.moved = time.Now()
	if no := refusalIn(err); no != nil {
		l.p.refused(l.r, no)
	}
	// An attempt before this one is out of the question when sarama met no
	// trouble since, or when no request went out.
	once := it.troubles == l.troubles || it.produced == p.client.dial.produced.Load()
	switch v := judgeError(err); {
	case v == again:
		l.reopen(reason(err))
		return
	case v == definite && !it.doubt && once:
		l.r.log.Failed(it.seq, l.part, now, reason(err))
	default:
		l.r.log.Unknown(it.seq, l.part, now, reason(err))
	}
	it.done = true
	l.pending--
	l.watch(false)
	l.settle()
	l.p.release(1)
	l.feed()
}

// settle forgets the records at the head of flight that have their fate. Sarama
// does not look at them any more.
func (l *lane) settle() {
	for l.flight.len() > 0 && l.flight.front().done {
		it := l.flight.pop()
		if len(l.free) < l.window {
			l.free = append(l.free, it)
		}
	}
}

// recall cuts a pipe off and takes everything back from it, to the head of the
// queue. What was handed over before the pipe's last request may be in the log.
// The items themselves stay with the pipe.
func (l *lane) recall(p *pipe, reset bool) {
	l.pipe = nil
	if p == nil {
		return
	}
	p.client.dial.close(reset)
	produced := p.client.dial.produced.Load()
	var back []entry
	for l.flight.len() > 0 {
		if it := l.flight.pop(); !it.done {
			it.doubt = it.doubt || it.produced < produced
			back = append(back, it.entry)
		}
	}
	l.queue.unpop(back)
	l.pending = 0
}

// reopen gives up the pipe and makes another; what sarama had is sent again.
func (l *lane) reopen(why string) {
	if now := time.Now(); now.Sub(l.said) > l.p.set.wall(10*time.Second) {
		l.said = now
		l.p.spec.Env.Log(fmt.Sprintf("%s: partition %d: a new client, with %d records to send again: %s",
			memberID(l.p.spec.Producer.Name, l.p.spec.Member), l.part, l.pending, why))
	}
	p := l.pipe
	l.recall(p, true)
	l.trouble = true
	go p.abandon(true) // its reader goes on to the end
	if l.retired {
		return
	}
	l.open(l.p.set.wall(l.p.set.backoff))
}

// lifeless is how long sarama may show no life, in wall time: as long as two requests and
// a dial may take, and what a busy machine may add.
func (s settings) lifeless() time.Duration {
	return s.wall(2*s.requestTimeout+s.connectTimeout) + max(s.wall(time.Second), 200*time.Millisecond)
}

// expire gives up records whose delivery timeout is over, and clients of sarama
// that have shown no life for longer than they may.
func (l *lane) expire(now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	over := func(e entry) bool { return e.since+l.p.timeout <= now }
	if l.pipe != nil && l.pending > 0 {
		if over(l.flight.front().entry) {
			l.reopen("delivery timeout")
		} else if quiet := time.Since(l.moved); quiet > l.p.set.lifeless() {
			l.reopen(fmt.Sprintf("sarama has shown no life for %v", quiet.Round(time.Millisecond)))
		}
	}
	n := 0
	for l.queue.len() > 0 && over(l.queue.front()) {
		e := l.queue.pop()
		n++
		if e.doubt {
			l.r.log.Unknown(e.seq, l.part, now, "delivery timeout")
		} else {
			l.r.log.Failed(e.seq, l.part, now, "delivery timeout: never handed to a broker")
		}
	}
	l.watch(false)
	l.p.release(n)
	l.feed()
	if l.refused != nil && l.pipe == nil {
		l.giveUp(now, l.refused)
	}
}

func (l *lane) refuse(now time.Duration, no error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.giveUp(now, no)
}

// giveUp fails what waits. The caller holds mu.
func (l *lane) giveUp(now time.Duration, no error) {
	if l.closed || l.retired || !l.begun {
		return
	}
	n := l.queue.len()
	for l.queue.len() > 0 {
		e := l.queue.pop()
		if e.doubt {
			l.r.log.Unknown(e.seq, l.part, now, reason(no))
		} else {
			l.r.log.Failed(e.seq, l.part, now, reason(no))
		}
	}
	l.watch(false)
	l.p.release(n)
}

func (l *lane) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = true
}

// close ends the lane's pipe; nothing that it reports from now on counts.
func (l *lane) close(reset bool) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	p, dialing := l.pipe, l.dialing
	l.recall(p, reset)
	l.mu.Unlock()
	if p != nil {
		p.abandon(reset)
	}
	if dialing != nil {
		dialing.end(reset)
	}
}

// drop empties a closed lane and gives what had no fate, oldest first.
func (l *lane) drop() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []entry
	for l.queue.len() > 0 {
		out = append(out, l.queue.pop())
	}
	return out
}
