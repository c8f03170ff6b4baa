// This file defines a consumer member: sarama's consumer group for membership,
// fetchers for the records.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime"
	"starfall/runtime/record"
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
// A poll is what one fetch gave, at most max.poll.records. All but none commit
// too when partitions are taken away and when the member stops.
const (
	commitAfter  = "after"
	commitBefore = "before"
	commitAuto   = "auto"
	commitNone   = "none"
)

// consumer is one member. Sarama's consumer group joins, syncs, sends
// heartbeats and balances; each claim is read by a fetcher of its own, so that a
// partition without a leader holds up no other. The work of all claims is done
// one after the other, as the poll loop of one Java consumer would.
type consumer struct {
	spec    runtime.ConsumerSpec
	set     settings
	cluster *cluster
	client  *groupClient
	group   sarama.ConsumerGroup
	cancel  context.CancelFunc
	ready   chan struct{} // closed at the first assignment
	once    sync.Once
	done    chan struct{} // closed when the last session has ended
	ended   sync.Once

	mu         sync.Mutex
	crashed    bool
	joined     bool
	generation int32
	owned      []record.TopicPartition
	busy       time.Time // until when work is planned
	lastErr    error

	offsets offsets
}

var _ runtime.Member = (*consumer)(nil)

// groupClient is a client for sarama's ConsumerGroup. Sarama insists on making a
// partition consumer for each claim; this one gives it a leader that is never
// connected, so that it gives up at once and keeps still, and offsets that
// never need asking.
type groupClient struct{ *client }

func (groupClient) LeaderAndEpoch(string, int32) (*sarama.Broker, int32, error) {
	return sarama.NewBroker("claims are read by fetchers"), -1, nil
}

func (groupClient) GetOffset(_ string, _ int32, at int64) (int64, error) {
	if at == sarama.OffsetNewest {
		return math.MaxInt64, nil
	}
	return 0, nil
}

func newConsumer(ctx context.Context, set settings, s runtime.ConsumerSpec) (*consumer, error) {
	if s.Consumer.SessionTimeout > 0 {
		set.session = time.Duration(s.Consumer.SessionTimeout)
	}
	set.heartbeat = min(set.heartbeat, set.session/3) // as Kafka's documentation asks for
	name := memberID(s.Consumer.Name, s.Member)
	d := set.dialer()
	conf, err := set.consumerConfig(name, s, d)
	if err != nil {
		return nil, err
	}
	c := &consumer{
		spec: s, set: set, ready: make(chan struct{}), done: make(chan struct{}),
		offsets: offsets{group: s.Consumer.Group, instance: conf.Consumer.Group.InstanceId},
	}
	c.cluster = newCluster(set, name, s.Bootstrap, s.Consumer.Topics, nil)
	c.client = &groupClient{newClient(c.cluster, conf, d)}
	c.offsets.client = c.client.client
	c.group, err = sarama.NewConsumerGroupFromClient(s.Consumer.Group, c.client)
	if err != nil {
		c.cluster.close(true)
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.run(run)
	select {
	case <-c.ready:
		return c, nil
	case <-ctx.Done():
		c.Crash()
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, errors.Join(ctx.Err(), c.lastErr)
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
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	if p.Start == "latest" {
		c.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	return c, c.Validate()
}

// run keeps the member in the group.
func (c *consumer) run(ctx context.Context) {
	defer close(c.done)
	for ctx.Err() == nil {
		err := c.group.Consume(ctx, c.spec.Consumer.Topics, c)
		if errors.Is(err, sarama.ErrClosedConsumerGroup) || errors.Is(err, sarama.ErrClosedClient) {
			return
		}
		if err != nil && ctx.Err() == nil {
			c.mu.Lock()
			c.lastErr = err
			c.mu.Unlock()
			c.spec.Env.Log(fmt.Sprintf("%s: %s", memberID(c.spec.Consumer.Name, c.spec.Member), reason(err)))
			if !c.cluster.pause(c.set.wall(c.set.backoff)) {
				return
			}
		}
	}
}

// Setup implements sarama.ConsumerGroupHandler: a session begins.
func (c *consumer) Setup(sess sarama.ConsumerGroupSession) error {
	c.note(sess)
	c.once.Do(func() { close(c.ready) })
	go c.attend(sess)
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (c *consumer) Cleanup(sess sarama.ConsumerGroupSession) error { return nil }

// note records what the member owns, when that is news.
func (c *consumer) note(sess sarama.ConsumerGroupSession) {
	var owned []record.TopicPartition
	for topic, partitions := range sess.Claims() {
		for _, p := range partitions {
			owned = append(owned, record.TopicPartition{Topic: topic, Partition: p})
		}
	}
	sort.Slice(owned, func(i, j int) bool {
		a, b := owned[i], owned[j]
		return a.Topic < b.Topic || a.Topic == b.Topic && a.Partition < b.Partition
	})
	generation := sess.GenerationID()
	c.mu.Lock()
	defer c.mu.Unlock()
	same := c.joined && generation == c.generation && len(owned) == len(c.owned)
	for i := 0; same && i < len(owned); i++ {
		same = owned[i] == c.owned[i]
	}
	if same {
		return
	}
	c.joined, c.generation, c.owned = true, generation, owned
	c.spec.Log.Assigned(generation, owned, c.spec.Clock.Now())
}

// attend commits each commit_every and sees new generations of a cooperative
// session, which sarama does not tell, while a session lasts.
func (c *consumer) attend(sess sarama.ConsumerGroupSession) {
	every := time.Duration(c.spec.Consumer.CommitEvery)
	if every <= 0 {
		every = time.Second
	}
	commits := time.NewTicker(c.set.wall(every))
	defer commits.Stop()
	looks := time.NewTicker(c.set.wall(c.set.heartbeat))
	defer looks.Stop()
	done := sess.Context().Done()
	for {
		select {
		case <-looks.C:
			c.note(sess)
		case <-commits.C:
			if c.spec.Consumer.Commit == commitAfter || c.spec.Consumer.Commit == commitAuto {
				if err := c.offsets.commitAll(done, sess); err != nil {
					c.complain("commit", err)
				}
			}
		case <-done:
			return
		}
	}
}

func (c *consumer) complain(what string, err error) {
	c.spec.Env.Log(fmt.Sprintf("%s: %s: %s", memberID(c.spec.Consumer.Name, c.spec.Member), what, reason(err)))
}

// ConsumeClaim implements sarama.ConsumerGroupHandler: it reads one partition
// until it is taken away or the session ends.
func (c *consumer) ConsumeClaim(sess sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	c.note(sess)
	f := newFetcher(c.cluster, c.set, memberID(c.spec.Consumer.Name, c.spec.Member), claim.Topic(), claim.Partition(), claim.InitialOffset())
	if c.spec.Consumer.Isolation == "read_committed" {
		f.isolation = sarama.ReadCommitted
		f.client.conf.Consumer.IsolationLevel = sarama.ReadCommitted // where "latest" is
	}
	f.moved = func(to int64) {
		c.offsets.forget(claim.Topic(), claim.Partition()) // the position was moved
		c.spec.Log.Position(claim.Topic(), claim.Partition(), to, c.spec.Clock.Now())
	}
	over := make(chan struct{}) // the claim is
	released := make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case _, ok := <-claim.Messages(): // closed when the claim is taken away
				if !ok {
					return
				}
			case <-sess.Context().Done():
				return
			case <-released:
				return
			}
		}
	}()
	chunks := make(chan chunk, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(chunks)
		c.fetch(f, over, chunks)
	})
	k := &claimed{c: c, sess: sess, topic: claim.Topic(), partition: claim.Partition(), over: over}
	for open := true; open; {
		select {
		case x, ok := <-chunks:
			open = ok && k.process(x)
		case <-over:
			open = false
		}
	}
	f.end(true)
	close(released)
	<-over
	reading.Wait()
	c.mu.Lock()
	crashed := c.crashed
	c.mu.Unlock()
	if !crashed && c.spec.Consumer.Commit != commitNone {
		k.handBack()
	}
	c.offsets.forget(k.topic, k.partition)
	return nil
}

// fetch reads a claim into chunks until it is over.
func (c *consumer) fetch(f *fetcher, over <-chan struct{}, chunks chan<- chunk) {
	which := int64(sarama.OffsetOldest)
	if c.spec.Consumer.Start == "latest" {
		which = sarama.OffsetNewest
	}
	start := f.offset
	for {
		if start < 0 { // nothing committed, or reset (auto.offset.reset)
			n, err := f.bound(which)
			if err != nil {
				return
			}
			f.offset, f.epoch = n, -1
			c.offsets.forget(f.topic, f.partition)
		}
		c.spec.Log.Position(f.topic, f.partition, f.offset, c.spec.Clock.Now())
		start = f.offset
		for {
			x, err := f.next()
			if errors.Is(err, errOutOfRange) {
				c.complain(fmt.Sprintf("%s/%d: offset %d", f.topic, f.partition, f.offset), err)
				start = -1
				break
			}
			if errors.Is(err, sarama.ErrClosedClient) {
				return
			}
			if err != nil {
				c.complain(fmt.Sprintf("%s/%d", f.topic, f.partition), err)
				if f.retry() != nil {
					return
				}
				continue
			}
			if len(x.records) == 0 && x.next == start {
				continue
			}
			start = x.next
			select {
			case chunks <- x:
			case <-over:
				return
			}
		}
	}
}

// claimed is one claim while it is processed.
type claimed struct {
	c         *consumer
	sess      sarama.ConsumerGroupSession
	topic     string
	partition int32
	over      <-chan struct{}
}

// process handles a chunk poll by poll; false when the claim is over.
func (k *claimed) process(x chunk) bool {
	c := k.c
	poll := max(c.set.pollRecords, 1)
	for rest := x.records; len(rest) > 0; {
		n := min(poll, len(rest))
		last := rest[n-1].offset + 1
		if c.spec.Consumer.Commit == commitBefore {
			c.offsets.mark(k.topic, k.partition, last)
			if err := c.offsets.commit(k.over, k.sess, k.topic, k.partition); err != nil {
				c.complain("commit", err)
				return false
			}
		}
		for _, r := range rest[:n] {
			if r.aborted {
				continue
			}
			if !c.work(k.over) {
				return false
			}
			now := c.spec.Clock.Now()
			if id, ok := record.Decode(r.value); ok && id.Run == c.spec.RunID {
				c.spec.Log.Delivered(k.topic, k.partition, r.offset, id, now)
			} else {
				c.spec.Log.Foreign(k.topic, k.partition, r.offset, now)
			}
			if c.spec.Consumer.Commit == commitAfter {
				c.offsets.mark(k.topic, k.partition, r.offset+1)
			}
		}
		if c.spec.Consumer.Commit == commitAuto {
			c.offsets.mark(k.topic, k.partition, last)
		}
		rest = rest[n:]
	}
	if tail := x.records; len(tail) == 0 || tail[len(tail)-1].aborted || tail[len(tail)-1].offset+1 < x.next {
		// What is no record to this member (aborted ones, markers) is read all the same.
		c.spec.Log.Position(k.topic, k.partition, x.next, c.spec.Clock.Now())
		if c.spec.Consumer.Commit != commitNone {
			c.offsets.mark(k.topic, k.partition, x.next)
		}
	}
	return true
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

// handBack commits what was processed of a claim that is over, for at most 5 s
// of scenario time: longer would hold up the group.
func (k *claimed) handBack() {
	limit := make(chan struct{})
	t := time.AfterFunc(k.c.set.wall(5*time.Second), func() { close(limit) })
	defer t.Stop()
	done := make(chan error, 1)
	k.c.cluster.spawn(func() { done <- k.c.offsets.commit(limit, k.sess, k.topic, k.partition) })
	select {
	case err := <-done:
		if err != nil {
			k.c.complain("commit", err)
		}
	case <-limit:
		k.c.complain("commit", errors.New("no answer from the coordinator"))
	case <-k.c.cluster.closed:
	}
}

// Stop ends the member in order: what was processed is committed, and the group
// is told if its coordinator can be reached. When ctx ends first the connections
// are torn and the error says so.
func (c *consumer) Stop(ctx context.Context) error {
	var err error
	c.ended.Do(func() {
		c.cancel()
		left := make(chan error, 1)
		go func() {
			<-c.done
			left <- c.group.Close()
		}()
		select {
		case err = <-left:
			if err == nil {
				c.spec.Log.Left(c.spec.Clock.Now())
			} else { // as a Java consumer closes all the same when its coordinator is away
				c.complain("leave", err)
				err = nil
			}
		case <-ctx.Done():
			err = fmt.Errorf("the group was not left: %w", ctx.Err())
			c.tear()
			within(patience, func() { <-left })
		}
		c.client.end(false)
		c.cluster.close(false)
	})
	return err
}

// Crash ends the member without goodbye.
func (c *consumer) Crash() {
	c.ended.Do(func() {
		c.tear()
		c.cancel()
		if !within(patience, func() { <-c.done; c.group.Close() }) {
			c.complain("crash", errors.New("the consumer group of sarama does not end"))
		}
	})
}

// tear resets all connections and refuses new ones.
func (c *consumer) tear() {
	c.mu.Lock()
	c.crashed = true
	c.mu.Unlock()
	c.client.end(true)
	c.cluster.close(true)
}
