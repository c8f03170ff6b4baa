package kafka

// This file tests the partitioner "available" and partitions of one's own.

import (
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/record"
)

// fourBrokers is scenario with four brokers, one of which leads partition 0 and
// has no replica of another.
func fourBrokers() *plan.Plan {
	p := scenario()
	p.Clusters[0].Nodes = append(p.Clusters[0].Nodes, plan.Node{ID: 4, Role: plan.RoleBroker, Site: plan.ImpliedSite})
	p.Topics[0].Partitions = 4
	p.Topics[0].Placement = map[int][]int32{0: {4, 1, 2}, 1: {1, 2, 3}, 2: {2, 3, 1}, 3: {3, 1, 2}}
	p.Producers[0].Partitioner = "available"
	return p
}

// rates counts acknowledgements in whole seconds of scenario time.
func (b *bed) rates() map[int]int {
	b.t.Helper()
	out := map[int]int{}
	_, err := b.log.Recording().Scan(func(k *record.Block) error {
		return k.Spans(func(_ record.Stream, spans []record.Span) error {
			for _, x := range spans {
				if x.Op == record.OpAcked {
					out[int(x.At/time.Second)] += int(x.N)
				}
			}
			return nil
		})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// While a leader is dead the others take what it would have had; when it answers
// again it has its share again.
func TestAvailableGoesRound(t *testing.T) {
	for _, acks := range []string{"all", "1"} {
		t.Run("acks="+acks, func(t *testing.T) {
			p := fourBrokers()
			p.Producers[0].Acks = acks
			b := start(t, p, 10)
			shop := b.producer(1)
			shop.Begin(b.clock.Now(), pace)
			b.sleep(3 * time.Second)
			led := b.leader(0) == 4 // a machine that is busy may have had it fenced already
			b.signal(4, runtime.SignalKill)
			dead := b.clock.Now()
			b.sleep(20 * time.Second)
			b.stop(shop)
			b.audit()
			s := b.seen()
			b.whole(s)
			if len(s.acked) != s.accepted {
				t.Errorf("acknowledged: got %d of %d, want all", len(s.acked), s.accepted)
			}
			from := int(dead/time.Second) + 2
			low, sum, rates := 0, 0, b.rates()
			for second := from; second < from+6; second++ { // before the broker is fenced, after 9 s
				sum += rates[second]
				if rates[second] < pace/2 { // a second is a tenth of one here
					low++
				}
			}
			if (low > 0 || sum < 6*pace*9/10) && b.slack() < time.Second {
				t.Errorf("while the leader was dead: got %d of 6 seconds below half of the rate, and %d acknowledged, want none, and nearly %d: %v", low, sum, 6*pace, rates)
			}
			if gap := s.longest(0); led && gap < 5*time.Second {
				t.Errorf("partition 0: longest silence %v, want about 9 s: its leader was dead", gap)
			}
			late := s.acks[0]
			if last := late[len(late)-1]; last < b.clock.Now()-5*time.Second-b.slack() {
				t.Errorf("partition 0: last acknowledgement at %v, want it to be used again", last)
			}
		})
	}
}

// Where all partitions are quiet, records go where they would.
func TestDetour(t *testing.T) {
	p := &producer{choose: record.NewPartitioner("available", 1, 0, 1, 1, 0)}
	lanes := make([]outlet, 4)
	for i := range lanes {
		lanes[i] = &lane{p: p, part: int32(i)}
	}
	waits := func(since ...time.Duration) {
		for i, at := range since {
			lanes[i].(*lane).waits.Store(int64(at))
		}
		p.detours.looked = time.Time{}
	}
	g := record.Segment{Rate: 1000, Partitions: 4}
	const now = 10 * time.Second
	count := func(g record.Segment) (out [4]int) {
		for seq := range uint64(40) {
			out[p.detour(lanes, g, p.choose.Partition(seq, 4), now)]++
		}
		return out
	}
	for _, x := range []struct {
		name  string
		since [4]time.Duration // 0: nothing waits
		rate  float64
		want  [4]int
	}{
		{"all answer", [4]time.Duration{now - 1, 0, now, 0}, 1000, [4]int{10, 10, 10, 10}},
		{"one is quiet", [4]time.Duration{now - 600*time.Millisecond, 0, 0, 0}, 1000, [4]int{0, 13, 14, 13}},
		{"quiet for less than 500 ms", [4]time.Duration{now - 400*time.Millisecond, 0, 0, 0}, 1000, [4]int{10, 10, 10, 10}},
		{"less than three intervals", [4]time.Duration{now - 900*time.Millisecond, 0, 0, 0}, 10, [4]int{10, 10, 10, 10}},
		{"more than three intervals", [4]time.Duration{now - 1300*time.Millisecond, 0, 0, 0}, 10, [4]int{0, 13, 14, 13}},
		{"all but one are quiet", [4]time.Duration{1, 1, 0, 1}, 1000, [4]int{0, 0, 40, 0}},
		{"all are quiet", [4]time.Duration{1, 1, 1, 1}, 1000, [4]int{10, 10, 10, 10}},
	} {
		p.detours.turn = 0
		waits(x.since[:]...)
		g.Rate = x.rate
		if got := count(g); got != x.want {
			t.Errorf("%s: got %v, want %v", x.name, got, x.want)
		}
	}
	// A member that owns partitions goes round on its own only.
	p.choose = record.NewPartitioner("available", 1, 0, 2, 2, 0)
	p.choose.Owns = true
	waits(0, 1, 0, 0)
	g.Rate = 1000
	if got, want := count(g), ([4]int{0, 0, 0, 40}); got != want {
		t.Errorf("owns 1 and 3, and 1 is quiet: got %v, want %v", got, want)
	}
}

// Each member writes to partitions of its own, at the rate that it has.
func TestOwns(t *testing.T) {
	p := scenario()
	p.Producers[0].Owns, p.Producers[0].Members = true, 2
	b := start(t, p, 10)
	for n := 1; n <= 2; n++ {
		m := b.producer(n)
		m.Begin(b.clock.Now(), pace)
		defer func() { m.Crash() }()
	}
	b.sleep(3 * time.Second)
	s := b.await(10*time.Second, "all partitions have records", func(s seen) bool { return len(s.acks) == 6 && len(s.acked) > 600 })
	for k, spans := range s.acked {
		if owner := spans[0].Partition%2 + 1; owner != k.member {
			t.Fatalf("record %v: in partition %d, which is member %d's", k, spans[0].Partition, owner)
		}
	}
}
