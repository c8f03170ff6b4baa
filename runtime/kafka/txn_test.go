package kafka

// This file tests transactional producers and readers of committed records against the
// embedded engine.

import (
	"testing"
	"time"

	"github.com/IBM/sarama"

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

// cutsTransactions is for tests that cut the connections of a transactional producer.
func cutsTransactions(t *testing.T) {
	t.Helper()
	if raceDetector {
		// publishTxnPartitions reads what transitionTo writes under another lock.
		t.Skip("sarama 1.61.1 races with itself over transactionManager.lastError when a transactional producer is cut off")
	}
}

func TestRestartedTransactionalMemberSendsAgain(t *testing.T) {
	cutsTransactions(t)
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
	cutsTransactions(t)
	// The transaction of a member that crashed and does not come back stays open, for ten
	// minutes, and holds the last stable offset; the other member's commits lie behind it.
	b := start(t, inTransactions(1000, func(p *plan.Plan) {
		p.Producers[0].Members = 2
		p.Producers[0].Config = map[string]string{"transaction.timeout.ms": "600000"}
	}), 10)
	p := b.producer(1)
	p.Begin(b.clock.Now(), 300)
	b.sleep(2 * time.Second) // less than a transaction
	p.Crash()
	b.plan.Producers[0].Transaction = 20
	p = b.producer(2)
	p.Begin(b.clock.Now(), 300)
	b.sleep(2 * time.Second)
	b.stop(p)
	state, err := b.world.Inspect(b.ctx, "kafka")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range state.Partitions {
		if p.Topic == "orders" && (p.HighWater == 0 || p.Stable != 0) {
			t.Errorf("partition %d: got last stable offset %d and high-water mark %d, want the open transaction at 0", p.Partition, p.Stable, p.HighWater)
		}
	}
	b.audit()
	s := b.seen()
	if len(s.acked) < 300 {
		t.Errorf("got %d acked, want the records of the second member", len(s.acked))
	}
	for k := range s.acked {
		if s.audited[k] != 1 {
			t.Errorf("record %v: acknowledged, got %d committed copies, want 1", k, s.audited[k])
		}
	}
	for k := range s.audited {
		if k.member != 2 {
			t.Errorf("record %v: counted as committed, want none of the transaction that is open", k)
		}
	}
}

func TestAbortedBatchesOfAFetch(t *testing.T) {
	// Two producers: 1 aborts from 2 to its marker at 6, 2 commits.
	s := newAbortedSet([]*sarama.AbortedTransaction{{ProducerID: 1, FirstOffset: 9}, {ProducerID: 1, FirstOffset: 2}})
	for _, tt := range []struct {
		offset   int64
		producer int64
		txn      bool
		control  bool
		want     bool
	}{
		{0, 1, true, false, false}, // of a transaction before, which committed
		{1, 1, true, true, false},
		{2, 1, true, false, true},
		{3, 2, true, false, false},
		{4, 1, true, false, true},
		{5, -1, false, false, false},
		{6, 1, true, true, false},
		{7, 1, true, false, false},
		{8, 1, true, true, false},
		{9, 1, true, false, true},
	} {
		got := s.has(&sarama.RecordBatch{FirstOffset: tt.offset, ProducerID: tt.producer, IsTransactional: tt.txn, Control: tt.control})
		if got != tt.want {
			t.Errorf("batch at %d of producer %d: got aborted %v, want %v", tt.offset, tt.producer, got, tt.want)
		}
	}
}
