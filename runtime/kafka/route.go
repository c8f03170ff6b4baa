// This file defines the route of a producer member: the topic that it writes,
// on which cluster, and how it changes to another (fail_over, fail_back).

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

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// route is the way of a producer's records to one topic.
//
//	route    metadata  lanes                                           left by
//	aimed    asked     being opened                                    all stand, or a refusal → taken; another Redirect
//	taken    asked     take records and hand them over                 Redirect → left
//	left     asked     take records, hand over none, hear what comes   the aimed one is taken → closed
//
// While one is aimed at, records go on being due and accepted into the member's
// buffer, where they wait: the buffer is the member's, and not a connection's.
// So a change of route makes nothing late. When the buffer is full meanwhile,
// that is Kafka's doing, as whenever it is full, and so is the moment in which
// the records change lanes.
//
// What is in flight on the route that is left may still be acknowledged until
// the new one stands. Then its connections end, and what has no fate is sent
// again on the new one, before everything else and in the order in which it was
// due; where a request of it went out, it stays in doubt.
type route struct {
	topic   plan.Topic
	log     *record.ProducerLog
	set     settings // with the login
	cluster *cluster
	known   atomic.Int32  // partitions by the latest metadata; while that is refused, those of the plan
	barred  atomic.Bool   // metadata is refused
	refused chan struct{} // closed at the first refusal
	once    sync.Once
	asked   atomic.Int64 // when metadata was last asked for because it is refused, wall ns
	lanes   []outlet     // by partition; with transactions one for all. Guarded by the producer's mu
	lastErr error        // guarded by the producer's mu
}

func (p *producer) newRoute(bootstrap []string, login runtime.Login, t plan.Topic) *route {
	r := &route{topic: t, log: p.spec.Log.On(t.Name), set: p.set, refused: make(chan struct{})}
	r.set.login = login
	name := t.KafkaName()
	var made sync.Mutex // until r.cluster is there
	made.Lock()
	defer made.Unlock()
	r.cluster = newCluster(r.set, memberID(p.spec.Producer.Name, p.spec.Member), bootstrap, []string{name}, func(no error) {
		made.Lock()
		c := r.cluster
		made.Unlock()
		r.barred.Store(c.denial(name) != nil)
		if n := int32(c.partitions(name)); n > r.known.Load() {
			r.known.Store(n)
		}
		if no != nil {
			r.known.CompareAndSwap(0, int32(max(t.Partitions, 1)))
			p.refused(r, no)
		}
	})
	return r
}

// refused takes note of an answer that denies the member something. A member
// that is refused is ready: it does what a client in its place does, which is to
// fail its records and to ask again.
func (p *producer) refused(r *route, no error) {
	if p.spec.Env.Denied != nil {
		p.spec.Env.Denied(p.spec.Producer.Name, p.spec.Member, r.topic.Cluster, reason(no))
	}
	r.once.Do(func() { close(r.refused) })
}

// bar fails what waits while metadata is refused, and asks for it again.
func (p *producer) bar(r *route, lanes []outlet, now time.Duration) {
	if !r.barred.Load() {
		return
	}
	no := r.cluster.denial(r.topic.KafkaName())
	if no == nil {
		return
	}
	for _, l := range lanes {
		l.refuse(now, no)
	}
	wall := time.Now().UnixNano()
	if last := r.asked.Load(); time.Duration(wall-last) >= r.set.wall(r.set.backoff) && r.asked.CompareAndSwap(last, wall) {
		r.cluster.spawn(func() { _ = r.cluster.refresh() })
	}
}

// stand waits until the route's partitions are known and at least so many have
// their lanes, or until the member is refused. Its error is ctx's.
func (p *producer) stand(ctx context.Context, r *route, least int) error {
	isRefused := func() bool {
		select {
		case <-r.refused:
			return true
		default:
			return false
		}
	}
	for {
		err := r.cluster.refresh()
		if r.known.Load() > 0 && (err == nil || isRefused()) {
			break
		}
		p.mu.Lock()
		r.lastErr = err
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(p.set.wall(p.set.backoff)):
		}
	}
	p.grow(r, max(int(r.known.Load()), least))
	p.mu.Lock()
	lanes := slices.Clone(r.lanes)
	p.mu.Unlock()
	for _, l := range lanes {
		select {
		case <-l.standing():
		case <-r.refused:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// grow opens lanes up to n partitions. Only who makes the route, and the pacer
// once it is taken, call it.
func (p *producer) grow(r *route, n int) {
	if p.spec.Producer.Transaction > 0 {
		if len(r.lanes) == 0 {
			x := newTransactor(p, r)
			p.mu.Lock()
			r.lanes = append(r.lanes, x)
			p.mu.Unlock()
			p.work.Go(x.run)
		}
		return
	}
	for part := len(r.lanes); part < n; part++ {
		l := newLane(p, r, int32(part))
		p.mu.Lock()
		r.lanes = append(r.lanes, l)
		p.mu.Unlock()
		l.open(0)
	}
}

// errEnded is what a member that has ended says.
var errEnded = errors.New("the member has ended")

// Redirect implements runtime.Redirecter.
func (p *producer) Redirect(ctx context.Context, to runtime.Destination) error {
	switch {
	case len(to.Topics) != 1:
		return fmt.Errorf("for parameter to: got %d topics, want 1", len(to.Topics))
	case len(to.Bootstrap) == 0:
		return errors.New("no bootstrap address")
	case p.spec.Producer.Transaction > 0:
		return errors.New("a transactional producer does not go on at another cluster: its open transaction stays behind")
	}
	r := p.newRoute(to.Bootstrap, to.Login, to.Topics[0])
	done := make(chan struct{})
	p.way.Lock() // no route is being taken
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		p.way.Unlock()
		p.leave(r)
		return errEnded
	}
	current, before := p.route, p.aim
	p.aim = r
	p.idle.Go(func() { // under mu: the member has not ended
		for _, l := range p.lanesOf(current) {
			l.retire()
		}
		run, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			defer cancel()
			select {
			case <-r.cluster.closed: // by leave
			case <-run.Done():
			}
		}()
		if p.stand(run, r, 0) == nil && p.take(r) {
			close(done)
		}
	})
	p.mu.Unlock()
	p.way.Unlock()
	if before != nil {
		p.leave(before)
	}
	select {
	case <-done:
		return nil
	case <-p.quit:
		return errEnded
	case <-r.cluster.closed:
		return errors.New("it was sent elsewhere meanwhile")
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		return errors.Join(context.Cause(ctx), r.lastErr)
	}
}

// take makes an aimed route the member's; false when it is no longer aimed at. A
// member that is being stopped still takes it: what waits is to go there.
func (p *producer) take(r *route) bool {
	p.way.Lock()
	defer p.way.Unlock()
	p.mu.Lock()
	if p.ending || p.aim != r {
		p.mu.Unlock()
		return false
	}
	old := p.route
	begun := p.begun
	p.mu.Unlock()

	var left []entry
	behind := p.lanesOf(old)
	count := len(behind)
	for _, l := range behind {
		l.close(false)
		left = append(left, l.drop()...)
	}
	slices.SortFunc(left, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })

	p.mu.Lock()
	if p.ending { // meanwhile: what is left is the end's to decide on
		p.stranded = left
		p.mu.Unlock()
		return false
	}
	p.route, p.aim = r, nil
	now := p.spec.Clock.Now()
	if n := int(r.known.Load()); n != p.sched.parts {
		if g, ok := p.sched.grow(now, n); ok && !p.spec.Producer.MaxRate {
			p.due(g)
		}
	}
	lanes := r.lanes
	p.mu.Unlock()
	parts := p.distribute(left, count, len(lanes))
	for i, l := range lanes {
		if len(parts[int32(i)]) > 0 {
			l.put(parts[int32(i)])
		}
		if begun {
			l.begin()
		}
	}
	p.mu.Lock()
	p.full = max(p.full, p.spec.Clock.Now())
	again := p.begun && !begun
	p.mu.Unlock()
	if again { // Begin came between
		for _, l := range lanes {
			l.begin()
		}
	}
	p.poke()
	p.work.Go(func() { old.cluster.close(false) })
	return true
}

// distribute gives entries of a topic with so many partitions to the n of
// another: each to the one of the same number, and where there are not as many,
// to where the record would go if it became due now.
func (p *producer) distribute(entries []entry, old, n int) map[int32][]entry {
	out := map[int32][]entry{}
	for _, e := range entries {
		if old != n {
			e.part = p.choose.Partition(e.seq, n)
		}
		out[e.part] = append(out[e.part], e)
	}
	return out
}

// leave closes a route that is not taken.
func (p *producer) leave(r *route) {
	for _, l := range p.lanesOf(r) {
		l.close(true)
	}
	r.cluster.close(true)
}

// lanesOf gives the lanes of a route as they are now; none for no route.
func (p *producer) lanesOf(r *route) []outlet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r == nil {
		return nil
	}
	return slices.Clone(r.lanes)
}

var _ runtime.Redirecter = (*producer)(nil)
