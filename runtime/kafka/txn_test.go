package kafka

// This file tests transactional producers and readers of committed records against the
// embedded engine.

import (
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
)

// inTransactions makes the producer transactional and the consumer read what is committed.
func inTransactions(every int, change func(*plan.Plan)) *plan.Plan {
	p := scenario()
	p.Clusters[0].Config = map[string]string{"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
	p.Producers[0].Rate, p.Producers[0].Transaction, p.Producers[0].Idempotent = 300, every, true
	p.Consumers[0].Isolation = "read_committed"
	if change != nil {
		change(p)
	}
	return p
}

// once checks that every acknowledged record stands in the log exactly once as committed,
// and no other record does unless nobody knows of it.
func (b *bed) once(s seen) {
	b.t.Helper()
	b.whole(s)
	for k, n := range s.audited {
		if n != 1 {
			b.t.Errorf("record %v: got %d committed copies, want 1", k, n)
		}
		if _, unsure := s.unknown[k]; len(s.acked[k]) == 0 && !unsure {
			b.t.Errorf("record %v: committed, but neither acknowledged nor unknown", k)
		}
	}
	for k, n := range s.delivered {
		if s.audited[k] == 0 {
			b.t.Errorf("record %v: delivered %d times, but not committed", k, n)
		}
	}
}

// finish waits until the transactions in the logs have ended and reads them.
func (b *bed) finish() seen {
	b.t.Helper()
	for {
		s, err := b.world.Inspect(b.ctx, "kafka")
		if err != nil {
			b.t.Fatal(err)
		}
		stable := true
		for _, p := range s.Partitions {
			if p.Topic == "orders" {
				stable = stable && p.Leader > 0 && p.Stable == p.HighWater && p.HighWater == p.End
			}
		}
		if stable {
			b.audit()
			return b.seen()
		}
		b.sleep(50 * time.Millisecond)
	}
}

func TestTransactionalProducer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		during func(b *bed, p runtime.Producer)
	}{
		{"in peace", func(b *bed, _ runtime.Producer) { b.sleep(5 * time.Second) }},
		{"a broker dies", func(b *bed, _ runtime.Producer) {
			b.sleep(3 * time.Second)
			b.signal(b.leader(0), runtime.SignalKill)
			b.sleep(12 * time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, inTransactions(25, nil), 10)
			p := b.producer(1)
			c := b.consumer(1)
			p.Begin(b.clock.Now(), 300)
			tt.during(b, p)
			b.stop(p)
			s := b.finish()
			b.sleep(3 * time.Second)
			b.stop(c)
			if s = b.seen(); len(s.acked) < 1000 {
				t.Errorf("got %d records acknowledged, want at least 1000", len(s.acked))
			}
			b.once(s)
			for k := range s.acked {
				if s.delivered[k] != 1 {
					t.Errorf("record %v: got %d deliveries, want 1", k, s.delivered[k])
					break
				}
			}
		})
	}
}

func TestRestartedTransactionalMemberSendsAgain(t *testing.T) {
	b := start(t, inTransactions(40, nil), 10)
	p := b.producer(1)
	p.Begin(b.clock.Now(), 300)
	b.sleep(3 * time.Second)
	p.Crash() // in the middle of a transaction, which the next member aborts
	b.sleep(time.Second)
	p = b.producer(1)
	p.Begin(b.clock.Now(), 300)
	b.sleep(3 * time.Second)
	b.stop(p)
	s := b.finish()
	b.once(s)
	if len(s.acked) < 1000 || len(s.failed) > 0 || len(s.unknown) > 40 {
		t.Errorf("got %d acked, %d failed, %d unknown; want at least 1000, none, and at most one transaction", len(s.acked), len(s.failed), len(s.unknown))
	}
}

func TestAuditTellsOpenTransactions(t *testing.T) {
	// The transaction of a member that crashed and does not come back stays open.
	b := start(t, inTransactions(1000, nil), 10)
	p := b.producer(1)
	p.Begin(b.clock.Now(), 300)
	b.sleep(2 * time.Second) // less than a transaction
	p.Crash()
	b.audit()
	s := b.seen()
	if len(s.acked) != 0 || len(s.audited) != 0 {
		t.Errorf("got %d acked and %d committed in the log, want none of a transaction that is open", len(s.acked), len(s.audited))
	}
	ends := b.ends()
	if ends[0] == 0 {
		t.Error("got an empty log, want the open transaction's records in it")
	}
}
