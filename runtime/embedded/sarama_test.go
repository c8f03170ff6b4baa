package embedded

// This file defines the tests with a real client, sarama, over real TCP.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

func TestProduceAndConsume(t *testing.T) {
	for _, tt := range []struct {
		name   string
		speed  float64
		change func(*sarama.Config)
	}{
		{"acks=all", 10, func(*sarama.Config) {}},
		{"acks=all at speed 1", 1, func(*sarama.Config) {}},
		{"acks=1", 10, func(c *sarama.Config) { c.Producer.RequiredAcks = sarama.WaitForLocal }},
		{"idempotent", 10, func(c *sarama.Config) { c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1 }},
		{"zstd", 10, func(c *sarama.Config) { c.Producer.Compression = sarama.CompressionZSTD }},
		{"version 2.0", 10, func(c *sarama.Config) { c.Version = sarama.V2_0_0_0 }},
		{"version 4.0", 10, func(c *sarama.Config) { c.Version = sarama.V4_0_0_0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, kafkaPlan(3, 0, nil), tt.speed)
			b.topic("t", 6, 3, map[string]string{"min.insync.replicas": "2"})
			config := b.config()
			tt.change(config)
			c, err := sarama.NewClient(b.bootstrap(runtime.Place{Client: "shop", Member: 1}), config)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			acked := b.produce(c, "t", 6, 0, 3_000)
			got := b.read("t", 6)
			for p := range int32(6) {
				if !slices.Equal(got[p], acked[p]) {
					t.Errorf("partition %d: read %d records, want the %d acknowledged ones in order", p, len(got[p]), len(acked[p]))
				}
			}
		})
	}
}

// groupUnderTest is a group whose members share what they saw.
type groupUnderTest struct {
	b      *bed
	mu     sync.Mutex
	seen   map[string]int
	owned  map[string][]int32
	change func(*sarama.Config)
}

// join starts a member; the result makes it leave in order.
func (g *groupUnderTest) join(member int) (leave func()) {
	g.b.t.Helper()
	config := g.b.config()
	if g.change != nil {
		g.change(config)
	}
	name := fmt.Sprint(member)
	config.ClientID = "billing-" + name
	cg, err := sarama.NewConsumerGroup(g.b.bootstrap(runtime.Place{Client: "billing", Member: member}), "billing", config)
	if err != nil {
		g.b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.b.ctx)
	var wg sync.WaitGroup
	wg.Add(2)
	go func() {
		defer wg.Done()
		for range cg.Errors() {
			// Sarama reports what it then retries; the test sees the outcome.
		}
	}()
	go func() {
		defer wg.Done()
		for ctx.Err() == nil {
			if err := cg.Consume(ctx, []string{"t"}, &sharedHandler{g, name}); errors.Is(err, sarama.ErrClosedConsumerGroup) {
				return
			}
		}
	}()
	var once sync.Once
	leave = func() {
		once.Do(func() {
			cancel()
			cg.Close()
			wg.Wait()
			g.mu.Lock()
			delete(g.owned, name)
			g.mu.Unlock()
		})
	}
	g.b.t.Cleanup(leave)
	return leave
}

type sharedHandler struct {
	g    *groupUnderTest
	name string
}

func (h *sharedHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *sharedHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim owns a partition for as long as it runs: a cooperative member keeps its
// session while partitions come and go.
func (h *sharedHandler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	h.g.mu.Lock()
	h.g.owned[h.name] = append(h.g.owned[h.name], c.Partition())
	h.g.mu.Unlock()
	for m := range c.Messages() {
		h.g.mu.Lock()
		h.g.seen[string(m.Value)]++
		h.g.mu.Unlock()
		s.MarkMessage(m, "")
	}
	h.g.mu.Lock()
	h.g.owned[h.name] = slices.DeleteFunc(h.g.owned[h.name], func(p int32) bool { return p == c.Partition() })
	h.g.mu.Unlock()
	return nil
}

func newGroup(b *bed, change func(*sarama.Config)) *groupUnderTest {
	return &groupUnderTest{b: b, seen: map[string]int{}, owned: map[string][]int32{}, change: change}
}

// until waits for what the members share.
func (g *groupUnderTest) until(what string, holds func() bool) {
	g.b.t.Helper()
	for {
		g.mu.Lock()
		ok := holds()
		state := fmt.Sprintf("owned %v, seen %d", g.owned, len(g.seen))
		g.mu.Unlock()
		if ok {
			return
		}
		if g.b.ctx.Err() != nil {
			g.b.t.Fatalf("waiting for %s: %s", what, state)
		}
		time.Sleep(time.Millisecond)
	}
}

func (g *groupUnderTest) untilSeen(n int) {
	g.b.t.Helper()
	g.until(fmt.Sprintf("%d records seen", n), func() bool { return len(g.seen) >= n })
}

// untilShared waits until each of the members owns so many partitions, and each
// partition has one owner.
func (g *groupUnderTest) untilShared(members, partitions int) {
	g.b.t.Helper()
	g.until(fmt.Sprintf("%d members with %d partitions in all", members, partitions), func() bool {
		var all []int32
		for _, own := range g.owned {
			if len(own) != partitions/members {
				return false
			}
			all = append(all, own...)
		}
		slices.Sort(all)
		return len(g.owned) == members && len(all) == partitions && len(slices.Compact(all)) == partitions
	})
}

func TestGroupOfTwo(t *testing.T) {
	for _, tt := range []struct {
		strategy func() sarama.BalanceStrategy
		speed    float64
	}{
		{sarama.NewBalanceStrategyRange, 10}, {sarama.NewBalanceStrategyRoundRobin, 10},
		{sarama.NewBalanceStrategySticky, 10}, {sarama.NewBalanceStrategyCooperativeSticky, 10},
		{sarama.NewBalanceStrategyRange, 1},
	} {
		t.Run(fmt.Sprintf("%s at speed %v", tt.strategy().Name(), tt.speed), func(t *testing.T) {
			b := start(t, kafkaPlan(3, 0, nil), tt.speed)
			b.topic("t", 6, 3, nil)
			g := newGroup(b, func(c *sarama.Config) {
				c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{tt.strategy()}
			})
			leave, leaveToo := g.join(1), g.join(2)
			g.untilShared(2, 6)
			b.produce(b.client(runtime.Place{}), "t", 6, 0, 600)
			g.untilSeen(600)
			leave()
			g.untilShared(1, 6)
			b.produce(b.client(runtime.Place{}), "t", 6, 600, 600)
			g.untilSeen(1_200)
			groups, err := b.admin().DescribeConsumerGroups([]string{"billing"})
			if err != nil || len(groups) != 1 || groups[0].State != "Stable" || len(groups[0].Members) != 1 {
				t.Errorf("describe: got %+v, %v, want a stable group of one", groups, err)
			}
			a := b.admin()
			if err := a.DeleteConsumerGroup("billing"); !errors.Is(err, sarama.ErrNonEmptyGroup) {
				t.Errorf("deleting a group with a member: got %v, want %v", err, sarama.ErrNonEmptyGroup)
			}
			leaveToo()
			if listed, err := a.ListConsumerGroups(); err != nil || listed["billing"] != "consumer" {
				t.Errorf("list: got %v, %v, want billing of type consumer", listed, err)
			}
			if err := a.DeleteConsumerGroupOffset("billing", "t", 0); err != nil {
				t.Errorf("deleting an offset: %v", err)
			}
			offsets, err := a.ListConsumerGroupOffsets("billing", nil)
			if err != nil || len(offsets.Blocks["t"]) != 5 {
				t.Errorf("offsets: got %d, %v, want those of the other 5 partitions", len(offsets.Blocks["t"]), err)
			}
			if err := a.DeleteConsumerGroup("billing"); err != nil {
				t.Errorf("deleting an empty group: %v", err)
			}
			if listed, err := a.ListConsumerGroups(); err != nil || len(listed) != 0 {
				t.Errorf("list: got %v, %v, want none", listed, err)
			}
		})
	}
}

// TestCoordinatorFailsOver kills the coordinator of a group: committed offsets are
// kept, and the group goes on where it was.
func TestCoordinatorFailsOver(t *testing.T) {
	b := start(t, kafkaPlan(4, 0, nil), 10)
	b.topic("t", 6, 3, nil)
	g := newGroup(b, nil)
	g.join(1)
	g.join(2)
	g.untilShared(2, 6)
	c := b.client(runtime.Place{})
	b.produce(c, "t", 6, 0, 600)
	g.untilSeen(600)
	committed := func() (sum int64, err error) {
		resp, err := b.admin().ListConsumerGroupOffsets("billing", map[string][]int32{"t": {0, 1, 2, 3, 4, 5}})
		if err != nil {
			return 0, err
		}
		if resp.Err != sarama.ErrNoError {
			return 0, resp.Err
		}
		for p := range int32(6) {
			if block := resp.GetBlock("t", p); block != nil && block.Offset > 0 {
				sum += block.Offset
			}
		}
		return sum, nil
	}
	wait := func(want int64) {
		t.Helper()
		for {
			got, err := committed()
			if err == nil && got == want {
				return
			}
			if b.ctx.Err() != nil || got > want {
				t.Fatalf("committed offsets: got %d in all, %v, want %d", got, err, want)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	wait(600)
	coordinator, err := c.Coordinator("billing")
	if err != nil {
		t.Fatal(err)
	}
	victim := coordinator.ID()
	b.signal(victim, runtime.SignalKill)
	wait(600)
	// Brokers learn of the new leader one after the other; soon all name it.
	b.until("another coordinator", func(runtime.State) bool {
		if err := c.RefreshCoordinator("billing"); err != nil {
			return false
		}
		coordinator, err := c.Coordinator("billing")
		return err == nil && coordinator.ID() != victim
	})
	b.produce(b.client(runtime.Place{}), "t", 6, 600, 600)
	g.untilSeen(1_200)
	wait(1_200)
}

// TestLeaderGoesDown: nothing that was acknowledged is lost, and with idempotence nothing
// is there twice.
func TestLeaderGoesDown(t *testing.T) {
	for _, tt := range []struct {
		name       string
		signal     runtime.Signal
		undo       runtime.Signal
		idempotent bool
	}{
		{"killed", runtime.SignalKill, runtime.SignalStart, false},
		{"killed, idempotent", runtime.SignalKill, runtime.SignalStart, true},
		{"stopped", runtime.SignalStop, runtime.SignalStart, true},
		{"paused", runtime.SignalPause, runtime.SignalResume, true},
		{"powered off", runtime.SignalPowerOff, runtime.SignalStart, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, kafkaPlan(3, 0, nil), 10)
			b.topic("t", 3, 3, map[string]string{"min.insync.replicas": "2"})
			config := b.config()
			// A silent broker shows only by the read timeout.
			config.Net.ReadTimeout = 300 * time.Millisecond
			if tt.idempotent {
				config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
			}
			c, err := sarama.NewClient(b.bootstrap(runtime.Place{Client: "shop", Member: 1}), config)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			acked := b.produce(c, "t", 3, 0, 300)
			victim := b.partition("t", 0).Leader
			b.signal(victim, tt.signal)
			for p, more := range b.produce(c, "t", 3, 300, 300) {
				acked[p] = append(acked[p], more...)
			}
			if now := b.partition("t", 0).Leader; now == victim {
				t.Errorf("leader after the %s: got %d still", tt.signal, now)
			}
			b.signal(victim, tt.undo)
			b.settled("t", 3, 3)
			read := b.read("t", 3)
			for p := range int32(3) {
				got := read[p]
				if tt.idempotent && !slices.Equal(got, acked[p]) {
					t.Errorf("partition %d: read %d records, want the %d acknowledged ones in order", p, len(got), len(acked[p]))
				}
				for _, v := range acked[p] {
					if !slices.Contains(got, v) {
						t.Errorf("partition %d: acknowledged record %s is lost", p, v)
					}
				}
			}
		})
	}
}

// TestClientCutOff cuts one client off from every broker; another in the same site is
// not hurt, and the first goes on after healing.
func TestClientCutOff(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	b.topic("t", 3, 3, nil)
	near, far := runtime.Place{Client: "near", Member: 1}, runtime.Place{Client: "far", Member: 1}
	cFar := b.client(far)
	b.produce(cFar, "t", 3, 0, 30)
	cNear := b.client(near)
	b.shape(cutOff(runtime.Endpoint{Place: far}, 1, 2, 3)...)
	done := make(chan map[int32][]string, 1)
	go func() { done <- b.produce(cFar, "t", 3, 100, 30) }()
	b.produce(cNear, "t", 3, 1_000, 3_000)
	select {
	case <-done:
		t.Fatal("records passed through the cut")
	default:
	}
	b.shape()
	select {
	case acked := <-done:
		read := b.read("t", 3)
		for p := range int32(3) {
			got := read[p]
			for _, v := range acked[p] {
				if !slices.Contains(got, v) {
					t.Errorf("partition %d: acknowledged record %s is lost", p, v)
				}
			}
		}
	case <-b.ctx.Done():
		t.Fatal("nothing was acknowledged after healing")
	}
}

// TestLeaderCutOffWithItsClient: with acks=1 a leader that is cut off goes on
// acknowledging to the client on its side. All of that is gone after healing; what the
// other side acknowledged stays.
func TestLeaderCutOffWithItsClient(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	b.topic("t", 1, 3, map[string]string{"min.insync.replicas": "2"})
	far, near := runtime.Place{Client: "far", Member: 1}, runtime.Place{Client: "near", Member: 1}
	config := b.config()
	config.Producer.RequiredAcks = sarama.WaitForLocal
	cFar, err := sarama.NewClient(b.bootstrap(far), config)
	if err != nil {
		t.Fatal(err)
	}
	defer cFar.Close()
	b.produce(cFar, "t", 1, 0, 100)
	b.settled("t", 1, 3)
	old := b.partition("t", 0).Leader
	var others []int32
	for _, id := range []int32{1, 2, 3} {
		if id != old {
			others = append(others, id)
		}
	}
	cut := cutOff(runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: old}}, others...)
	cut = append(cut, cutOff(runtime.Endpoint{Place: far}, others...)...)
	cut = append(cut, cutOff(runtime.Endpoint{Place: near}, old)...)
	b.shape(cut...)
	b.produce(cFar, "t", 1, 1_000, 100) // acknowledged by the leader alone
	b.until("a new leader", func(runtime.State) bool {
		return slices.Contains(others, b.partition("t", 0).Leader)
	})
	b.produce(cFar, "t", 1, 2_000, 100) // and still
	config = b.config()
	config.Net.ReadTimeout = 200 * time.Millisecond // the old leader shows only by silence
	config.Net.DialTimeout = 200 * time.Millisecond
	addrs := b.bootstrap(near)
	cNear, err := sarama.NewClient([]string{addrs[others[0]-1], addrs[others[1]-1]}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer cNear.Close()
	kept := b.produce(cNear, "t", 1, 3_000, 100)[0]
	b.shape()
	b.settled("t", 1, 3)
	got := b.read("t", 1)[0]
	for _, v := range got {
		if len(v) == 4 && (v[0] == '1' || v[0] == '2') {
			t.Fatalf("record %s of the side that lost is in the log", v)
		}
	}
	for _, v := range kept {
		if !slices.Contains(got, v) {
			t.Errorf("acknowledged record %s of the majority's side is lost", v)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.changes, func(c runtime.Change) bool { return c.Kind == runtime.ChangeTruncated && c.Node == old }) {
		t.Errorf("changes: want a truncation at %d", old)
	}
}

// TestUncleanElection loses what the leader alone had, when that is allowed, and waits
// for the leader when it is not.
func TestUncleanElection(t *testing.T) {
	for _, unclean := range []bool{true, false} {
		t.Run(fmt.Sprint(unclean), func(t *testing.T) {
			b := start(t, kafkaPlan(3, 3, map[string]string{
				"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500",
			}), 10)
			b.topic("t", 1, 3, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": fmt.Sprint(unclean)})
			c := b.client(runtime.Place{Client: "shop", Member: 1})
			before := b.produce(c, "t", 1, 0, 100)[0]
			p := b.partition("t", 0)
			var followers []int32
			for _, id := range p.Replicas {
				if id != p.Leader {
					followers = append(followers, id)
					b.signal(id, runtime.SignalKill)
				}
			}
			b.until("the leader alone in sync", func(s runtime.State) bool {
				return slices.Equal(b.partition("t", 0).ISR, []int32{p.Leader})
			})
			alone := b.produce(c, "t", 1, 100, 100)[0]
			b.signal(p.Leader, runtime.SignalKill)
			for _, id := range followers {
				b.signal(id, runtime.SignalStart)
			}
			if unclean {
				b.until("an unclean leader", func(runtime.State) bool { return slices.Contains(followers, b.partition("t", 0).Leader) })
				if got := b.read("t", 1)[0]; !slices.Equal(got, before) {
					t.Errorf("log after the unclean election: got %d records, want the %d from before the leader was alone", len(got), len(before))
				}
				b.mu.Lock()
				defer b.mu.Unlock()
				if !slices.ContainsFunc(b.changes, func(c runtime.Change) bool { return c.Kind == runtime.ChangeUnclean && c.Topic == "t" }) {
					t.Error("changes: want an unclean election among them")
				}
				return
			}
			if p := b.partition("t", 0); p.Leader != -1 {
				t.Errorf("leader while the last in-sync replica is down: got %d, want -1", p.Leader)
			}
			b.signal(p.Leader, runtime.SignalStart)
			b.settled("t", 1, 3)
			if got := b.read("t", 1)[0]; !slices.Equal(got, append(before, alone...)) {
				t.Errorf("log after the leader's return: got %d records, want all %d", len(got), len(before)+len(alone))
			}
		})
	}
}

func TestPartitionGrowth(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	b.topic("t", 2, 3, nil)
	g := newGroup(b, func(c *sarama.Config) { c.Metadata.RefreshFrequency = 100 * time.Millisecond })
	g.join(1)
	g.untilShared(1, 2)
	if err := b.admin().CreatePartitions("t", 5, nil, false); err != nil {
		t.Fatal(err)
	}
	b.settled("t", 5, 3)
	if err := b.admin().CreatePartitions("t", 3, nil, false); err == nil {
		t.Error("fewer partitions: got no error, want one")
	}
	b.produce(b.client(runtime.Place{}), "t", 5, 0, 500)
	g.untilShared(1, 5)
	g.untilSeen(500)
}

func TestAdmin(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, map[string]string{"min.insync.replicas": "2"}), 10)
	b.topic("t", 2, 3, map[string]string{"retention.ms": "5000"})
	a := b.admin()
	brokers, controller, err := a.DescribeCluster()
	if err != nil || len(brokers) != 3 || controller < 1 || controller > 3 {
		t.Errorf("describe cluster: got %d brokers, controller %d, %v, want 3 and one of them", len(brokers), controller, err)
	}
	value := func(kind sarama.ConfigResourceType, name, key string) string {
		t.Helper()
		found, err := a.DescribeConfigs([]*sarama.ConfigResource{{Type: kind, Name: name, ConfigNames: []string{key}}}, sarama.DescribeConfigsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found {
			for _, e := range r.Configs {
				if e.Name == key {
					return e.Value
				}
			}
		}
		return "(absent)"
	}
	if got := value(sarama.TopicResource, "t", "retention.ms"); got != "5000" {
		t.Errorf("retention.ms: got %s, want 5000", got)
	}
	if got := value(sarama.TopicResource, "t", "min.insync.replicas"); got != "2" {
		t.Errorf("min.insync.replicas, from the brokers: got %s, want 2", got)
	}
	set := func(op sarama.IncrementalAlterConfigsOperation, key, to string) error {
		return a.IncrementalAlterConfig(sarama.TopicResource, "t", map[string]sarama.IncrementalAlterConfigsEntry{key: {Operation: op, Value: &to}}, false)
	}
	if err := set(sarama.IncrementalAlterConfigsOperationSet, "min.insync.replicas", "3"); err != nil {
		t.Fatal(err)
	}
	b.until("min.insync.replicas 3", func(runtime.State) bool {
		return value(sarama.TopicResource, "t", "min.insync.replicas") == "3"
	})
	if err := set(sarama.IncrementalAlterConfigsOperationSet, "min.insnc.replicas", "3"); err == nil {
		t.Error("a config that Kafka does not have: got no error, want one")
	}
	if err := a.CreateTopic("t", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		t.Errorf("creating t again: got %v, want %v", err, sarama.ErrTopicAlreadyExists)
	}
	if err := a.CreateTopic("u", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 4}, false); !errors.Is(err, sarama.ErrInvalidReplicationFactor) {
		t.Errorf("four replicas on three brokers: got %v, want %v", err, sarama.ErrInvalidReplicationFactor)
	}
	if err := a.DeleteTopic("t"); err != nil {
		t.Error(err)
	}
	b.until("t gone", func(s runtime.State) bool {
		return !slices.ContainsFunc(s.Partitions, func(p runtime.PartitionState) bool { return p.Topic == "t" })
	})
}

// TestPlaces: each place gets its own addresses, from metadata too.
func TestPlaces(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	for _, place := range []runtime.Place{{}, {Site: plan.ImpliedSite}, {Client: "shop", Member: 1}} {
		want := slices.Sorted(slices.Values(b.bootstrap(place)))
		var got []string
		for _, broker := range b.client(place).Brokers() {
			got = append(got, broker.Addr())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("brokers in metadata for %+v: got %v, want %v", place, got, want)
		}
	}
	if _, err := b.Bootstrap("other", runtime.Place{}); err == nil {
		t.Error("bootstrap of an unknown cluster: got no error, want one")
	}
}
