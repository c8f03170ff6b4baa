package embedded

// This file defines the tests of transactions with a real client, sarama, over real TCP.

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime"
)

// txnProducer is a transactional producer of sarama's.
type txnProducer struct {
	sarama.SyncProducer
	b *bed
}

func (b *bed) txnProducer(id string, timeout time.Duration) *txnProducer {
	b.t.Helper()
	c := b.config()
	c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
	c.Producer.Transaction.ID = id
	c.Producer.Transaction.Timeout = time.Duration(float64(timeout) / b.speed)
	c.Producer.Transaction.Retry.Max = 1_000
	c.Producer.Transaction.Retry.Backoff = time.Duration(float64(20*time.Millisecond) / b.speed)
	p, err := sarama.NewSyncProducer(b.bootstrap(runtime.Place{}), c)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { p.Close() })
	return &txnProducer{p, b}
}

// send writes values in a transaction that it leaves open, one to each partition in turn.
func (p *txnProducer) send(partitions int32, values ...string) error {
	p.b.t.Helper()
	if err := p.BeginTxn(); err != nil {
		p.b.t.Fatal(err)
	}
	for i, v := range values {
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: "t", Partition: int32(i) % partitions, Value: sarama.StringEncoder(v)}); err != nil {
			return err
		}
	}
	return nil
}

// visible gives what a consumer of an isolation level reads of topic t, sorted, once that
// is as many values as wanted.
func (b *bed) visible(level sarama.IsolationLevel, partitions int32, want int) []string {
	b.t.Helper()
	conf := b.config()
	conf.Consumer.IsolationLevel = level
	c, err := sarama.NewConsumer(b.bootstrap(runtime.Place{}), conf)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	all := make(chan string)
	for p := range partitions {
		pc, err := c.ConsumePartition("t", p, sarama.OffsetOldest)
		if err != nil {
			b.t.Fatal(err)
		}
		defer pc.AsyncClose()
		go func() {
			for m := range pc.Messages() {
				select {
				case all <- string(m.Value):
				case <-b.ctx.Done():
				}
			}
		}()
	}
	var out []string
	// More than wanted would come at once: the fetches that bring the last bring it too.
	for len(out) < want {
		select {
		case v := <-all:
			out = append(out, v)
		case <-b.ctx.Done():
			b.t.Fatalf("read %v, want %d values: %v", out, want, b.ctx.Err())
		}
	}
	select {
	case v := <-all:
		out = append(out, v)
	case <-time.After(200 * time.Millisecond):
	}
	slices.Sort(out)
	return out
}

func TestTransactionsOverTCP(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	b.topic("t", 3, 3, nil)
	p := b.txnProducer("x", time.Minute)
	var want []string
	for i := range 6 {
		values := []string{fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), fmt.Sprint(i, "c")}
		if err := p.send(3, values...); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if err := p.AbortTxn(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := p.CommitTxn(); err != nil {
			t.Fatal(err)
		}
		want = append(want, values...)
	}
	if got := b.visible(sarama.ReadCommitted, 3, len(want)); !slices.Equal(got, want) {
		t.Errorf("read_committed: got %v, want %v", got, want)
	}
	if got := b.visible(sarama.ReadUncommitted, 3, 18); len(got) != 18 {
		t.Errorf("read_uncommitted: got %d values, want all 18", len(got))
	}
}

func TestOpenTransactionHoldsReadersBack(t *testing.T) {
	b := start(t, kafkaPlan(1, 0, nil), 10)
	b.topic("t", 1, 1, nil)
	p := b.txnProducer("x", time.Minute)
	if err := p.send(1, "open"); err != nil {
		t.Fatal(err)
	}
	b.produce(b.client(runtime.Place{}), "t", 1, 0, 3) // plain records behind it
	if got := b.visible(sarama.ReadCommitted, 1, 0); len(got) != 0 {
		t.Errorf("before the end: got %v, want nothing, not even what is in no transaction", got)
	}
	if s := b.partition("t", 0); s.Stable != 0 || s.HighWater != 4 {
		t.Errorf("got last stable offset %d and high-water mark %d, want 0 and 4", s.Stable, s.HighWater)
	}
	if err := p.CommitTxn(); err != nil {
		t.Fatal(err)
	}
	if got := b.visible(sarama.ReadCommitted, 1, 4); len(got) != 4 {
		t.Errorf("after the end: got %v, want all", got)
	}
}

func TestSecondProducerFencesTheFirstOverTCP(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	b.topic("t", 1, 3, nil)
	first := b.txnProducer("x", time.Minute)
	if err := first.send(1, "of the first"); err != nil {
		t.Fatal(err)
	}
	second := b.txnProducer("x", time.Minute)
	err := first.CommitTxn()
	if !errors.Is(err, sarama.ErrProducerFenced) && !errors.Is(err, sarama.ErrInvalidProducerEpoch) {
		t.Errorf("commit of the first: got %v, want it fenced", err)
	}
	if err := second.send(1, "of the second"); err != nil {
		t.Fatal(err)
	}
	if err := second.CommitTxn(); err != nil {
		t.Fatal(err)
	}
	if got := b.visible(sarama.ReadCommitted, 1, 1); !slices.Equal(got, []string{"of the second"}) {
		t.Errorf("got %v, want only the second's", got)
	}
}

func TestTransactionTimesOutOverTCP(t *testing.T) {
	b := start(t, kafkaPlan(1, 0, map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}), 10)
	b.topic("t", 1, 1, nil)
	p := b.txnProducer("x", 2*time.Second)
	if err := p.send(1, "too late"); err != nil {
		t.Fatal(err)
	}
	b.until("the transaction to time out", func(s runtime.State) bool {
		for _, x := range s.Partitions {
			if x.Topic == "t" {
				return x.Stable == x.HighWater && x.HighWater == 2 // the record and the marker
			}
		}
		return false
	})
	if err := p.CommitTxn(); err == nil {
		t.Error("commit after the timeout: got no error")
	}
	if got := b.visible(sarama.ReadCommitted, 1, 0); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestCoordinatorIsKilledInATransaction(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, map[string]string{"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}), 10)
	b.topic("t", 3, 3, map[string]string{"min.insync.replicas": "2"})
	p := b.txnProducer("x", time.Minute)
	if err := p.send(3, "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	c := b.client(runtime.Place{})
	coordinator, err := c.TransactionCoordinator("x")
	if err != nil {
		t.Fatal(err)
	}
	b.signal(coordinator.ID(), runtime.SignalKill)
	if err := p.CommitTxn(); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if err := p.send(3, "d", "e", "f"); err != nil {
		t.Fatal(err)
	}
	if err := p.CommitTxn(); err != nil {
		t.Fatalf("next commit: %v", err)
	}
	if got, want := b.visible(sarama.ReadCommitted, 3, 6), []string{"a", "b", "c", "d", "e", "f"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOffsetsInATransactionOverTCP(t *testing.T) {
	b := start(t, kafkaPlan(3, 0, nil), 10)
	b.topic("t", 1, 3, nil)
	committed := func() int64 {
		t.Helper()
		a, err := b.admin().ListConsumerGroupOffsets("g", map[string][]int32{"t": {0}})
		if err != nil {
			t.Fatal(err)
		}
		return a.GetBlock("t", 0).Offset
	}
	p := b.txnProducer("x", time.Minute)
	add := func(offset int64) {
		t.Helper()
		if err := p.send(1, "a"); err != nil {
			t.Fatal(err)
		}
		if err := p.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{"t": {{Partition: 0, Offset: offset, LeaderEpoch: -1}}}, "g"); err != nil {
			t.Fatal(err)
		}
	}
	add(7)
	if err := p.CommitTxn(); err != nil {
		t.Fatal(err)
	}
	b.until("the offset to be committed", func(runtime.State) bool { return committed() == 7 })
	add(9)
	if err := p.AbortTxn(); err != nil {
		t.Fatal(err)
	}
	if got := committed(); got != 7 {
		t.Errorf("after an abort: got offset %d, want 7", got)
	}
}
