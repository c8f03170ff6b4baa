// This file defines a producer member: the pacer that offers what is due, and
// the accounts of the client's buffer.

package kafka

import (
	"context"
	"errors"
	"fmt"
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
type producer struct {
	load    *Load
	spec    runtime.ProducerSpec
	set     settings
	cluster *cluster
	choose  *record.Partitioner
	keys    []sarama.Encoder // by index, made once; nil: records have no key
	size    int64            // bytes of a record in the buffer's accounts
	timeout time.Duration    // scenario time
	unsure  bool             // acks=0: nothing is ever acknowledged

	mu      sync.Mutex // after lane.mu
	sched   schedule
	begun   bool
	stopped bool          // no schedule any more: Stop or Crash
	lanes   []outlet      // by partition; with transactions one for all
	full    time.Duration // the last moment the buffer was full
	room    bool          // somebody waits for room in the buffer

	used  atomic.Int64 // bytes in the buffer
	known atomic.Int32 // partitions by the latest metadata
	wake  chan struct{}
	quit  chan struct{}
	once  sync.Once
	idle  sync.WaitGroup // pacer and sweeper
	work  sync.WaitGroup // lanes' goroutines
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
	if s.Bootstrap == nil {
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
	p.cluster = newCluster(set, name, s.Bootstrap, []string{s.Topic.Name}, func() {
		if n := int32(p.cluster.partitions(s.Topic.Name)); n > p.known.Load() {
			p.known.Store(n)
		}
	})
	if err := p.start(ctx); err != nil {
		p.shut(true)
		return nil, err
	}
	return p, nil
}

// start waits for metadata and the partitions' clients.
func (p *producer) start(ctx context.Context) error {
	for {
		err := p.cluster.refresh()
		if err == nil && p.known.Load() > 0 {
			break
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(p.set.wall(p.set.backoff)):
		}
	}
	old := p.load.resume(memberKey{p.spec.Producer.Name, p.spec.Member})
	p.sched.offered = old.next
	n := p.known.Load()
	for part := range old.parts {
		n = max(n, part+1)
	}
	p.grow(int(n))
	p.sched.parts = int(p.known.Load())
	now := p.spec.Clock.Now()
	for part, entries := range old.parts {
		for i := range entries {
			entries[i].since = now // a new process counts its delivery timeout anew
		}
		p.used.Add(int64(len(entries)) * p.size)
		p.outlet(p.lanes, part).put(entries)
	}
	for _, l := range p.lanes {
		select {
		case <-l.standing():
		case <-ctx.Done():
			// The leftover is not lost by a start in vain.
			p.load.leave(memberKey{p.spec.Producer.Name, p.spec.Member}, old)
			return ctx.Err()
		}
	}
	p.idle.Go(p.pace)
	p.idle.Go(p.sweep)
	return nil
}

// outlet is the way of a partition's records.
func (p *producer) outlet(lanes []outlet, part int32) outlet {
	if p.spec.Producer.Transaction > 0 {
		return lanes[0]
	}
	return lanes[part]
}

// grow opens lanes up to n partitions. Only start and the pacer call it.
func (p *producer) grow(n int) {
	if p.spec.Producer.Transaction > 0 {
		if len(p.lanes) == 0 {
			x := newTransactor(p)
			p.mu.Lock()
			p.lanes = append(p.lanes, x)
			p.mu.Unlock()
			p.work.Go(x.run)
		}
		return
	}
	for part := len(p.lanes); part < n; part++ {
		l := newLane(p, int32(part))
		p.mu.Lock()
		p.lanes = append(p.lanes, l)
		p.mu.Unlock()
		l.open(0)
	}
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
	now := p.spec.Clock.Now()
	if n := int(p.known.Load()); p.stale(n) {
		p.grow(n)
		p.mu.Lock()
		begun := p.begun
		p.mu.Unlock()
		for _, l := range p.lanes {
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
	lanes := p.lanes
	p.mu.Unlock()

	p.spec.Log.Accepted(first, n, now)
	p.spec.Log.Late(late, now)
	for seq := first; seq < first+uint64(n); seq++ {
		part := p.choose.Partition(seq, g.Partitions)
		l := p.outlet(lanes, part)
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
		p.spec.Log.Failed(seq, p.choose.Partition(seq, g.Partitions), now, "delivery timeout: the client's buffer had no room")
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
			lanes := p.lanes
			p.mu.Unlock()
			for _, l := range lanes {
				l.expire(now)
			}
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
		p.spec.Log.Failed(seq, p.choose.Partition(seq, g.Partitions), now, "stopped: never accepted by the client")
	}
	p.mu.Unlock()
	for _, l := range p.lanes {
		for _, e := range l.drop() {
			switch {
			case e.doubt:
				p.spec.Log.Unknown(e.seq, e.part, now, "in flight when the producer was stopped")
			case e.aborted:
				p.spec.Log.Failed(e.seq, e.part, now, "stopped: its transaction did not commit")
			default:
				p.spec.Log.Failed(e.seq, e.part, now, "stopped: never handed to a broker")
			}
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
	left := &leftover{parts: map[int32][]entry{}}
	for _, l := range p.lanes {
		for _, e := range l.drop() {
			left.parts[e.part] = append(left.parts[e.part], e)
		}
	}
	left.next = p.sched.offered
	// What was due and had no room dies with the process that held it back: the
	// next schedule begins with it.
	p.spec.Log.End(left.next, p.spec.Clock.Now())
	p.load.leave(memberKey{p.spec.Producer.Name, p.spec.Member}, left)
	p.shut(true)
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
	for _, l := range p.snapshot() {
		l.close(reset)
	}
	p.idle.Wait()
	for _, l := range p.snapshot() { // the pacer may have opened one meanwhile
		l.close(reset)
	}
}

func (p *producer) snapshot() []outlet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]outlet(nil), p.lanes...)
}

// shut closes everything that is still open and waits for it.
func (p *producer) shut(reset bool) {
	p.finish(reset)
	p.cluster.close(reset)
	if !within(patience, p.work.Wait) {
		p.spec.Env.Log(memberID(p.spec.Producer.Name, p.spec.Member) + ": a producer of sarama does not end")
	}
}
