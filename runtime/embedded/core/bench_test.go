package core

// This file measures the core without sockets.

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/internal/cputime"
)

// BenchmarkProduce writes batches of about 16 KB (160 records of 100 bytes) to one of twelve
// partitions with three replicas, eight requests under way, and waits for each to be
// committed (acks=all) or written (acks=1).
func BenchmarkProduce(b *testing.B) {
	for _, bb := range []struct {
		name string
		acks int16
	}{{"acks=all", -1}, {"acks=1", 1}} {
		b.Run(bb.name, func(b *testing.B) {
			w := newWorld(b, Options{Brokers: 3})
			settle(b, w)
			createTopic(b, w, 1, "t", 12, 3, nil, nil)
			lead := leaders(w, "t")
			template := makeBatch(0, 160, 92, -1, -1, -1)
			b.SetBytes(int64(len(template)))
			b.ReportAllocs()
			sent, acked := 0, 0
			for b.Loop() {
				for sent-acked >= 8 {
					at, _ := w.Next()
					w.Advance(at)
				}
				p := int32(sent % 12)
				data := append([]byte(nil), template...)
				sent++
				w.Request(lead[p], ClientConn{ID: 1}, produceRequest("t", p, bb.acks, data), func(r kmsg.Response) {
					if code := r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
						b.Fatalf("got error %d", code)
					}
					acked++
				})
				// Logs would grow without bound, and with them the collector's work.
				if sent%20_000 == 0 {
					for _, n := range w.nodes {
						for _, l := range n.disk.logs {
							l.advanceStart(l.next - 100)
						}
					}
				}
			}
			b.ReportMetric(float64(160*acked)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkIdle is a second in the life of a cluster without clients, with 1 and with
// 1,000 partitions.
func BenchmarkIdle(b *testing.B) {
	for _, partitions := range []int{1, 1000} {
		b.Run(map[int]string{1: "1 partition", 1000: "1000 partitions"}[partitions], func(b *testing.B) {
			w := newWorld(b, Options{Brokers: 3})
			settle(b, w)
			createTopic(b, w, 1, "t", partitions, 3, nil, nil)
			for b.Loop() {
				w.Advance(w.Now() + time.Second)
			}
		})
	}
}

// BenchmarkBatches is what a batch costs when it is one record: every 5 ms a request to
// each of three brokers, with a batch for each of its partitions, acks=all. They come in
// another order each time, as sarama sends them.
func BenchmarkBatches(b *testing.B) {
	for _, partitions := range []int{3, 30, 1000} {
		b.Run(fmt.Sprintf("%d partitions", partitions), func(b *testing.B) {
			w := newWorld(b, Options{Brokers: 3})
			settle(b, w)
			createTopic(b, w, 1, "t", partitions, 3, nil, nil)
			lead := leaders(w, "t")
			template := makeBatch(0, 1, 92, -1, -1, -1)
			b.ReportAllocs()
			sent, acked, rounds := 0, 0, 0
			order := make([]int32, partitions)
			for i := range order {
				order[i] = int32(i)
			}
			rng := rand.New(rand.NewPCG(1, 1))
			before := cputime.Used()
			for b.Loop() {
				rng.Shuffle(partitions, func(i, j int) { order[i], order[j] = order[j], order[i] })
				for broker := int32(1); broker <= 3; broker++ {
					req := at(kmsg.NewPtrProduceRequest())
					req.Acks, req.TimeoutMillis = -1, 30_000
					rt := kmsg.NewProduceRequestTopic()
					rt.Topic = "t"
					frame := make([]byte, 0, partitions*len(template))
					for _, p := range order {
						if lead[p] != broker {
							continue
						}
						rp := kmsg.NewProduceRequestTopicPartition()
						from := len(frame)
						frame = append(frame, template...)
						rp.Partition, rp.Records = p, frame[from:len(frame):len(frame)]
						rt.Partitions = append(rt.Partitions, rp)
					}
					req.Topics = append(req.Topics, rt)
					n := len(rt.Partitions)
					sent += n
					w.Request(broker, ClientConn{ID: 1}, req, func(r kmsg.Response) {
						for _, p := range r.(*kmsg.ProduceResponse).Topics[0].Partitions {
							if p.ErrorCode != 0 {
								b.Fatalf("got error %d", p.ErrorCode)
							}
						}
						acked += n
					})
				}
				w.Advance(w.Now() + 5*time.Millisecond)
				if rounds++; rounds%200 == 0 {
					for _, n := range w.nodes {
						for _, l := range n.disk.logs {
							l.advanceStart(l.next - 20)
						}
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/batch")
			if used := cputime.Used() - before; used > 0 {
				b.ReportMetric(float64(used)/float64(sent), "cpu-ns/batch")
			}
			if acked < sent*9/10 {
				b.Errorf("acknowledged: got %d of %d batches", acked, sent)
			}
		})
	}
}
