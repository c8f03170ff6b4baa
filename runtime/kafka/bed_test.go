package kafka

// This file defines what the tests against the embedded engine share: a
// cluster, clients on it, and a reading of what they recorded.

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/record"
)

const runID = 77

// limit bounds each test in wall time; none comes near it.
const limit = 60 * time.Second

// testClock is a runtime.Clock that starts at a moment.
type testClock struct {
	zero  time.Time
	speed float64
}

func (c testClock) Now() time.Duration { return time.Duration(float64(time.Since(c.zero)) * c.speed) }

// bed is a running cluster with a recording.
type bed struct {
	t       *testing.T
	ctx     context.Context
	plan    *plan.Plan
	world   runtime.World
	clock   testClock
	log     *record.Writer
	load    Load
	control *Control

	mu    sync.Mutex
	lines []string
	cuts  []runtime.Path
	slow  time.Duration // wall time in which this machine did not run us
}

// slack is by how much scenario time this machine alone may have stretched
// anything: what a sleeping goroutine overslept in all, with a share for the
// many steps that one delivery takes.
func (b *bed) slack() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Duration(float64(2*b.slow) * b.clock.speed)
}

// watch measures slow until ctx ends.
func (b *bed) watch(ctx context.Context) {
	const nap = 5 * time.Millisecond
	last := time.Now()
	for ctx.Err() == nil {
		time.Sleep(nap)
		now := time.Now()
		if over := now.Sub(last) - nap; over > nap {
			b.mu.Lock()
			b.slow += over
			b.mu.Unlock()
		}
		last = now
	}
}

// scenario is a plan with a cluster kafka of three brokers, topic orders,
// producer shop and consumer billing.
func scenario() *plan.Plan {
	c := plan.Cluster{Name: "kafka", Config: map[string]string{}}
	for i := 1; i <= 3; i++ {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(i), Role: plan.RoleCombined, Site: plan.ImpliedSite})
	}
	return &plan.Plan{
		Format: plan.Format, Scenario: plan.Scenario{Seed: 1, RunFor: plan.Duration(time.Minute)},
		Sites:    []plan.Site{{Name: plan.ImpliedSite, Implied: true}},
		Clusters: []plan.Cluster{c},
		Topics:   []plan.Topic{{Name: "orders", Cluster: "kafka", Partitions: 6, Replicas: 3, MinInsync: 2}},
		Producers: []plan.Producer{{Name: "shop", Topic: "orders", Rate: 1000, Members: 1, Acks: "all", Size: 100,
			Partitioner: "round_robin", Timeout: plan.Duration(2 * time.Minute), Buffer: 32 << 20, Site: plan.ImpliedSite}},
		Consumers: []plan.Consumer{{Name: "billing", Topics: []string{"orders"}, Group: "billing", Members: 1,
			Start: "earliest", Commit: "after", CommitEvery: plan.Duration(time.Second), Assignor: "range",
			SessionTimeout: plan.Duration(10 * time.Second), Site: plan.ImpliedSite}},
	}
}

// start brings the cluster of a plan up with its topics, and checks at the end
// that no goroutine of the clients is left.
func start(t *testing.T, p *plan.Plan, speed float64) *bed {
	t.Helper()
	return startWith(t, embedded.Engine{}, p, speed, nil)
}

func startWith(t *testing.T, e embedded.Engine, p *plan.Plan, speed float64, operators map[string]runtime.Login) *bed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	w, err := e.Up(ctx, p, runtime.UpOptions{Speed: speed, Operators: operators})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	b := &bed{t: t, ctx: ctx, plan: p, world: w, clock: testClock{time.Now(), speed},
		log: record.NewMemory(p, record.Info{ID: runID, Speed: speed})}
	b.control = &Control{Plan: p, RunID: runID, Speed: speed, Operators: operators, Bootstrap: func(cluster string) ([]string, error) {
		return w.Bootstrap(cluster, runtime.Place{})
	}}
	t.Cleanup(func() {
		w.Close(context.Background())
		cancel()
		var stacks string
		for range 200 { // sarama's goroutines end by themselves, soon
			buf := make([]byte, 1<<20)
			stacks = string(buf[:goruntime.Stack(buf, true)])
			if !strings.Contains(stacks, "sarama.") && !strings.Contains(stacks, "created by starfall/runtime/kafka.") {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("goroutines left:\n%s", stacks)
	})
	go b.watch(ctx)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the machine's own slack: %v", b.slack())
			b.mu.Lock()
			defer b.mu.Unlock()
			for i, l := range b.lines {
				if i < 50 {
					t.Log(l)
				}
			}
		}
	})
	for _, c := range p.Clusters {
		var topics []plan.Topic
		for _, x := range p.Topics {
			if x.Cluster == c.Name && x.Origin != plan.Mirrored {
				x.Name, x.Kafka = x.KafkaName(), ""
				topics = append(topics, x)
			}
		}
		if len(topics) == 0 {
			continue
		}
		if err := b.control.Create(ctx, c.Name, topics); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bed) env() runtime.Env {
	return runtime.Env{RunID: runID, Seed: b.plan.Scenario.Seed, Speed: b.clock.speed, Clock: b.clock, Log: func(s string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, fmt.Sprintf("%v %s", b.clock.Now(), s))
	}}
}

func (b *bed) bootstrap(client string, member int) []string {
	b.t.Helper()
	return b.addresses("kafka", client, member)
}

func (b *bed) addresses(cluster, client string, member int) []string {
	b.t.Helper()
	addrs, err := b.world.Bootstrap(cluster, runtime.Place{Client: client, Member: member, Site: plan.ImpliedSite})
	if err != nil {
		b.t.Fatal(err)
	}
	return addrs
}

func (b *bed) producer(member int) runtime.Producer {
	b.t.Helper()
	return b.producerUntil(member, 0)
}

func (b *bed) producerUntil(member int, until time.Duration) runtime.Producer {
	b.t.Helper()
	x := b.plan.Producers[0]
	p, err := b.load.Producer(b.ctx, runtime.ProducerSpec{
		Env: b.env(), Producer: x, Topic: *b.plan.Topic(x.Topic), Member: member, Members: x.Members,
		Bootstrap: b.bootstrap(x.Name, member), Until: until, Log: b.log.Producer(x.Name, member),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.Crash)
	return p
}

func (b *bed) consumer(member int) runtime.Member {
	b.t.Helper()
	x := b.plan.Consumers[0]
	var topics []plan.Topic
	for _, name := range x.Topics {
		topics = append(topics, *b.plan.Topic(name))
	}
	c, err := b.load.Consumer(b.ctx, runtime.ConsumerSpec{
		Env: b.env(), Consumer: x, Topics: topics, Member: member,
		Bootstrap: b.bootstrap(x.Name, member), Log: b.log.Consumer(x.Name, member),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Crash)
	return c
}

// consumers starts members together: none is ready before the others.
func (b *bed) consumers(n int) []runtime.Member {
	b.t.Helper()
	out := make([]runtime.Member, n)
	var wait sync.WaitGroup
	for i := range out {
		wait.Go(func() { out[i] = b.consumer(i + 1) })
	}
	wait.Wait()
	return out
}

// sleep lets scenario time pass.
func (b *bed) sleep(d time.Duration) {
	time.Sleep(time.Duration(float64(d) / b.clock.speed))
}

// await waits until a recording says what is wanted, or fails after some
// scenario time, and what this machine took of it.
func (b *bed) await(within time.Duration, what string, ok func(seen) bool) seen {
	b.t.Helper()
	for from := b.clock.Now(); ; b.sleep(200 * time.Millisecond) {
		s := b.seen()
		if ok(s) {
			return s
		}
		if b.clock.Now()-from > within+b.slack() {
			b.t.Errorf("%s: not within %v", what, within)
			return s
		}
	}
}

func (b *bed) signal(id int32, s runtime.Signal) {
	b.t.Helper()
	p, err := b.world.(runtime.Processes).Signal(b.ctx, runtime.NodeKey{Cluster: "kafka", ID: id}, s)
	if err != nil || !p.OK {
		b.t.Fatalf("%s %d: got %+v, %v", s, id, p, err)
	}
}

// leader is the broker that leads a partition of orders.
func (b *bed) leader(partition int32) int32 {
	b.t.Helper()
	s, err := b.world.Inspect(b.ctx, "kafka")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range s.Partitions {
		if p.Topic == "orders" && p.Partition == partition {
			return p.Leader
		}
	}
	b.t.Fatalf("partition %d: not there", partition)
	return -1
}

func (b *bed) ends() map[int32]int64 {
	b.t.Helper()
	s, err := b.world.Inspect(b.ctx, "kafka")
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[int32]int64{}
	for _, p := range s.Partitions {
		if p.Topic == "orders" {
			out[p.Partition] = p.HighWater
		}
	}
	return out
}

// audit reads the topic into the recording.
func (b *bed) audit() {
	b.t.Helper()
	err := b.control.Audit(b.ctx, "kafka", "orders", b.ends(), func(p int32, start, hw int64) *record.AuditLog {
		return b.log.Audit("orders", p, start, hw)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// stop ends a member in order.
func (b *bed) stop(m runtime.Member) {
	b.t.Helper()
	if err := m.Stop(b.ctx); err != nil {
		b.t.Fatal(err)
	}
}

// source names a member's record.
type source struct {
	member int32
	seq    uint64
}

// seen is what a recording says about each record.
type seen struct {
	accepted  int
	acked     map[source][]record.Span // of one record each
	failed    map[source]string
	unknown   map[source]string
	delivered map[source]int
	dropped   map[source]int
	states    []record.StateNote
	audited   map[source]int
	foreign   int
	late      int
	changes   []record.GroupChange
	segments  []record.SegmentNote
	acks      map[int32][]time.Duration // by partition, in order of time
}

func (b *bed) seen() seen {
	b.t.Helper()
	s := seen{acked: map[source][]record.Span{}, failed: map[source]string{}, unknown: map[source]string{},
		delivered: map[source]int{}, dropped: map[source]int{}, audited: map[source]int{}, acks: map[int32][]time.Duration{}}
	rec := b.log.Recording()
	_, err := rec.Scan(func(k *record.Block) error {
		s.changes = append(s.changes, k.Changes...)
		s.segments = append(s.segments, k.Segments...)
		s.states = append(s.states, k.States...)
		return k.Spans(func(stream record.Stream, spans []record.Span) error {
			for _, x := range spans {
				switch x.Op {
				case record.OpAccepted:
					s.accepted += int(x.N)
					continue
				case record.OpLate:
					s.late += int(x.N)
					continue
				case record.OpForeign:
					s.foreign += int(x.N)
					continue
				case record.OpPosition:
					continue
				case record.OpAcked:
					s.acks[x.Partition] = append(s.acks[x.Partition], x.At)
				}
				for i := range uint64(x.N) {
					k := source{x.Source, x.First + i*x.Stride}
					one := x
					one.First, one.N, one.Offset = k.seq, 1, x.Offset+int64(i)
					switch x.Op {
					case record.OpAcked:
						s.acked[k] = append(s.acked[k], one)
					case record.OpFailed:
						s.failed[k] = rec.Reason(stream, x.Reason)
					case record.OpUnknown:
						s.unknown[k] = rec.Reason(stream, x.Reason)
					case record.OpDelivered:
						s.delivered[k]++
					case record.OpDropped:
						s.dropped[k]++
					case record.OpAudited:
						s.audited[k]++
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// longest is the longest time between two acknowledgements of a partition.
func (s seen) longest(partition int32) time.Duration {
	var gap, last time.Duration
	for i, at := range s.acks[partition] {
		if i > 0 {
			gap = max(gap, at-last)
		}
		last = at
	}
	return gap
}

// whole checks that every accepted record has one fate, and that the log holds
// what was acknowledged.
func (b *bed) whole(s seen) {
	b.t.Helper()
	if got := len(s.acked) + len(s.failed) + len(s.unknown); got != s.accepted {
		b.t.Errorf("fates: got %d (%d acked, %d failed, %d unknown), want %d, one for each accepted record",
			got, len(s.acked), len(s.failed), len(s.unknown), s.accepted)
	}
	lost := 0
	for k, spans := range s.acked {
		if len(spans) != 1 {
			b.t.Errorf("record %v: got %d acknowledgements, want 1", k, len(spans))
		}
		if s.audited[k] == 0 {
			lost++
		}
	}
	if lost > 0 {
		b.t.Errorf("lost: got %d of %d, want none", lost, len(s.acked))
	}
	for k := range s.failed {
		if s.audited[k] > 0 {
			b.t.Errorf("record %v: failed (%s), but it is in the log", k, s.failed[k])
		}
	}
	if s.foreign != 0 {
		b.t.Errorf("foreign records: got %d, want none", s.foreign)
	}
}
