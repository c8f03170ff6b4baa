package kafka

// This file compares a producer member with a bare sarama loop: as many
// producers, the same settings, the same cluster. docs/performance.md has the
// command.

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/internal/cputime"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/record"
)

func benchPlan() *plan.Plan {
	p := scenario()
	p.Clusters[0].Nodes = p.Clusters[0].Nodes[:1]
	p.Topics[0].Replicas, p.Topics[0].MinInsync = 1, 1
	p.Producers[0].MaxRate, p.Producers[0].Rate = true, 0
	p.Producers[0].Buffer = 8 << 20
	return p
}

func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct {
		name string
		run  func(*testing.B, *plan.Plan, runtime.World)
	}{{"by=bare", benchBare}, {"by=member", benchMember}} {
		b.Run(c.name, func(b *testing.B) {
			p := benchPlan()
			w, err := embedded.Engine{}.Up(b.Context(), p, runtime.UpOptions{Speed: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close(context.Background())
			k := &Control{Plan: p, RunID: runID, Bootstrap: func(c string) ([]string, error) { return w.Bootstrap(c, runtime.Place{}) }}
			if err := k.Create(b.Context(), "kafka", p.Topics); err != nil {
				b.Fatal(err)
			}
			before := cputime.Used()
			c.run(b, p, w)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			if used := cputime.Used() - before; used > 0 {
				// With the brokers' share, which is the same for both.
				b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/record")
			}
		})
	}
}

// benchBare sends b.N records through one sarama producer a partition, in as
// plain a loop as can be, and counts acknowledgements.
func benchBare(b *testing.B, p *plan.Plan, w runtime.World) {
	addrs, err := w.Bootstrap("kafka", runtime.Place{})
	if err != nil {
		b.Fatal(err)
	}
	set := defaults(1)
	n := p.Topics[0].Partitions
	producers := make([]sarama.AsyncProducer, n)
	for i := range producers {
		conf, err := set.producerConfig("bare", p.Producers[0], set.dialer(), 136)
		if err != nil {
			b.Fatal(err)
		}
		conf.Producer.Partitioner = sarama.NewManualPartitioner
		conf.ChannelBufferSize = widest
		if producers[i], err = sarama.NewAsyncProducer(addrs, conf); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	var wait sync.WaitGroup
	for i, a := range producers {
		mine := b.N / n
		if i < b.N%n {
			mine++
		}
		wait.Go(func() {
			for range mine {
				<-a.Successes()
			}
		})
	}
	value := make([]byte, 100)
	for i := range b.N {
		producers[i%n].Input() <- &sarama.ProducerMessage{Topic: "orders", Partition: int32(i % n), Value: sarama.ByteEncoder(value)}
	}
	wait.Wait()
	b.StopTimer()
	for _, a := range producers {
		a.Close()
	}
}

// benchMember waits until a member at full speed has b.N records acknowledged.
func benchMember(b *testing.B, p *plan.Plan, w runtime.World) {
	addrs, err := w.Bootstrap("kafka", runtime.Place{})
	if err != nil {
		b.Fatal(err)
	}
	x := p.Producers[0]
	log := record.NewMemory(p, record.Info{ID: runID, Speed: 1})
	clock := testClock{time.Now(), 1}
	var load Load
	m, err := load.Producer(b.Context(), runtime.ProducerSpec{
		Env:      runtime.Env{RunID: runID, Seed: 1, Speed: 1, Clock: clock, Log: func(string) {}},
		Producer: x, Topic: p.Topics[0], Member: 1, Members: 1, Bootstrap: addrs, Log: log.Producer(x.Name, 1),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Crash()
	pr := m.(*producer)
	b.ResetTimer()
	m.Begin(clock.Now(), 0)
	for {
		pr.mu.Lock()
		acked := int64(pr.sched.offered) - pr.used.Load()/pr.size
		pr.mu.Unlock()
		if acked >= int64(b.N) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
}
