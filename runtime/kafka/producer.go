// This file defines a producer member: the pacer that offers what is due, and
// the accounts of the client's buffer.

package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime"
	"starfall/runtime/record"
)

const (
	// recordOverhead is what sarama and Kafka count for a record beside key and
	// value (maximumRecordOverhead: five varints, attributes, header count).
	recordOverhead = 36
	// offerAtOnce bounds how many records the pacer hands over before it looks
	// at the clock again.
	offerAtOnce = 4096
	// tick is the shortest sleep of the pacer, wall time.
	tick = time.Millisecond
	// sweep is how often delivery timeouts are looked for, wall time.
	sweep = 10 * time.Millisecond
)

// producer is one member. The pacer is one goroutine that sleeps until records
// are due and hands them to the lanes of their partitions. A record waits in
// one of three places:
//
//	place      holds                                  bounded by
//	schedule   due, not accepted: a number only       timeout
//	lane       accepted, counted in the buffer        buffer
//	sarama     handed to a partition's sarama client  buffer, and the lane's window
//
// Only the way from the schedule to a lane can wait: when the buffer is full.
// That, and nothing else that brokers or routes do, holds the pacer up: what it
// offers late with room in the buffer, the machine made late.
type producer struct {
	load    *Load
	spec    runtime.ProducerSpec
	set     settings
	choose  *record.Partitioner
	keys    []sarama.Encoder // by index, made once; nil: records have no key
	size    int64            // bytes of a record in the buffer's accounts
	timeout time.Duration    // scenario time
	unsure  bool             // acks=0: nothing is ever acknowledged

	way sync.Mutex // held while records change hands: schedule to lanes, route to route

	mu       sync.Mutex // after way and lane.mu
	sched    schedule
	begun    bool
	stopped  bool          // no schedule any more: Stop or Crash
	ending   bool          // nothing is sent any more
	route    *route        // where records go
	aim      *route        // where they are to go; nil: nowhere else
	stranded []entry       // between two routes when the member ended
	full     time.Duration // the last moment the buffer was full
	room     bool          // somebody waits for room in the buffer

	detours detours // for the partitioner "available"

	used atomic.Int64 // bytes in the buffer
	wake chan struct{}
	quit chan struct{}
	once sync.Once
	idle sync.WaitGroup // pacer, sweeper, and who makes a route
	work sync.WaitGroup // lanes' goroutines
}

var _ runtime.Producer = (*producer)(nil)

func newProducer(ctx context.Context, l *Load, set settings, s runtime.ProducerSpec) (*producer, error) {
	p := &producer{
		load: l, spec: s, set: set,
		timeout: time.Duration(s.Producer.Timeout),
		unsure:  s.Producer.Acks == "0",
		choose: record.NewPartitioner(s.Producer.Partitioner, s.Seed, s.Index, s.Member,
			s.Members, s.Producer.Keys),
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
		full: -1 << 62,
	}
	p.choose.Owns = s.Producer.Owns
	if len(s.Bootstrap) == 0 {
		return nil, errors.New("no bootstrap address")
	}
	longest := 0
	for i := range s.Producer.Keys {
		k := record.Key(i)
		longest = max(longest, len(k))
		p.keys = append(p.keys, sarama.ByteEncoder(k))
	}
	p.size = int64(max(s.Producer.Size, record.IdentitySize) + longest + recordOverhead)

	name := memberID(s.Producer.Name, s.Member)
	if _, err := set.producerConfig(name, s.Producer, nil, int(p.size)); err != nil {
		return nil, err
	}
	if n := s.Producer.Transaction; n > 0 && int64(n)*p.size > s.Producer.Buffer {
		return nil, fmt.Errorf("for parameter transaction: got %d records of %d bytes, want no more than the buffer of %d bytes holds", n, p.size, s.Producer.Buffer)
	}
	p.route = p.newRoute(s.Bootstrap, s.Login, s.Topic)
	if err := p.start(ctx); err != nil {
		p.shut(true)
		return nil, err
	}
	return p, nil
}

// start waits for metadata and the partitions' clients, and takes up what the
// member's last incarnation left.
func (p *producer) start(ctx context.Context) error {
	key := memberKey{p.spec.Producer.Name, p.spec.Member}
	old := p.load.resume(key)
	r := p.route
	least := 0
	if old.topic == r.topic.Name {
		least = old.parts // metadata may lag behind
	}
	if err := p.stand(ctx, r, least); err != nil {
		// The leftover is not lost by a start in vain.
		p.load.leave(key, old)
		return err
	}
	count := old.parts
	if old.topic == r.topic.Name {
		count = len(r.lanes)
	}
	p.sched.offered = old.next
	p.sched.parts = int(r.known.Load())
	now := p.spec.Clock.Now()
	for i := range old.entries {
		old.entries[i].since = now // a new process counts its delivery timeout anew
	}
	p.used.Add(int64(len(old.entries)) * p.size)
	if p.spec.Producer.Transaction > 0 {
		r.lanes[0].put(old.entries)
	} else {
		for part, entries := range p.distribute(old.entries, count, len(r.lanes)) {
			r.lanes[part].put(entries)
		}
	}
	p.idle.Go(p.pace)
	p.idle.Go(p.sweep)
	return nil
}

// outlet is the way of a partition's records. A route that was taken meanwhile
// may have fewer partitions than when a record became due.
func (p *producer) outlet(lanes []outlet, seq uint64, part int32) (outlet, int32) {
	switch {
	case p.spec.Producer.Transaction > 0:
		return lanes[0], part
	case int(part) >= len(lanes):
		part = p.choose.Partition(seq, len(lanes))
	}
	return lanes[part], part
}

// Begin starts the schedule at a scenario time.
func (p *producer) Begin(at time.Duration, share float64) {
	p.mu.Lock()
	if p.stopped || p.begun {
		p.mu.Unlock()
		return
	}
	p.begun = true
	switch {
	case p.spec.Producer.MaxRate:
		p.sched.running = true // each batch is a segment of its own: see offerMax
	case share > 0:
		p.due(p.sched.begin(at, share))
	}
	p.mu.Unlock()
	for _, l := range p.snapshot() {
		l.begin()
	}
	p.poke()
}

// scheduled is the moment up to which the schedule goes: now, but always before
// the end that it was given. What would be due at that end is not.
func (p *producer) scheduled(now time.Duration) time.Duration {
	if p.spec.Until > 0 {
		return min(now, p.spec.Until-1)
	}
	return now
}

// over tells whether the schedule has come to the end that it was given.
func (p *producer) over(now time.Duration) bool {
	return p.spec.Until > 0 && now >= p.spec.Until
}

// SetRate changes the member's share from now on. A producer that goes as fast
// as possible has no share; 0 ends it all the same.
func (p *producer) SetRate(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || !p.begun || p.spec.Producer.MaxRate && share > 0 {
		return
	}
	switch now := p.scheduled(p.spec.Clock.Now()); {
	case share > 0:
		p.due(p.sched.setRate(now, share))
	default:
		p.endSchedule(now)
	}
	p.poke()
}

func (p *producer) due(g record.Segment) {
	p.spec.Log.Due(g.First, g.At, g.Rate, g.Partitions)
}

func (p *producer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// pace offers what is due until the member ends.
func (p *producer) pace() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	staged := make(map[outlet][]entry)
	for {
		wait := p.offer(staged)
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-p.wake:
			case <-p.quit:
				return
			}
			continue
		}
		select {
		case <-p.quit:
			return
		default:
		}
	}
}

// offer hands over one batch of what is due and tells how long nothing more is
// to be done, in wall time; 0 when there is more at once.
func (p *producer) offer(staged map[outlet][]entry) time.Duration {
	p.way.Lock()
	defer p.way.Unlock()
	now := p.spec.Clock.Now()
	p.mu.Lock()
	r := p.route
	p.mu.Unlock()
	if n := int(r.known.Load()); p.stale(n) {
		p.grow(r, n)
		p.mu.Lock()
		begun := p.begun
		p.mu.Unlock()
		for _, l := range r.lanes {
			if begun {
				l.begin()
			}
		}
		p.mu.Lock()
		if g, ok := p.sched.grow(now, n); ok && !p.spec.Producer.MaxRate {
			p.due(g)
		}
		p.mu.Unlock()
	}

	p.mu.Lock()
	room := int((p.spec.Producer.Buffer - p.used.Load()) / p.size)
	if !p.begun {
		p.mu.Unlock()
		return time.Hour
	}
	var g record.Segment
	var n int
	if p.spec.Producer.MaxRate {
		g, n = p.offerMax(now, min(room, offerAtOnce))
	} else {
		if room <= 0 {
			p.giveUp(now)
		}
		g, n = p.sched.head(p.sched.due(p.scheduled(now)))
	}
	if n > 0 && room <= 0 || p.spec.Producer.MaxRate && room <= 0 && p.sched.running && !p.over(now) {
		p.full = now
		p.room = true
		p.mu.Unlock()
		if p.used.Load() < p.spec.Producer.Buffer-p.size {
			return 0 // room came between the two looks
		}
		return sweep
	}
	if n == 0 {
		at, ok := p.sched.next(now)
		p.mu.Unlock()
		if !ok || p.spec.Producer.MaxRate || p.over(now) {
			return time.Hour
		}
		return max(time.Duration(float64(at-now)/p.set.speed), tick)
	}
	n = min(n, room, offerAtOnce)
	first := p.sched.offered
	late := p.sched.late(g, n, now, p.full, time.Duration(float64(lateAfter)*p.set.speed))
	p.sched.offered += uint64(n)
	p.used.Add(int64(n) * p.size)
	lanes := r.lanes
	p.mu.Unlock()

	p.spec.Log.Accepted(first, n, now)
	p.spec.Log.Late(late, now)
	for seq := first; seq < first+uint64(n); seq++ {
		part := p.choose.Partition(seq, g.Partitions)
		if p.choose.Kind == "available" {
			part = p.detour(lanes, g, part, now)
		}
		l, part := p.outlet(lanes, seq, part)
		staged[l] = append(staged[l], entry{seq: seq, since: g.Due(seq), part: part})
	}
	for l, entries := range staged {
		if len(entries) > 0 {
			l.take(entries)
			staged[l] = entries[:0]
		}
	}
	return 0
}

// stale tells whether the schedule does not know of all partitions yet.
func (p *producer) stale(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return n > p.sched.parts
}

// offerMax makes what the buffer has room for due at once. The caller holds mu.
func (p *producer) offerMax(now time.Duration, n int) (record.Segment, int) {
	if !p.sched.running || n <= 0 || p.over(now) {
		return record.Segment{}, 0
	}
	g := record.Segment{First: p.sched.offered, At: now, Partitions: p.sched.parts}
	p.sched.segs = append(p.sched.segs[:0], g)
	p.due(g)
	return g, n
}

// giveUp fails what has waited for room in the buffer until its delivery
// timeout. The caller holds mu.
func (p *producer) giveUp(now time.Duration) {
	limit := p.sched.due(p.scheduled(now))
	for {
		g, n := p.sched.head(limit)
		if n == 0 || g.Due(p.sched.offered)+p.timeout > now {
			return
		}
		seq := p.sched.offered
		p.sched.offered++
		p.full = now
		p.route.log.Failed(seq, p.choose.Partition(seq, g.Partitions), now, "delivery timeout: the client's buffer had no room")
	}
}

// release takes records out of the buffer.
func (p *producer) release(n int) {
	if n == 0 {
		return
	}
	free := p.spec.Producer.Buffer - p.used.Add(-int64(n)*p.size)
	if free < min(p.spec.Producer.Buffer/16, 256*p.size) {
		return
	}
	p.mu.Lock()
	waits := p.room
	if waits {
		p.room = false
		p.full = max(p.full, p.spec.Clock.Now())
	}
	p.mu.Unlock()
	if waits {
		p.poke()
	}
}

// sweep looks after delivery timeouts and clients that do not get on.
func (p *producer) sweep() {
	t := time.NewTicker(sweep)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			now := p.spec.Clock.Now()
			p.mu.Lock()
			r := p.route
			lanes := r.lanes
			p.mu.Unlock()
			for _, l := range lanes {
				l.expire(now)
			}
			p.bar(r, lanes, now)
		case <-p.quit:
			return
		}
	}
}

// halt ends the schedule and gives its first record that will not be sent.
func (p *producer) halt() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.stopped = true
	if p.begun {
		p.endSchedule(p.scheduled(p.spec.Clock.Now()))
	}
	p.poke()
	return true
}

// endSchedule makes nothing due any more from a moment on. The caller holds mu.
func (p *producer) endSchedule(now time.Duration) {
	switch {
	case !p.sched.running:
	case p.spec.Producer.MaxRate:
		p.sched.running = false
		p.spec.Log.End(p.sched.offered, now)
	default:
		p.spec.Log.End(p.sched.end(now), now)
	}
}

// Stop ends the schedule and waits until every record has its fate or ctx ends.
// What then waits in lanes without ever having been handed to a broker has
// failed, the rest is unknown.
func (p *producer) Stop(ctx context.Context) error {
	if !p.halt() {
		return nil
	}
	for !p.empty() {
		if p.allAccepted() {
			for _, l := range p.snapshot() {
				l.flush()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * tick):
			continue
		}
		break
	}
	whole := p.empty()
	p.finish(!whole)
	p.mu.Lock()
	now := p.spec.Clock.Now()
	for {
		g, n := p.sched.head(p.sched.limit())
		if n == 0 || p.spec.Producer.MaxRate {
			break
		}
		seq := p.sched.offered
		p.sched.offered++
		p.route.log.Failed(seq, p.choose.Partition(seq, g.Partitions), now, "stopped: never accepted by the client")
	}
	log := p.route.log
	p.mu.Unlock()
	for _, e := range p.remains() {
		switch {
		case e.doubt:
			log.Unknown(e.seq, e.part, now, "in flight when the producer was stopped")
		case e.aborted:
			log.Failed(e.seq, e.part, now, "stopped: its transaction did not commit")
		default:
			log.Failed(e.seq, e.part, now, "stopped: never handed to a broker")
		}
	}
	p.load.leave(memberKey{p.spec.Producer.Name, p.spec.Member}, &leftover{next: p.sched.offered})
	p.shut(!whole)
	return nil
}

// Crash resets all connections. What was not acknowledged is sent again by the
// member's next incarnation, under the same sequence numbers.
func (p *producer) Crash() {
	if !p.halt() {
		return
	}
	p.finish(true)
	left := &leftover{next: p.sched.offered, topic: p.route.topic.Name, parts: len(p.route.lanes), entries: p.remains()}
	// What was due and had no room dies with the process that held it back: the
	// next schedule begins with it.
	p.spec.Log.End(left.next, p.spec.Clock.Now())
	p.load.leave(memberKey{p.spec.Producer.Name, p.spec.Member}, left)
	p.shut(true)
}

// remains takes what has no fate out of a member that has ended, in the order in
// which it was due.
func (p *producer) remains() []entry {
	out := p.stranded
	for _, l := range p.snapshot() {
		out = append(out, l.drop()...)
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// empty tells whether nothing is due, accepted or in flight.
func (p *producer) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		return true
	}
	return p.accepted() && p.used.Load() == 0
}

// accepted tells whether all that was due is in the buffer or has its fate. The caller
// holds mu.
func (p *producer) accepted() bool {
	return p.spec.Producer.MaxRate || p.sched.offered >= p.sched.limit()
}

func (p *producer) allAccepted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted()
}

// finish stops the member's goroutines and lets no acknowledgement in any more.
func (p *producer) finish(reset bool) {
	p.once.Do(func() { close(p.quit) })
	p.mu.Lock()
	aim := p.aim
	p.aim, p.ending = nil, true
	p.mu.Unlock()
	if aim != nil {
		p.leave(aim)
	}
	for _, l := range p.snapshot() {
		l.close(reset)
	}
	p.idle.Wait()
	for _, l := range p.snapshot() { // one may have been opened meanwhile, or a route taken
		l.close(reset)
	}
}

func (p *producer) snapshot() []outlet {
	p.mu.Lock()
	r := p.route
	p.mu.Unlock()
	return p.lanesOf(r)
}

// shut closes everything that is still open and waits for it.
func (p *producer) shut(reset bool) {
	p.finish(reset)
	p.route.cluster.close(reset)
	if !within(patience, p.work.Wait) {
		p.spec.Env.Log(memberID(p.spec.Producer.Name, p.spec.Member) + ": a producer of sarama does not end")
	}
}
