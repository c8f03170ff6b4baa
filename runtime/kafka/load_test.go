package kafka

import (
	"context"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
)

func TestSteadyLoad(t *testing.T) {
	b := start(t, scenario(), 10)
	p := b.producer(1)
	p.Begin(b.clock.Now(), 1000)
	b.sleep(5 * time.Second)
	b.stop(p)
	b.audit()
	s := b.seen()
	b.whole(s)
	end := s.segments[len(s.segments)-1]
	if !end.End || s.accepted != int(end.Segment.First) || len(s.acked) != s.accepted {
		t.Errorf("got %d accepted and %d acknowledged, want what was due by the end: %+v", s.accepted, len(s.acked), end)
	}
	if want := (end.Segment.At - s.segments[0].Segment.At).Seconds() * 1000; want < 4900 || float64(s.accepted) < want-2 || float64(s.accepted) > want+2 {
		t.Errorf("accepted: got %d, want %.0f, 1000 a second", s.accepted, want)
	}
	if len(s.acks) != 6 {
		t.Errorf("partitions: got %d, want 6", len(s.acks))
	}
}

// The end that a member was given holds, though nobody ends it in time.
func TestScheduleEndsByItself(t *testing.T) {
	b := start(t, scenario(), 10)
	from := b.clock.Now()
	p := b.producerUntil(1, from+2*time.Second)
	p.Begin(from, 1000)
	b.sleep(4 * time.Second)
	b.stop(p)
	if got := b.seen().accepted; got != 2000 {
		t.Errorf("accepted: got %d, want the 2000 that were due by the end", got)
	}
}

// A leader that is gone for the session timeout of 9 s at speed 10, which is
// 0.9 s of wall time, must cost that and no more: sarama's circuit breaker would
// make it 100 s of scenario time.
func TestLeaderKilled(t *testing.T) {
	b := start(t, scenario(), 10)
	p := b.producer(1)
	p.Begin(b.clock.Now(), 1000)
	b.sleep(5 * time.Second)
	dead := b.leader(0)
	at := b.clock.Now()
	b.signal(dead, runtime.SignalKill)
	b.sleep(20 * time.Second)
	b.signal(dead, runtime.SignalStart)
	b.sleep(5 * time.Second)
	b.stop(p)
	b.audit()
	s := b.seen()
	b.whole(s)
	if len(s.failed)+len(s.unknown) > 0 {
		t.Errorf("got %d failed and %d unknown, want every record acknowledged", len(s.failed), len(s.unknown))
	}
	for part := range int32(6) {
		if gap := s.longest(part); gap < 2*time.Second || gap > 16*time.Second+b.slack() {
			t.Errorf("partition %d: longest silence %v after the kill at %v, want about 9 s", part, gap, at)
		}
	}
}

func TestKilledLeaderIdempotent(t *testing.T) {
	p := scenario()
	p.Producers[0].Idempotent = true
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(3 * time.Second)
	b.signal(b.leader(0), runtime.SignalKill)
	b.sleep(14 * time.Second)
	b.stop(shop)
	b.audit()
	s := b.seen()
	b.whole(s)
	if len(s.failed)+len(s.unknown) > 0 {
		t.Errorf("got %d failed and %d unknown, want every record acknowledged", len(s.failed), len(s.unknown))
	}
	for k, n := range s.audited {
		if n != 1 {
			t.Errorf("record %v: got %d times in the log, want once", k, n)
		}
	}
}

// With acks=1 a dead broker is no concern of partitions that it does not lead.
func TestAcksOneStallsOnlyTheDeadLeaders(t *testing.T) {
	p := scenario()
	p.Producers[0].Acks = "1"
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(3 * time.Second)
	dead := b.leader(0)
	led := map[int32]bool{}
	for part := range int32(6) {
		led[part] = b.leader(part) == dead
	}
	b.signal(dead, runtime.SignalKill)
	b.sleep(14 * time.Second)
	b.stop(shop)
	s := b.seen()
	for part := range int32(6) {
		gap := s.longest(part)
		if led[part] && (gap < 2*time.Second || gap > 14*time.Second+b.slack()) {
			t.Errorf("partition %d of the dead leader: longest silence %v, want about 9 s", part, gap)
		}
		if !led[part] && gap > time.Second+b.slack() {
			t.Errorf("partition %d of a living leader: longest silence %v, want none", part, gap)
		}
	}
}

func TestAcksZeroIsUnknown(t *testing.T) {
	p := scenario()
	p.Producers[0].Acks = "0"
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(2 * time.Second)
	b.stop(shop)
	s := b.seen()
	if len(s.acked) != 0 || len(s.unknown) != s.accepted || s.accepted == 0 {
		t.Errorf("got %d acknowledged and %d unknown of %d, want every one unknown", len(s.acked), len(s.unknown), s.accepted)
	}
}

// What was in flight at a crash is sent again by the next incarnation, under the
// same numbers, and the numbers go on.
func TestCrashAndRestart(t *testing.T) {
	b := start(t, scenario(), 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(3 * time.Second)
	b.signal(b.leader(0), runtime.SignalKill) // acks=all: everything is in flight now
	b.sleep(3 * time.Second)
	shop.Crash()
	before := b.seen()
	if open := before.accepted - len(before.acked); open < 1000 {
		t.Errorf("in flight at the crash: got %d, want most of 3 s at 1000/s", open)
	}
	b.sleep(10 * time.Second)
	shop = b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(3 * time.Second)
	b.stop(shop)
	b.audit()
	s := b.seen()
	b.whole(s)
	if len(s.failed)+len(s.unknown) > 0 {
		t.Errorf("got %d failed and %d unknown, want every record acknowledged", len(s.failed), len(s.unknown))
	}
	if s.accepted < 7500 {
		t.Errorf("accepted: got %d, want about 9000", s.accepted)
	}
	for seq := range uint64(s.accepted) {
		if len(s.acked[source{1, seq}]) == 0 {
			t.Fatalf("record %d: not acknowledged, want numbers without a gap", seq)
		}
	}
}

// Without enough replicas nothing is acknowledged: what was never handed to a
// broker has failed after the timeout, what was handed over is unknown.
func TestDeliveryTimeout(t *testing.T) {
	p := scenario()
	p.Producers[0].Timeout = 3 * plan.Duration(time.Second)
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(2 * time.Second)
	dead := b.leader(0)
	b.signal(dead, runtime.SignalKill)
	b.signal(dead%3+1, runtime.SignalKill)
	b.sleep(12 * time.Second)
	ctx, cancel := context.WithTimeout(b.ctx, 200*time.Millisecond)
	defer cancel()
	if err := shop.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	s := b.seen()
	due := s.segments[len(s.segments)-1].Segment.First
	if got := len(s.acked) + len(s.failed) + len(s.unknown); got != int(due) {
		t.Errorf("fates: got %d, want %d, one for each record that was due", got, due)
	}
	if len(s.failed) < 3000 {
		t.Errorf("failed: got %d, want most of what was due: leaderless partitions take nothing", len(s.failed))
	}
	if len(s.unknown) == 0 {
		t.Error("unknown: got none, want what was in flight")
	}
}

// A full buffer holds records back: they are neither late nor accepted.
func TestFullBuffer(t *testing.T) {
	p := scenario()
	p.Producers[0].Buffer = 1000 * 136
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(2 * time.Second)
	b.signal(b.leader(0), runtime.SignalKill)
	b.sleep(5 * time.Second)
	s := b.seen()
	if open := s.accepted - len(s.acked); open < 900 || open > 1000 {
		t.Errorf("in the buffer: got %d, want the 1000 it has room for", open)
	}
	b.sleep(9 * time.Second)
	b.stop(shop)
	b.audit()
	s = b.seen()
	b.whole(s)
	if s.accepted < 15000 || len(s.acked) != s.accepted {
		t.Errorf("got %d accepted, %d acknowledged, want all of about 16000", s.accepted, len(s.acked))
	}
	if b.slack() < time.Second && s.late > s.accepted/100 {
		t.Errorf("late: got %d, want none for want of room", s.late)
	}
}

func TestMaxRate(t *testing.T) {
	p := scenario()
	p.Producers[0].MaxRate, p.Producers[0].Rate = true, 0
	p.Producers[0].Buffer = 1 << 20
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 0)
	b.sleep(3 * time.Second)
	b.stop(shop)
	b.audit()
	s := b.seen()
	b.whole(s)
	if len(s.acked) != s.accepted || s.accepted < 5000 {
		t.Errorf("got %d of %d acknowledged, want all of many", len(s.acked), s.accepted)
	}
}

// A new partition gets records once metadata.max.age.ms is over, and none that
// was due before.
func TestGrowth(t *testing.T) {
	p := scenario()
	p.Producers[0].Config = map[string]string{"metadata.max.age.ms": "4000"}
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(time.Second)
	proof, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.Resize, Partitions: 8,
		Targets: []plan.Ref{{Kind: plan.RefTopic, Name: "orders"}}})
	if err != nil || !proof.OK {
		t.Fatalf("resize: got %+v, %v", proof, err)
	}
	b.sleep(8 * time.Second)
	shop.SetRate(100)
	b.sleep(2 * time.Second)
	b.stop(shop)
	b.audit()
	s := b.seen()
	b.whole(s)
	if len(s.acks) != 8 {
		t.Errorf("partitions with acknowledgements: got %d, want 8", len(s.acks))
	}
	if n := len(s.segments); n != 4 { // begin, growth, rate, end
		t.Errorf("segments: got %+v, want 4", s.segments)
	}
}

// A record larger than the topic takes is refused before it is written.
func TestTooLarge(t *testing.T) {
	p := scenario()
	p.Topics[0].Config = map[string]string{"max.message.bytes": "500"}
	p.Producers[0].Size = 1000
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 100)
	b.sleep(2 * time.Second)
	b.stop(shop)
	b.audit()
	s := b.seen()
	b.whole(s)
	if len(s.failed) != s.accepted || s.accepted == 0 {
		t.Errorf("got %d failed of %d, want all", len(s.failed), s.accepted)
	}
}

// A client that is cut off sends again when the cut is over; its connections
// hang until request.timeout.ms, which is Kafka's own wait.
func TestClientCutOff(t *testing.T) {
	p := scenario()
	p.Producers[0].Config = map[string]string{"request.timeout.ms": "3000"}
	b := start(t, p, 10)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), 1000)
	b.sleep(2 * time.Second)
	me := runtime.Endpoint{Place: runtime.Place{Client: "shop", Member: 1, Site: plan.ImpliedSite}}
	var cut []runtime.Path
	for id := range int32(3) {
		node := runtime.Endpoint{Node: runtime.NodeKey{Cluster: "kafka", ID: id + 1}}
		cut = append(cut, runtime.Path{From: me, To: node, Condition: plan.Condition{Cut: true}},
			runtime.Path{From: node, To: me, Condition: plan.Condition{Cut: true}})
	}
	net := b.world.(runtime.Network)
	if proof, err := net.Shape(b.ctx, cut); err != nil || !proof.OK {
		t.Fatalf("cut: got %+v, %v", proof, err)
	}
	b.sleep(8 * time.Second)
	if proof, err := net.Shape(b.ctx, nil); err != nil || !proof.OK {
		t.Fatalf("heal: got %+v, %v", proof, err)
	}
	b.sleep(5 * time.Second)
	b.stop(shop)
	b.audit()
	s := b.seen()
	b.whole(s)
	if len(s.acked) != s.accepted {
		t.Errorf("acknowledged: got %d of %d, want all", len(s.acked), s.accepted)
	}
	for part := range int32(6) {
		if gap := s.longest(part); gap < 7*time.Second || gap > 14*time.Second+b.slack() {
			t.Errorf("partition %d: longest silence %v, want the 8 s of the cut and a reconnect", part, gap)
		}
	}
}
