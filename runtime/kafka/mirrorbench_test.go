package kafka

// This file measures the mirror and the comparison:
//
//	go test ./runtime/kafka -run - -bench 'Mirror|Compare' -benchtime 600000x

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"starfall/internal/cputime"
	"starfall/interp/plan"
	"starfall/runtime"
	"starfall/runtime/embedded"
	"starfall/runtime/record"
)

// benchMirrorBed is a bed of two clusters of one broker each, 6 partitions, that
// holds n records of size bytes in the source.
func benchMirrorBed(tb testing.TB, n int, size int) *bed {
	p := mirrorScenario()
	p.Clusters[0].Nodes = p.Clusters[0].Nodes[:1]
	p.Topics[0].Replicas, p.Topics[0].MinInsync, p.Topics[0].Partitions = 1, 1, 6
	p.Topics[1].Partitions = 6
	p.Mirrors[0].SyncOffsetsEvery = 0
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	tb.Cleanup(cancel)
	w, err := embedded.Engine{}.Up(ctx, p, runtime.UpOptions{Speed: 1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.Close(context.Background()) })
	b := &bed{ctx: ctx, plan: p, world: w, clock: testClock{time.Now(), 1}, log: record.NewMemory(p, record.Info{ID: runID, Speed: 1})}
	b.control = &Control{Plan: p, RunID: runID, Bootstrap: func(c string) ([]string, error) { return w.Bootstrap(c, runtime.Place{}) }}
	if err := b.control.Create(ctx, "kafka", p.Topics[:1]); err != nil {
		tb.Fatal(err)
	}
	for p := range 6 {
		var records []logRecord
		for i := p; i < n; i += 6 {
			v := fmt.Appendf(make([]byte, 0, size), "record %d", i)
			records = append(records, logRecord{value: v[:size], timestamp: ancient.UnixMilli() + int64(i)})
		}
		if err := b.write("kafka", "orders", int32(p), records); err != nil {
			tb.Fatal(err)
		}
	}
	return b
}

func (b *bed) copiedUp(tb testing.TB) int64 {
	s, err := b.world.Inspect(b.ctx, "west")
	if err != nil {
		tb.Fatal(err)
	}
	n := int64(0)
	for _, p := range s.Partitions {
		if p.Topic == "kafka.orders" {
			n += max(p.HighWater, 0)
		}
	}
	return n
}

// BenchmarkMirror copies b.N records, with both clusters in the same process.
func BenchmarkMirror(b *testing.B) {
	x := benchMirrorBed(b, b.N, 100)
	spec := mirrorSpecOf(b, x)
	before := cputime.Used()
	b.ResetTimer()
	m, err := x.control.Mirror(x.ctx, spec)
	if err != nil {
		b.Fatal(err)
	}
	for x.copiedUp(b) < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	if used := cputime.Used() - before; used > 0 {
		b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/record") // with both clusters' share
	}
	m.Crash()
}

// delays reads n records of a partition, and tells in order of length how long
// after their timestamps each came.
func (b *bed) delays(cluster, topic string, n int) <-chan []time.Duration {
	done := make(chan []time.Duration, 1)
	go func() {
		var out []time.Duration
		defer func() {
			slices.Sort(out)
			done <- out
		}()
		k, err := b.control.connect(b.ctx, cluster, topic)
		if err != nil {
			return
		}
		defer k.close(true)
		f := newFetcher(k, b.control.settings(cluster), controlID, topic, 0, 0)
		defer f.end(true)
		for len(out) < n {
			got, err := f.records()
			if err != nil {
				return
			}
			now := time.Now()
			for _, r := range got.records {
				out = append(out, now.Sub(time.UnixMilli(r.timestamp)))
			}
		}
	}()
	return done
}

// BenchmarkMirrorDelay measures, at 5,000 records a second, how long after its
// timestamp a reader has a record of the copy. A reader of the source shows how
// much of that is the machine's.
func BenchmarkMirrorDelay(b *testing.B) {
	x := benchMirrorBed(b, 0, 100)
	m, err := x.control.Mirror(x.ctx, mirrorSpecOf(b, x))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Crash()
	k, err := x.control.connect(x.ctx, "kafka", "orders")
	if err != nil {
		b.Fatal(err)
	}
	defer k.close(true)
	set := x.control.settings("kafka")
	d := set.dialer()
	c := newClient(k, set.sarama(controlID, d), d)
	defer c.end(true)
	w := batchWriter{client: c, set: set, topic: "orders", producer: -1}
	source, target := x.delays("kafka", "orders", b.N), x.delays("west", "kafka.orders", b.N)
	b.ResetTimer()
	value := make([]byte, 100)
	for sent, begin := 0, time.Now(); sent < b.N; {
		due := min(int(time.Since(begin).Seconds()*5000)+1, b.N)
		var batch []logRecord
		for ; sent < due; sent++ {
			batch = append(batch, logRecord{value: value, timestamp: time.Now().UnixMilli()})
		}
		if len(batch) > 0 {
			if _, err := w.write(batch); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	own, copied := <-source, <-target
	b.StopTimer()
	if len(own) < b.N || len(copied) < b.N {
		b.Fatalf("got %d records of the source and %d of the copy, want %d", len(own), len(copied), b.N)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(copied[b.N/2]), "p50-ms")
	b.ReportMetric(ms(copied[b.N*99/100]), "p99-ms")
	b.ReportMetric(ms(own[b.N*99/100]), "source-p99-ms")
}

// BenchmarkCompare reads b.N records on each side: alike, and with every record of
// the copy a place late.
func BenchmarkCompare(b *testing.B) {
	for _, kind := range []string{"alike", "shifted"} {
		b.Run("copy="+kind, func(b *testing.B) {
			x := benchMirrorBed(b, b.N, 100)
			spec := mirrorSpecOf(b, x)
			more := int64(0)
			if kind == "shifted" {
				made := spec.Copies[0]
				made.Origin = plan.Declared
				if err := x.control.Create(x.ctx, "west", []plan.Topic{made}); err != nil {
					b.Fatal(err)
				}
				for p := range int32(6) {
					if err := x.write("west", "kafka.orders", p, numbered(0, 1)); err != nil {
						b.Fatal(err)
					}
				}
				more = 6
			}
			m, err := x.control.Mirror(x.ctx, spec)
			if err != nil {
				b.Fatal(err)
			}
			for x.copiedUp(b) < int64(b.N)+more {
				time.Sleep(time.Millisecond)
			}
			m.Crash()
			b.ReportAllocs()
			b.ResetTimer()
			list, err := x.control.Compare(x.ctx, spec, nil, nil)
			if err != nil || list[0].Compared != int64(b.N) || list[0].Different != 0 || kind == "shifted" && list[3].Different != int64(b.N) {
				b.Fatalf("got %+v, %v", list, err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
