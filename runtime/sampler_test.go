// This file tests how states become samples, and how the network is told of
// its wanted state.

package runtime

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

func TestSamplesOfAState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := small()
		c := newClock(1)
		c.set(time.Now())
		var got []record.Sample
		var told []string
		s := newSampler(p, c, func(x record.Sample) { got = append(got, x) })
		s.tell = func(e record.Event) { told = append(told, e.What) }
		isr := []int32{1, 2, 3}
		cpu := 10.0
		var fail error
		s.inspect = func(context.Context, string) (State, error) {
			return State{
				Nodes: []NodeState{
					{ID: 1, Process: processRunning, Alive: true, CPU: cpu, Memory: 1 << 20},
					{ID: 2, Process: processRunning},
					{ID: plan.FirstControllerID, Process: processRunning, Alive: true},
				},
				Controllers: []int32{101, 2},
				Partitions: []PartitionState{
					{Topic: "__consumer_offsets", Leader: 1},
					{Topic: "orders", Leader: 1, Replicas: []int32{1, 2, 3}, ISR: isr, HighWater: 5},
				},
			}, fail
		}
		look := func() record.Sample {
			s.look(t.Context(), "kafka")
			return got[len(got)-1]
		}
		first := look()
		if len(first.Brokers) != 2 || first.Brokers[0].Usage || !first.Brokers[0].Alive || first.Brokers[1].Alive {
			t.Errorf("got brokers %+v, want two, the second fenced, usage not known yet", first.Brokers)
		}
		if first.ActiveControllers != 2 || first.Controller != 101 {
			t.Errorf("got %d controllers, first %d; want 2, first 101", first.ActiveControllers, first.Controller)
		}
		if len(first.Partitions) != 1 || first.Partitions[0].Topic != "orders" || first.Partitions[0].MinInsync != 2 {
			t.Errorf("got partitions %+v, want the plan's only, min_insync 2", first.Partitions)
		}
		time.Sleep(2 * time.Second)
		cpu = 11
		isr = []int32{1}
		if second := look(); !second.Brokers[0].Usage || second.Brokers[0].CPU != 0.5 || second.At != 2*time.Second {
			t.Errorf("got %+v at %s, want half a core over 2 s", second.Brokers[0], second.At)
		}
		cpu, isr = 1, []int32{3, 1, 2}
		if third := look(); third.Brokers[0].Usage {
			t.Error("got usage of a process that was started again in between, want none")
		}
		if !slices.Equal(told, []string{"all partitions fully replicated"}) {
			t.Errorf("told %q, want that all is replicated, once", told)
		}
		fail = errors.New("no answer")
		n := len(got)
		s.look(t.Context(), "kafka")
		if len(got) != n {
			t.Error("got a sample of what could not be seen, want a gap")
		}
	})
}

func TestMinInsyncFollowsConfigure(t *testing.T) {
	topic, cluster := ref(plan.RefTopic, "orders"), ref(plan.RefCluster, "kafka")
	three, junk := "3", "many"
	s := newSampler(small(), newClock(1), nil)
	for _, tt := range []struct {
		name string
		do   func()
		want int
	}{
		{"the plan's", func() {}, 2},
		{"of all brokers: the topic's own goes before", func() { s.configured("kafka", refs(cluster), map[string]string{minInsyncConfig: "1"}) }, 2},
		{"of the topic", func() { s.configured("kafka", refs(topic), map[string]string{minInsyncConfig: three}) }, 3},
		{"another name", func() { s.configured("kafka", refs(topic), map[string]string{"retention.ms": "1"}) }, 3},
		{"no number", func() { s.configured("kafka", refs(topic), map[string]string{minInsyncConfig: junk}) }, 3},
		{"the topic's own unset", func() { s.restored("kafka", topic, map[string]*string{minInsyncConfig: nil}) }, 1},
		{"put back", func() { s.restored("kafka", topic, map[string]*string{minInsyncConfig: &three}) }, 3},
		{"another put back", func() { s.restored("kafka", topic, map[string]*string{"retention.ms": nil}) }, 3},
	} {
		tt.do()
		if got := s.minInsyncOf("kafka", "orders"); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// told is a network that remembers what it was told.
type told struct {
	shapes [][]Path
	answer Proof
}

func (n *told) Shape(_ context.Context, p []Path) (Proof, error) {
	n.shapes = append(n.shapes, p)
	return n.answer, nil
}

func TestShaperTellsOnlyWhatChanged(t *testing.T) {
	ends := testEnds()
	net := &told{answer: Proof{OK: true}}
	s := newShaper(net, nil, func() []end { return ends })
	ctx := t.Context()
	check := func(what string, n int, err error) {
		t.Helper()
		if err != nil || len(net.shapes) != n {
			t.Errorf("%s: got %d shapes and error %v, want %d and none", what, len(net.shapes), err, n)
		}
	}
	_, err := s.refresh(ctx)
	check("nothing impaired", 0, err)
	cut := pathFault{groups: [][]spot{{{Client: "p"}}}, between: plan.Condition{Cut: true}}
	id, _, err := s.add(ctx, cut)
	check("a fault", 1, err)
	_, err = s.refresh(ctx)
	check("no new member", 1, err)
	ends = append(ends, end{Endpoint: Endpoint{Place: Place{Client: "p", Member: 3, Site: "a"}}, site: "a"})
	_, err = s.refresh(ctx)
	check("a member that the fault holds", 2, err)
	ends = append(ends, end{Endpoint: Endpoint{Place: Place{Client: "q", Member: 1, Site: "a"}}, site: "a"})
	_, err = s.refresh(ctx)
	check("a member that no fault holds", 2, err)
	net.answer = Proof{Text: "still cut"}
	if proof, err := s.remove(ctx, id); err != nil || proof.OK {
		t.Errorf("got %+v %v, want what the network said", proof, err)
	}
	_, err = s.clear(ctx)
	check("not proved, so told again", 4, err)
	net.answer = Proof{OK: true}
	_, err = s.refresh(ctx)
	check("still not proved", 5, err)
	_, err = s.clear(ctx)
	check("whole and proved", 5, err)
	if _, _, err := s.add(ctx, pathFault{groups: [][]spot{{{Client: "nobody"}}, {{Site: "a"}}}, between: plan.Condition{Cut: true}}); err == nil {
		t.Error("got no error for places without a path between them")
	}
}
