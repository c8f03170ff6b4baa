package kafka

import (
	"testing"
	"time"

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
	if s.accepted < 4800 || s.accepted > 5600 || len(s.acked) != s.accepted {
		t.Errorf("got %d accepted and %d acknowledged, want about 5000 of each", s.accepted, len(s.acked))
	}
	if len(s.acks) != 6 {
		t.Errorf("partitions: got %d, want 6", len(s.acks))
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
		if gap := s.longest(part); gap < 2*time.Second || gap > 16*time.Second {
			t.Errorf("partition %d: longest silence %v after the kill at %v, want about 9 s", part, gap, at)
		}
	}
}
