package embedded

// This file defines what the tests share: plans, clients whose durations are divided
// by the speed, and waiting with a limit.

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// limit bounds each test; none comes near it.
const limit = 60 * time.Second

// kafkaPlan is a plan with one cluster named kafka.
func kafkaPlan(brokers, controllers int, config map[string]string) *plan.Plan {
	c := plan.Cluster{Name: "kafka", Config: config}
	role := plan.RoleCombined
	if controllers > 0 {
		role = plan.RoleBroker
	}
	for i := 1; i <= brokers; i++ {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(i), Role: role, Site: plan.ImpliedSite})
	}
	for i := range controllers {
		c.Nodes = append(c.Nodes, plan.Node{ID: int32(plan.FirstControllerID + i), Role: plan.RoleController, Site: plan.ImpliedSite})
	}
	return &plan.Plan{
		Format: plan.Format, Scenario: plan.Scenario{Seed: 1},
		Sites: []plan.Site{{Name: plan.ImpliedSite, Implied: true}}, Clusters: []plan.Cluster{c},
	}
}

// bed is a cluster under test.
type bed struct {
	*world
	t     *testing.T
	ctx   context.Context
	speed float64

	mu      sync.Mutex
	changes []runtime.Change
}

// start brings a plan up and checks at the end that nothing of it is left running.
func start(t *testing.T, p *plan.Plan, speed float64) *bed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	b := &bed{t: t, ctx: ctx, speed: speed}
	w, err := Engine{}.Up(ctx, p, runtime.UpOptions{Speed: speed, Observe: func(c runtime.Change) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changes = append(b.changes, c)
	}})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	b.world = w.(*world)
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		// A goroutine that has said it is done may need a moment to be gone.
		var stacks string
		n := 1
		for wait := time.Millisecond; n > 0 && wait < time.Second; wait *= 2 {
			time.Sleep(wait)
			buf := make([]byte, 1<<20)
			stacks = string(buf[:goruntime.Stack(buf, true)])
			n = strings.Count(stacks, "created by starfall/runtime/embedded/wire")
		}
		if n > 0 {
			t.Errorf("goroutines of the engine after Close: got %d, want none\n%s", n, stacks)
		}
	})
	return b
}

// config is sarama's with every duration divided by the speed.
func (b *bed) config() *sarama.Config {
	d := func(scenario time.Duration) time.Duration { return time.Duration(float64(scenario) / b.speed) }
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_0_0
	c.ClientID = "test"
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = d(30*time.Second), d(30*time.Second), d(30*time.Second)
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 100_000, d(250*time.Millisecond)
	c.Metadata.Timeout = limit
	c.Admin.Timeout, c.Admin.Retry.Max, c.Admin.Retry.Backoff = d(30*time.Second), 100, d(100*time.Millisecond)
	c.Producer.Retry.Max, c.Producer.Retry.Backoff = 1_000, d(100*time.Millisecond)
	c.Producer.Timeout = d(10 * time.Second)
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.MaxWaitTime, c.Consumer.Retry.Backoff = d(500*time.Millisecond), d(2*time.Second)
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = d(time.Second)
	c.Consumer.Group.Session.Timeout, c.Consumer.Group.Heartbeat.Interval = d(10*time.Second), d(3*time.Second)
	c.Consumer.Group.Rebalance.Timeout = d(60 * time.Second)
	c.Consumer.Group.Rebalance.Retry.Backoff, c.Consumer.Group.Rebalance.Retry.Max = d(2*time.Second), 100
	return c
}

func (b *bed) bootstrap(place runtime.Place) []string {
	b.t.Helper()
	addrs, err := b.Bootstrap("kafka", place)
	if err != nil {
		b.t.Fatal(err)
	}
	return addrs
}

func (b *bed) client(place runtime.Place) sarama.Client {
	b.t.Helper()
	c, err := sarama.NewClient(b.bootstrap(place), b.config())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

func (b *bed) admin() sarama.ClusterAdmin {
	b.t.Helper()
	a, err := sarama.NewClusterAdmin(b.bootstrap(runtime.Place{}), b.config())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { a.Close() })
	return a
}

// topic makes a topic and waits until it is settled.
func (b *bed) topic(name string, partitions int32, replicas int16, config map[string]string) {
	b.t.Helper()
	entries := map[string]*string{}
	for k, v := range config {
		entries[k] = &v
	}
	if err := b.admin().CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas, ConfigEntries: entries}, false); err != nil {
		b.t.Fatal(err)
	}
	b.settled(name, int(partitions), int(replicas))
}

func (b *bed) settled(name string, partitions, replicas int) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s with %d partitions, all led and in sync", name, partitions), func(s runtime.State) bool {
		n := 0
		for _, p := range s.Partitions {
			if p.Topic == name && p.Leader > 0 && len(p.ISR) == replicas {
				n++
			}
		}
		return n == partitions
	})
	// Each broker's own metadata shows it too, and every follower fetches.
	c := b.clusters["kafka"]
	if err := c.await(b.ctx, func() bool { return c.core.Settled() == nil }); err != nil {
		b.t.Fatalf("settled: %v", err)
	}
}

// until waits for a state of the cluster.
func (b *bed) until(what string, holds func(runtime.State) bool) runtime.State {
	b.t.Helper()
	var last runtime.State
	for {
		s, err := b.Inspect(b.ctx, "kafka")
		if err != nil {
			b.t.Fatalf("waiting for %s: %v; last state %+v", what, err, last)
		}
		if holds(s) {
			return s
		}
		last = s
		time.Sleep(time.Millisecond)
	}
}

func (b *bed) partition(name string, n int32) runtime.PartitionState {
	b.t.Helper()
	s, err := b.Inspect(b.ctx, "kafka")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range s.Partitions {
		if p.Topic == name && p.Partition == n {
			return p
		}
	}
	b.t.Fatalf("partition %s/%d: not found", name, n)
	return runtime.PartitionState{}
}

// signal sends a signal and wants its proof.
func (b *bed) signal(id int32, s runtime.Signal) runtime.Proof {
	b.t.Helper()
	proof, err := b.Signal(b.ctx, runtime.NodeKey{Cluster: "kafka", ID: id}, s)
	if err != nil {
		b.t.Fatal(err)
	}
	if !proof.OK {
		b.t.Fatalf("%s of %d: got no proof: %s", s, id, proof.Text)
	}
	return proof
}

// shape sets the network and wants its proof.
func (b *bed) shape(paths ...runtime.Path) {
	b.t.Helper()
	proof, err := b.Shape(b.ctx, paths)
	if err != nil {
		b.t.Fatal(err)
	}
	if !proof.OK {
		b.t.Fatalf("shape: got no proof: %s", proof.Text)
	}
}

// cutOff gives the paths that cut a place or node off from brokers.
func cutOff(from runtime.Endpoint, brokers ...int32) []runtime.Path {
	var out []runtime.Path
	for _, id := range brokers {
		to := runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: id}}
		cut := plan.Condition{Cut: true}
		out = append(out, runtime.Path{From: from, To: to, Condition: cut}, runtime.Path{From: to, To: from, Condition: cut})
	}
	return out
}

// produce sends records numbered from first, one goroutine a partition, and gives
// those that were acknowledged, by partition, in order of acknowledgement.
func (b *bed) produce(c sarama.Client, topic string, partitions int32, first, count int) map[int32][]string {
	b.t.Helper()
	p, err := sarama.NewAsyncProducerFromClient(c)
	if err != nil {
		b.t.Fatal(err)
	}
	go func() {
		for i := first; i < first+count; i++ {
			p.Input() <- &sarama.ProducerMessage{Topic: topic, Partition: int32(i) % partitions, Value: sarama.StringEncoder(fmt.Sprint(i))}
		}
	}()
	acked := map[int32][]string{}
	for n := 0; n < count; n++ {
		select {
		case m := <-p.Successes():
			v, _ := m.Value.Encode()
			acked[m.Partition] = append(acked[m.Partition], string(v))
		case e := <-p.Errors():
			b.t.Fatalf("record %v: %v", e.Msg.Value, e.Err)
		case <-b.ctx.Done():
			b.t.Fatalf("acknowledged %d of %d records: %v", n, count, b.ctx.Err())
		}
	}
	if err := p.Close(); err != nil {
		b.t.Fatal(err)
	}
	return acked
}

// read gives the values of each partition from start to its high-water mark, once that
// is at the end of the leader's log: with acks=1 it comes after the acknowledgement.
func (b *bed) read(topic string, partitions int32) map[int32][]string {
	b.t.Helper()
	c := b.client(runtime.Place{})
	consumer, err := sarama.NewConsumerFromClient(c)
	if err != nil {
		b.t.Fatal(err)
	}
	defer consumer.Close()
	ends, readers := map[int32]int64{}, map[int32]sarama.PartitionConsumer{}
	for p := range partitions {
		b.until("the high-water mark at the end", func(runtime.State) bool {
			state := b.partition(topic, p)
			return state.HighWater == state.End
		})
		if ends[p], err = c.GetOffset(topic, p, sarama.OffsetNewest); err != nil {
			b.t.Fatal(err)
		}
		if readers[p], err = consumer.ConsumePartition(topic, p, sarama.OffsetOldest); err != nil {
			b.t.Fatal(err)
		}
		defer readers[p].AsyncClose()
	}
	out := map[int32][]string{}
	for p := range partitions {
		for next := int64(0); next < ends[p]; {
			select {
			case m := <-readers[p].Messages():
				out[p] = append(out[p], string(m.Value))
				next = m.Offset + 1
			case <-b.ctx.Done():
				b.t.Fatalf("read %d records of %s/%d up to offset %d: %v", len(out[p]), topic, p, ends[p], b.ctx.Err())
			}
		}
	}
	return out
}
