package embedded

// This file defines the benchmark of the whole engine under a real client.

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime"
)

// BenchmarkProduce sends records of 100 bytes with sarama over TCP to a topic of 6
// partitions and 3 replicas, and waits for every acknowledgement. Client and cluster
// share the machine.
func BenchmarkProduce(b *testing.B) {
	for _, acks := range []sarama.RequiredAcks{sarama.WaitForAll, sarama.WaitForLocal} {
		b.Run(fmt.Sprintf("acks=%d", acks), func(b *testing.B) {
			ctx := context.Background()
			w, err := Engine{}.Up(ctx, kafkaPlan(3, 0, nil), runtime.UpOptions{Speed: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close(ctx)
			addrs, err := w.Bootstrap("kafka", runtime.Place{Client: "bench", Member: 1})
			if err != nil {
				b.Fatal(err)
			}
			c := sarama.NewConfig()
			c.Version = sarama.V3_9_0_0
			c.Producer.RequiredAcks = acks
			c.Producer.Return.Successes = true
			c.Producer.Flush.Frequency = 5 * time.Millisecond
			c.Producer.Partitioner = sarama.NewRoundRobinPartitioner
			admin, err := sarama.NewClusterAdmin(addrs, c)
			if err != nil {
				b.Fatal(err)
			}
			if err := admin.CreateTopic("t", &sarama.TopicDetail{NumPartitions: 6, ReplicationFactor: 3}, false); err != nil {
				b.Fatal(err)
			}
			admin.Close()
			cluster := w.(*world).clusters["kafka"]
			if err := cluster.await(ctx, func() bool { return cluster.core.Settled() == nil }); err != nil {
				b.Fatal(err)
			}
			p, err := sarama.NewAsyncProducer(addrs, c)
			if err != nil {
				b.Fatal(err)
			}
			value := sarama.ByteEncoder(make([]byte, 100))
			b.ResetTimer()
			go func() {
				for range b.N {
					p.Input() <- &sarama.ProducerMessage{Topic: "t", Value: value}
				}
			}()
			for range b.N {
				select {
				case <-p.Successes():
				case err := <-p.Errors():
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			if err := p.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
