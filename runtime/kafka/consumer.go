// This file defines a consumer member, and how it goes on at another cluster.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// assignors are the values of consumer(assignor); see Assignors. A strategy may
// keep state, so each member makes its own.
var assignors = map[string]func() sarama.BalanceStrategy{
	"range":              sarama.NewBalanceStrategyRange,
	"roundrobin":         sarama.NewBalanceStrategyRoundRobin,
	"sticky":             sarama.NewBalanceStrategySticky,
	"cooperative-sticky": sarama.NewBalanceStrategyCooperativeSticky,
}

// The values of consumer(commit).
//
//	commit   an offset is committed                              a crash then
//	after    each commit_every, past what has been processed     repeats up to commit_every (at least once)
//	before   before the records of a poll are processed          skips what was not processed (at most once)
//	auto     each commit_every, past polls processed whole       repeats up to commit_every and a poll
//	none     never                                               repeats everything
//
// A poll is what one fetch gave, at most max.poll.records. With before, a poll that
// is committed is processed to its end, but for a crash. All but none commit
// too when partitions are taken away and when the member stops.
const (
	commitAfter  = "after"
	commitBefore = "before"
	commitAuto   = "auto"
	commitNone   = "none"
)

// consumer is one member. It has a seat in its group; the work of all claims is
// done one after the other, as the poll loop of one Java consumer would.
//
//	Redirect                 the seat it leaves                       the new one
//	with Finish              reads to the ends that its topics had    –
//	always                   is over: nothing more is delivered       is taken at once
//	in the background        commits, leaves the group, for at most   joins, until it is ready
//	                         leaveWithin
//
// So a group that cannot be reached holds nobody up.
type consumer struct {
	spec   runtime.ConsumerSpec
	set    settings
	memory *memory // of dedup; nil: none
	quit   chan struct{}
	ended  sync.Once
	wait   sync.WaitGroup // samples of memory, and seats that are being left

	mu      sync.Mutex
	over    bool // Stop or Crash has begun
	crashed bool
	seat    *seat
	leaving []*seat
	busy    time.Time // until when work is planned
	said    map[string]time.Time
}

var (
	_ runtime.Member     = (*consumer)(nil)
	_ runtime.Redirecter = (*consumer)(nil)
)

// leaveWithin is how long a seat that is left may take to commit and say
// goodbye, scenario time.
const leaveWithin = 5 * time.Second

// topicsOf gives the topics of a consumer. A spec without any is that of a plan
// in which clusters call topics as the plan does.
func topicsOf(s runtime.ConsumerSpec) []plan.Topic {
	if len(s.Topics) > 0 {
		return s.Topics
	}
	var out []plan.Topic
	for _, name := range s.Consumer.Topics {
		out = append(out, plan.Topic{Name: name})
	}
	return out
}

func newConsumer(ctx context.Context, set settings, s runtime.ConsumerSpec) (*consumer, error) {
	if s.Consumer.SessionTimeout > 0 {
		set.session = time.Duration(s.Consumer.SessionTimeout)
	}
	set.heartbeat = min(set.heartbeat, set.session/3) // as Kafka's documentation asks for
	c := &consumer{spec: s, set: set, quit: make(chan struct{}), said: map[string]time.Time{}}
	if d := s.Consumer.Dedup; d != nil {
		var err error
		if c.memory, err = newMemory(*d); err != nil {
			return nil, err
		}
		c.wait.Go(c.weigh)
	}
	seat, err := c.sit(s.Bootstrap, s.Login, topicsOf(s))
	if err != nil {
		close(c.quit)
		return nil, err
	}
	c.seat = seat
	seat.start()
	select {
	case <-seat.ready:
		return c, nil
	case <-ctx.Done():
		c.Crash()
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, errors.Join(ctx.Err(), seat.lastErr)
	}
}

// consumerConfig gives the settings of a group member.
func (s settings) consumerConfig(clientID string, spec runtime.ConsumerSpec, d *dialer) (*sarama.Config, error) {
	p := spec.Consumer
	name := p.Assignor
	if name == "" {
		name = "range"
	}
	assignor, ok := assignors[name]
	if !ok {
		return nil, fmt.Errorf("for parameter assignor: got %q, want one of %q", p.Assignor, Assignors())
	}
	c := s.sarama(clientID, d)
	// A join or sync may wait for members that are on their way out.
	c.Net.ReadTimeout = s.wall(max(s.requestTimeout, s.session+5*time.Second))
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{assignor()}
	c.Consumer.Group.Session.Timeout = max(s.wall(s.session), 6*time.Millisecond)
	c.Consumer.Group.Heartbeat.Interval = min(s.wall(s.heartbeat), c.Consumer.Group.Session.Timeout/3)
	c.Consumer.Group.Rebalance.Timeout = s.wall(s.rebalance)
	c.Consumer.Group.Rebalance.Retry.Backoff = s.wall(s.backoff)
	c.Consumer.Group.Rebalance.Retry.Max = 20
	if s.instance != "" {
		c.Consumer.Group.InstanceId = memberID(s.instance, spec.Member)
	}
	// Sarama counts failed heartbeats by this: a coordinator may be away for as
	// long as a session lasts.
	c.Metadata.Retry.Max = max(int(2*s.session/max(s.backoff, time.Millisecond)), 300)
	c.Consumer.Retry.Backoff = time.Hour // of the partition consumers that are to keep still
	c.Consumer.Offsets.AutoCommit.Enable = false
	if p.Isolation == "read_committed" {
		c.Consumer.IsolationLevel = sarama.ReadCommitted // where "latest" is
	}
	// How often the group's leader compares what it knows of the partitions with
	// what it has assigned; what it knows, metadata tells at its own times.
	c.Metadata.RefreshFrequency = s.wall(min(s.metadataAge, time.Second))
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	if p.Start == "latest" {
		c.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	return c, c.Validate()
}

// Redirect implements runtime.Redirecter.
func (c *consumer) Redirect(ctx context.Context, to runtime.Destination) error {
	switch {
	case len(to.Topics) == 0:
		return errors.New("for parameter to: got no topics")
	case len(to.Bootstrap) == 0:
		return errors.New("no bootstrap address")
	}
	c.mu.Lock()
	old := c.seat
	c.mu.Unlock()
	if to.Finish {
		c.finish(ctx, old)
	}
	next, err := c.sit(to.Bootstrap, to.Login, to.Topics)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		next.tear()
		return errEnded
	}
	old, c.seat = c.seat, next
	c.leaving = append(c.leaving, old)
	if old.joined {
		c.spec.Log.Left(c.spec.Clock.Now()) // to the member it is over now, whenever its group learns of it
	}
	old.left = true
	next.start()
	c.wait.Go(func() { c.leave(old) }) // under mu: the member has not ended
	c.mu.Unlock()
	select {
	case <-next.ready:
		return nil
	case <-c.quit:
		return errEnded
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		return errors.Join(context.Cause(ctx), next.lastErr)
	}
}

// leave ends a seat in order, or when that takes too long, without goodbye.
func (c *consumer) leave(s *seat) {
	ctx, cancel := context.WithTimeout(context.Background(), c.set.wall(leaveWithin))
	defer cancel()
	if err := s.stand(ctx); err != nil {
		c.complain("leave", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = slices.DeleteFunc(c.leaving, func(x *seat) bool { return x == s })
}

// refuse takes note of an answer that denies the member something.
func (c *consumer) refuse(s *seat, no error) {
	if c.spec.Env.Denied != nil {
		c.spec.Env.Denied(c.spec.Consumer.Name, c.spec.Member, s.at, reason(no))
	}
}

// complain logs what went wrong; the same words once in 10 s of scenario time.
func (c *consumer) complain(what string, err error) {
	text := fmt.Sprintf("%s: %s: %s", memberID(c.spec.Consumer.Name, c.spec.Member), what, reason(err))
	c.mu.Lock()
	last, again := c.said[text]
	now := time.Now()
	again = again && now.Sub(last) < c.set.wall(10*time.Second)
	if !again {
		c.said[text] = now
	}
	c.mu.Unlock()
	if !again {
		c.spec.Env.Log(text)
	}
}

// weigh reports what memory holds, five times a second of wall time.
func (c *consumer) weigh() {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	last := int64(-1)
	for {
		if n := c.memory.bytes(); n != last {
			c.spec.Log.State(n, c.spec.Clock.Now())
			last = n
		}
		select {
		case <-t.C:
		case <-c.quit:
			c.spec.Log.State(0, c.spec.Clock.Now()) // it is gone with the member
			return
		}
	}
}

// work takes the time that one record takes; false when the claim is over
// before that.
func (c *consumer) work(over <-chan struct{}) bool {
	select {
	case <-over:
		return false
	default:
	}
	if c.spec.Consumer.Work <= 0 {
		return true
	}
	now := time.Now()
	c.mu.Lock()
	if c.busy.Before(now) {
		c.busy = now
	}
	c.busy = c.busy.Add(time.Duration(float64(c.spec.Consumer.Work) / c.set.speed))
	left := c.busy.Sub(now)
	c.mu.Unlock()
	if left < tick { // sleeps are not exact: short ones are saved up
		return true
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-over:
		return false
	}
}

// end begins the member's end: its seat, and those that it is about to leave.
func (c *consumer) end(crash bool) (*seat, []*seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.crashed = true, crash
	close(c.quit)
	return c.seat, slices.Clone(c.leaving)
}

// Stop ends the member in order: what was processed is committed, and the group
// is told if its coordinator can be reached. When ctx ends first the connections
// are torn and the error says so.
func (c *consumer) Stop(ctx context.Context) error {
	var err error
	c.ended.Do(func() {
		s, leaving := c.end(false)
		err = s.stand(ctx)
		switch {
		case errors.Is(err, errNotLeft):
			err = fmt.Errorf("%w: %w", errNotLeft, ctx.Err())
		case err == nil:
			c.spec.Log.Left(c.spec.Clock.Now())
		default: // as a Java consumer closes all the same when its coordinator is away
			c.complain("leave", err)
			err = nil
		}
		if !within(c.set.wall(leaveWithin), c.wait.Wait) {
			for _, x := range leaving {
				x.tear()
			}
			within(patience, c.wait.Wait)
		}
	})
	return err
}

// Crash ends the member without goodbye.
func (c *consumer) Crash() {
	c.ended.Do(func() {
		s, leaving := c.end(true)
		for _, x := range append(leaving, s) {
			x.tear()
		}
		s.cancel()
		if !within(patience, func() { <-s.done; s.group.Close(); c.wait.Wait() }) {
			c.complain("crash", errors.New("the consumer group of sarama does not end"))
		}
	})
}
