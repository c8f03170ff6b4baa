package kafka

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
)

// inspector gives one for the bed's cluster, which is closed at the end.
func (b *bed) inspector() *Inspector {
	i := &Inspector{Brokers: b.control.Bootstrap}
	b.t.Cleanup(func() { i.Close() })
	return i
}

// differs says where a state from outside is not what the engine knows; "" for
// nowhere.
func differs(got, want runtime.State) string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	var alive []int32
	for _, n := range want.Nodes {
		if n.Alive {
			alive = append(alive, n.ID)
		}
	}
	var have []int32
	for _, n := range got.Nodes {
		if n.Alive {
			have = append(have, n.ID)
		}
	}
	if !slices.Equal(have, alive) {
		say("alive: got %v, want %v", have, alive)
	}
	if !slices.Equal(got.Controllers, want.Controllers) {
		say("controllers: got %v, want %v", got.Controllers, want.Controllers)
	}
	if len(got.Partitions) != len(want.Partitions) {
		say("partitions: got %d, want %d", len(got.Partitions), len(want.Partitions))
		return strings.Join(out, "\n")
	}
	for n, w := range want.Partitions {
		if g := got.Partitions[n]; fmt.Sprintf("%+v", g) != fmt.Sprintf("%+v", w) {
			say("got  %+v\nwant %+v", g, w)
		}
	}
	return strings.Join(out, "\n")
}

// agree waits until the inspector says what the engine knows, before and after
// the question, but for what change makes of it.
func (b *bed) agree(i *Inspector, what string, change func(*runtime.State)) runtime.State {
	b.t.Helper()
	const patience = 20 * time.Second
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		before, err := b.world.Inspect(b.ctx, "kafka")
		if err != nil {
			b.t.Fatal(err)
		}
		got, err := i.Inspect(b.ctx, "kafka")
		if err != nil {
			last = err.Error()
			continue
		}
		after, err := b.world.Inspect(b.ctx, "kafka")
		if err != nil {
			b.t.Fatal(err)
		}
		if change != nil {
			change(&before)
			change(&after)
		}
		if last = differs(got, before); last == "" && differs(got, after) == "" {
			return got
		}
	}
	b.t.Fatalf("%s: the inspector does not agree with the engine within %v:\n%s", what, patience, last)
	return runtime.State{}
}

func partition(s runtime.State, topic string, id int32) runtime.PartitionState {
	for _, p := range s.Partitions {
		if p.Topic == topic && p.Partition == id {
			return p
		}
	}
	return runtime.PartitionState{Leader: -2}
}

// unknownOf makes what partitions led by a node that does not answer look like.
func unknownOf(id int32) func(*runtime.State) {
	return func(s *runtime.State) {
		for n := range s.Partitions {
			if p := &s.Partitions[n]; p.Leader == id {
				p.Start, p.HighWater, p.Stable, p.End, p.Size = -1, -1, -1, -1, 0
			}
		}
	}
}

func TestInspect(t *testing.T) {
	b := start(t, scenario(), 10)
	i := b.inspector()
	b.agree(i, "an empty cluster", nil)

	p := b.producer(1)
	c := b.consumer(1)
	p.Begin(0, 2000)
	b.sleep(3 * time.Second)
	p.SetRate(0)
	b.stop(p)
	b.stop(c)
	s := b.agree(i, "with records and a group", nil)
	if x := partition(s, "orders", 0); x.HighWater <= 0 || x.Size <= 0 || x.End != x.HighWater {
		t.Errorf("orders/0: got %+v, want records", x)
	}
	if x := partition(s, "__consumer_offsets", 0); x.Leader < 0 {
		t.Errorf("internal topics: got %+v, want them among the partitions", x)
	}

	victim := b.leader(0)
	b.signal(victim, runtime.SignalKill)
	s = b.agree(i, "after a kill", nil)
	for end := time.Now().Add(10 * time.Second); slices.ContainsFunc(s.Nodes, func(n runtime.NodeState) bool { return n.ID == victim }); {
		if time.Now().After(end) {
			t.Fatal("the killed broker is never fenced")
		}
		s = b.agree(i, "until it is fenced", nil)
	}
	if x := partition(s, "orders", 0); x.Leader == victim || slices.Contains(x.ISR, victim) || x.Epoch < 1 {
		t.Errorf("orders/0: got %+v, want another leader", x)
	}
	b.signal(victim, runtime.SignalStart)
	b.agree(i, "after the start", nil)
	b.do(plan.Action{Verb: plan.Elect, Targets: topicRef(), Elect: "preferred", Partition: -1})
	b.do(plan.Action{Verb: plan.Resize, Targets: topicRef(), Partitions: 8})
	b.do(plan.Action{Verb: plan.Move, Targets: topicRef(), Placement: map[int][]int32{0: {3, 1}}})
	s = b.agree(i, "after resize, elect and move", nil)
	if x := partition(s, "orders", 0); !slices.Equal(x.Replicas, []int32{3, 1}) {
		t.Errorf("orders/0: got replicas %v, want [3 1]", x.Replicas)
	}
	if x := partition(s, "orders", 7); x.Leader < 1 {
		t.Errorf("orders/7: got %+v, want a leader", x)
	}
}

// A frozen broker takes connections and never answers.
func TestInspectFrozen(t *testing.T) {
	plan := scenario()
	plan.Producers[0].Acks = "1"
	b := start(t, plan, 1)
	i := b.inspector()
	b.agree(i, "before", nil)
	victim := b.leader(0)
	b.signal(victim, runtime.SignalPause)
	p := b.producer(1)
	defer p.Crash()
	p.Begin(b.clock.Now(), 2000)
	first := time.Now()
	s, err := i.Inspect(b.ctx, "kafka")
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(first); took > 4*peerPatience {
		t.Errorf("the first look: took %v, want little more than %v", took, peerPatience)
	}
	if x := partition(s, "orders", 0); x.Leader != victim || x.HighWater != -1 || x.End != -1 || x.Start != -1 {
		t.Errorf("orders/0: got %+v, want leader %d and no offsets", x, victim)
	}
	const looks = 20
	var times []time.Duration
	for range looks {
		at := time.Now()
		if _, err := i.Inspect(b.ctx, "kafka"); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(at))
	}
	slices.Sort(times)
	if got := times[looks/2]; got > peerPatience/5 {
		t.Errorf("the next looks: half took over %v, want them not to wait for the frozen broker", got)
	}
	// What the frozen follower does not fetch is above the high-water mark.
	b.sleep(300 * time.Millisecond)
	p.Crash()
	s = b.agree(i, "with a frozen follower", unknownOf(victim))
	if !slices.ContainsFunc(s.Partitions, func(p runtime.PartitionState) bool { return p.End > p.HighWater && p.HighWater >= 0 }) {
		t.Errorf("got %+v, want an end above a high-water mark", s.Partitions)
	}
	b.signal(victim, runtime.SignalResume)
	b.agree(i, "after", nil)
}

// A controller that is cut off from the others takes itself for active, and its
// broker's view stays behind; the inspector is on neither side.
func TestInspectCut(t *testing.T) {
	b := start(t, scenario(), 10)
	i := b.inspector()
	old := b.agree(i, "before", nil).Controllers[0]
	var cut []runtime.Path
	for id := range int32(3) {
		if other := id + 1; other != old {
			x, y := runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: old}}, runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: other}}
			cut = append(cut, runtime.Path{From: x, To: y, Condition: plan.Condition{Cut: true}}, runtime.Path{From: y, To: x, Condition: plan.Condition{Cut: true}})
		}
	}
	shape := func(paths []runtime.Path) {
		t.Helper()
		if p, err := b.world.(runtime.Network).Shape(b.ctx, paths); err != nil || !p.OK {
			t.Fatalf("shape: got %+v, %v", p, err)
		}
	}
	shape(cut)
	// The engine gives the controllers in order of their ids.
	newestFirst := func(s *runtime.State) {
		if len(s.Controllers) == 2 && s.Controllers[0] == old {
			slices.Reverse(s.Controllers)
		}
	}
	var s runtime.State
	for end := time.Now().Add(15 * time.Second); len(s.Nodes) != 2; {
		if time.Now().After(end) {
			t.Fatalf("got %+v, want the cut-off broker fenced", s.Nodes)
		}
		s = b.agree(i, "cut", newestFirst)
	}
	if len(s.Controllers) == 0 || s.Controllers[0] == old {
		t.Errorf("controllers: got %v, want another than %d first", s.Controllers, old)
	}
	for _, x := range s.Partitions {
		if x.Leader == old || x.Leader < 0 || x.End < 0 {
			t.Errorf("got %+v, want another leader than %d, and its offsets", x, old)
		}
	}
	shape(nil)
	b.agree(i, "healed", newestFirst)
}

// A partition whose in-sync replicas are gone has no leader; an unclean election
// gives it one.
func TestInspectUnclean(t *testing.T) {
	p := scenario()
	p.Clusters[0].Nodes = append(p.Clusters[0].Nodes, plan.Node{ID: 4, Role: plan.RoleCombined, Site: plan.ImpliedSite}, plan.Node{ID: 5, Role: plan.RoleCombined, Site: plan.ImpliedSite})
	p.Topics[0].Partitions, p.Topics[0].Replicas, p.Topics[0].MinInsync = 1, 2, 1
	p.Topics[0].Placement = map[int][]int32{0: {4, 5}}
	b := start(t, p, 10)
	i := b.inspector()
	b.signal(5, runtime.SignalKill)
	for partition(b.agree(i, "without the follower", nil), "orders", 0).ISR[0] != 4 || len(partition(b.agree(i, "without the follower", nil), "orders", 0).ISR) > 1 {
		b.sleep(100 * time.Millisecond)
	}
	b.do(plan.Action{Verb: plan.Send, Targets: topicRef(), Text: "lost"})
	b.signal(4, runtime.SignalKill)
	b.signal(5, runtime.SignalStart)
	var s runtime.State
	for end := time.Now().Add(15 * time.Second); partition(s, "orders", 0).Leader != -1; {
		if time.Now().After(end) {
			t.Fatalf("got %+v, want no leader", partition(s, "orders", 0))
		}
		s = b.agree(i, "with nobody in sync", nil)
	}
	x := partition(s, "orders", 0)
	if !slices.Equal(x.ISR, []int32{4}) || x.End != -1 || x.HighWater != -1 {
		t.Errorf("got %+v, want no leader, broker 4 in sync, no offsets", x)
	}
	b.do(plan.Action{Verb: plan.Elect, Targets: topicRef(), Elect: "unclean", Partition: 0})
	s = b.agree(i, "after the unclean election", nil)
	if y := partition(s, "orders", 0); y.Leader != 5 || y.Epoch <= x.Epoch || y.End != 0 {
		t.Errorf("got %+v, want broker 5 to lead an empty log in a newer epoch", y)
	}
}

// The active controller is killed, then the majority.
func TestInspectControllers(t *testing.T) {
	b := start(t, scenario(), 10)
	i := b.inspector()
	s := b.agree(i, "before", nil)
	if len(s.Controllers) != 1 {
		t.Fatalf("controllers: got %v, want one", s.Controllers)
	}
	old := s.Controllers[0]
	b.signal(old, runtime.SignalKill)
	for end := time.Now().Add(10 * time.Second); len(s.Controllers) != 1 || s.Controllers[0] == old; {
		if time.Now().After(end) {
			t.Fatalf("controllers: got %v, want another than %d", s.Controllers, old)
		}
		s = b.agree(i, "after its death", nil)
	}
	b.signal(old, runtime.SignalStart)
	b.agree(i, "after its return", nil)
	var last int32
	for id := range int32(3) {
		if id+1 != s.Controllers[0] {
			b.signal(id+1, runtime.SignalKill)
		} else {
			last = id + 1
		}
	}
	// One broker is left, and no majority to fence the others.
	s, err := i.Inspect(b.ctx, "kafka")
	if err != nil {
		t.Fatal(err)
	}
	if x := partition(s, "orders", 0); x.Leader == last != (x.End >= 0) {
		t.Errorf("orders/0: got %+v, want offsets exactly where broker %d leads", x, last)
	}
	b.signal(last, runtime.SignalKill)
	at := time.Now()
	if _, err := i.Inspect(b.ctx, "kafka"); err == nil {
		t.Error("with every broker dead: got no error, want one")
	}
	if took := time.Since(at); took > 4*peerPatience {
		t.Errorf("with every broker dead: took %v, want it soon", took)
	}
}

// Callers at once share rounds, each gets a state of its own, and what cannot be
// had ends with the context or with Close.
func TestInspectCallers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	i := &Inspector{Brokers: func(string) ([]string, error) { return []string{silent.Addr().String()}, nil }}
	defer i.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	at := time.Now()
	if _, err := i.Inspect(ctx, "kafka"); err == nil || time.Since(at) > peerPatience/2 {
		t.Errorf("got %v after %v, want an error when the context ends", err, time.Since(at))
	}
	if _, err := i.Inspect(context.Background(), "kafka"); err == nil || !strings.Contains(err.Error(), "cluster kafka: ") {
		t.Errorf("got %v, want that no broker answers", err)
	}
	done := make(chan error)
	go func() {
		_, err := i.Inspect(context.Background(), "kafka")
		done <- err
	}()
	i.Close()
	if err := <-done; err == nil {
		t.Error("after Close: got no error, want one")
	}
	if _, err := i.Inspect(context.Background(), "kafka"); err == nil {
		t.Error("after Close: got no error, want one")
	}
}
