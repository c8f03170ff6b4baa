package core

// This file tests segments, retention, compaction and what is not in memory.

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/codec"
)

// putAt writes one record of a key ("" for none) and value ("-" for a tombstone) with the
// present time, or another.
func putAt(t testing.TB, w *World, broker int32, topic, key, value string, timestamp int64) {
	t.Helper()
	rec := GroupRecord{Value: []byte(value)}
	if key != "" {
		rec.Key = []byte(key)
	}
	if value == "-" {
		rec.Value = nil
	}
	b := newBatch(timestamp, []GroupRecord{rec})
	r := ask(t, w, broker, produceRequest(topic, 0, 1, b.data)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if r.ErrorCode != 0 {
		t.Fatalf("produce: got error %d", r.ErrorCode)
	}
}

func wall(w *World) int64 { return w.wallMillis(w.Now()) }

func segmentBases(w *World, broker int32) []int64 {
	var out []int64
	for _, s := range w.byID[broker].disk.logs[partitionKey{"t", 0}].segments() {
		out = append(out, s.base)
	}
	return out
}

func TestSegmentsRoll(t *testing.T) {
	size := len(newBatch(0, []GroupRecord{{Value: []byte("v")}}).data)
	tests := []struct {
		name   string
		config map[string]string
		gap    time.Duration // between records
		stamp  bool          // records have times
		want   []int64
	}{
		{"one segment by default", nil, time.Second, true, []int64{0}},
		{"by bytes", map[string]string{"segment.bytes": fmt.Sprint(2*size + 1)}, 0, true, []int64{0, 2, 4}},
		{"by time of the records", map[string]string{"segment.ms": "2500"}, time.Second, true, []int64{0, 3}},
		{"by time since it began", map[string]string{"segment.ms": "2500"}, time.Second, false, []int64{0, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := one(t, tt.config)
			for range 5 {
				at := int64(-1)
				if tt.stamp {
					at = wall(w)
				}
				putAt(t, w, 1, "t", "", "v", at)
				w.Advance(w.Now() + tt.gap)
			}
			if got := segmentBases(w, 1); !slices.Equal(got, tt.want) {
				t.Errorf("got segments from %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	size := len(newBatch(0, []GroupRecord{{Key: []byte("0"), Value: []byte("v")}}).data)
	segment := fmt.Sprint(2*size + 1)
	tests := []struct {
		name   string
		config map[string]string
		age    time.Duration // the first six records are this much older than the last four
		want   int64         // the start of the log
	}{
		{"defaults keep a week", map[string]string{"segment.bytes": segment}, 6 * 24 * time.Hour, 0},
		{"older than a week", map[string]string{"segment.bytes": segment}, 8 * 24 * time.Hour, 6},
		{"retention.ms", map[string]string{"segment.bytes": segment, "retention.ms": "3600000"}, 2 * time.Hour, 6},
		{"no limit", map[string]string{"segment.bytes": segment, "retention.ms": "-1"}, 9999 * time.Hour, 0},
		{"one segment with something young stays whole", map[string]string{"retention.ms": "3600000"}, 2 * time.Hour, 0},
		{"retention.bytes", map[string]string{"segment.bytes": segment, "retention.bytes": fmt.Sprint(5 * size)}, 0, 4},
		{"retention.bytes, room for all", map[string]string{"segment.bytes": segment, "retention.bytes": fmt.Sprint(10 * size)}, 0, 0},
		{"compacted topics keep everything", map[string]string{"segment.bytes": segment, "retention.ms": "1000", "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1"}, 99 * time.Hour, 0},
		{"both policies", map[string]string{"segment.bytes": segment, "retention.ms": "3600000", "cleanup.policy": "compact,delete", "min.cleanable.dirty.ratio": "1"}, 2 * time.Hour, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Options{Brokers: 3})
			settle(t, w)
			createTopic(t, w, 1, "t", 1, 3, tt.config, [][]int32{{1, 2, 3}})
			for i := range 10 {
				at := wall(w)
				if i < 6 {
					at -= tt.age.Milliseconds()
				}
				putAt(t, w, 1, "t", fmt.Sprint(i), "v", at)
			}
			w.Advance(w.Now() + 6*time.Minute)
			for _, id := range []int32{1, 2, 3} {
				r := w.Replicas(id)[0]
				if r.LogStart != tt.want || r.LogEnd != 10 || r.Size != int64(size)*(10-tt.want) {
					t.Errorf("broker %d: got a log from %d to %d of %d bytes, want %d to 10", id, r.LogStart, r.LogEnd, r.Size, tt.want)
				}
			}
			if tt.want > 0 {
				if p := ask(t, w, 1, fetchRequest(0, 0, 1, 1000)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != codeOffsetOutOfRange || p.LogStartOffset != -1 {
					t.Errorf("a fetch of what is deleted: got error %d, want %d", p.ErrorCode, codeOffsetOutOfRange)
				}
			}
		})
	}
}

func TestRetentionOfEverything(t *testing.T) {
	w := one(t, map[string]string{"retention.ms": "60000"})
	for range 5 {
		putAt(t, w, 1, "t", "", "v", wall(w))
	}
	w.Advance(w.Now() + 12*time.Minute)
	if r := w.Replicas(1)[0]; r.LogStart != 5 || r.LogEnd != 5 || r.Size != 0 {
		t.Errorf("got a log from %d to %d of %d bytes, want it empty at 5", r.LogStart, r.LogEnd, r.Size)
	}
	putAt(t, w, 1, "t", "", "v", wall(w))
	if r := w.Replicas(1)[0]; r.LogStart != 5 || r.LogEnd != 6 {
		t.Errorf("got a log from %d to %d, want it to go on at 5", r.LogStart, r.LogEnd)
	}
}

func TestRetentionByClocksThatGoSlower(t *testing.T) {
	w := newWorld(t, Options{Brokers: 1, ClientSpeed: 10})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, map[string]string{"retention.ms": "600000"}, nil)
	// By the client's clock only a tenth of the time has passed.
	putAt(t, w, 1, "t", "", "v", w.opts.Epoch.Add(w.Now()/10).UnixMilli())
	w.Advance(w.Now() + 9*time.Minute)
	if r := w.Replicas(1)[0]; r.LogStart != 0 {
		t.Errorf("after 9 of 10 minutes: got a log from %d, want 0", r.LogStart)
	}
	w.Advance(w.Now() + 7*time.Minute)
	if r := w.Replicas(1)[0]; r.LogStart != 1 {
		t.Errorf("after 16 minutes: got a log from %d, want 1", r.LogStart)
	}
}

// contents reads a log as key=value@offset.
func contents(t testing.TB, w *World, broker int32) string {
	t.Helper()
	var out []string
	for _, e := range w.byID[broker].disk.logs[partitionKey{"t", 0}].entries {
		r := w.byID[broker].broker.replicas[partitionKey{"t", 0}]
		if err := r.eachKept(e.b, func(rec rawRecord) {
			mark := ""
			if rec.tomb {
				mark = "-"
			}
			out = append(out, fmt.Sprintf("%s%s@%d", rec.key, mark, e.b.base+rec.delta))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(out, " ")
}

func TestCompaction(t *testing.T) {
	for _, kind := range everyCodec {
		config := map[string]string{"cleanup.policy": "compact", "segment.ms": "60000", "delete.retention.ms": "600000", "compression.type": map[codec.Type]string{
			codec.None: "uncompressed", codec.Gzip: "gzip", codec.Snappy: "snappy", codec.LZ4: "lz4", codec.Zstd: "zstd"}[kind]}
		w := newWorld(t, Options{Brokers: 2})
		settle(t, w)
		createTopic(t, w, 1, "t", 1, 2, config, [][]int32{{1, 2}})
		put := func(keys ...string) {
			var records []GroupRecord
			for _, k := range keys {
				name, tomb := strings.CutSuffix(k, "-")
				r := GroupRecord{Key: []byte(name), Value: []byte("v")}
				if tomb {
					r.Value = nil
				}
				records = append(records, r)
			}
			r := ask(t, w, 1, produceRequest("t", 0, -1, newBatch(wall(w), records).data)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if r.ErrorCode != 0 {
				t.Fatalf("produce: got error %d", r.ErrorCode)
			}
		}
		put("a", "b")      // 0 1
		put("a", "c", "a") // 2 3 4
		put("b-", "d")     // 5 6
		w.Advance(w.Now() + 61*sec)
		put("a", "e") // 7 8, in the active segment
		w.Advance(w.Now() + 20*sec)
		const once = "c@3 a@4 b-@5 d@6 a@7 e@8"
		for _, id := range []int32{1, 2} {
			if got := contents(t, w, id); got != once {
				t.Errorf("compression %d, broker %d: got %q, want %q", kind, id, got, once)
			}
		}
		w.Advance(w.Now() + 61*sec)
		put("f") // 9
		w.Advance(w.Now() + 11*time.Minute)
		put("g") // 10: the tombstone's time is over
		w.Advance(w.Now() + 20*sec)
		const twice = "c@3 d@6 a@7 e@8 f@9 g@10"
		for _, id := range []int32{1, 2} {
			if got := contents(t, w, id); got != twice {
				t.Errorf("compression %d, broker %d, later: got %q, want %q", kind, id, got, twice)
			}
		}
		// A consumer reads batches that parse and whose offsets are what they were.
		p := ask(t, w, 1, fetchRequest(0, 0, 1, 1<<20)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		var offsets []int64
		for data := p.RecordBatches; len(data) > 0; {
			var rb kmsg.RecordBatch
			if err := rb.ReadFrom(data); err != nil {
				t.Fatal(err)
			}
			n := int(rb.Length) + 12
			b := &batch{data: data[:n], attributes: rb.Attributes, base: rb.FirstOffset, count: rb.NumRecords}
			if err := b.eachRecord(&w.codec, codec.MaxUnpacked, func(_ int32, h recordHead) bool {
				offsets = append(offsets, b.base+h.offsetDelta)
				return true
			}); err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
		if want := []int64{3, 6, 7, 8, 9, 10}; !slices.Equal(offsets, want) {
			t.Errorf("compression %d: got offsets %v, want %v", kind, offsets, want)
		}
	}
}

func TestCompactedLogIsReplicatedWithItsGaps(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 2, map[string]string{"cleanup.policy": "compact", "segment.ms": "60000"}, [][]int32{{1, 2}})
	for i := range 9 {
		putAt(t, w, 1, "t", fmt.Sprint("k", i%2), "v", wall(w))
	}
	w.Advance(w.Now() + 61*sec)
	putAt(t, w, 1, "t", "z", "v", wall(w))
	w.Advance(w.Now() + 20*sec)
	want := "k1@7 k0@8 z@9"
	if got := contents(t, w, 1); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	req := at(kmsg.NewPtrAlterPartitionAssignmentsRequest())
	rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	rt.Topic = "t"
	rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	rp.Replicas = []int32{1, 3}
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	ask(t, w, 1, req)
	settle(t, w)
	if got := contents(t, w, 3); got != want {
		t.Errorf("the new replica: got %q, want %q", got, want)
	}
	if r := w.Replicas(3)[0]; r.LogEnd != 10 {
		t.Errorf("the new replica: got log end %d, want 10", r.LogEnd)
	}
}

// shelf is a Store in a map that can be made to fail.
type shelf struct {
	kept map[int64][]byte
	next int64
	full bool
	lost bool
}

func (s *shelf) Put(data []byte) (int64, error) {
	if s.full {
		return 0, errors.New("no space left")
	}
	s.next++
	s.kept[s.next] = slices.Clone(data)
	return s.next, nil
}

func (s *shelf) Get(at int64, data []byte) error {
	if s.lost || s.kept[at] == nil {
		return errors.New("gone")
	}
	copy(data, s.kept[at])
	return nil
}

func (s *shelf) Free(at int64, size int) {
	if len(s.kept[at]) != size {
		panic(fmt.Sprintf("free of %d at %d, where %d are", size, at, len(s.kept[at])))
	}
	delete(s.kept, at)
}

func TestMemoryIsBounded(t *testing.T) {
	s := &shelf{kept: map[int64][]byte{}}
	w := newWorld(t, Options{Brokers: 3, Store: s, Memory: 10_000})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, nil, [][]int32{{1, 2, 3}})
	write := func(from, to int64) {
		for i := from; i < to; i++ {
			if r := produced(t, w, leaders(w, "t")[0], -1, makeBatch(i, 1, 900, -1, -1, -1)); r.ErrorCode != 0 {
				t.Fatalf("produce: got error %d", r.ErrorCode)
			}
		}
	}
	write(0, 50)
	if w.spool.resident > 10_000 || len(s.kept) < 35 {
		t.Errorf("got %d bytes in memory and %d batches stored, want no more than 10000, and the rest stored once", w.spool.resident, len(s.kept))
	}
	read := func() []int64 {
		var out []int64
		for {
			p := ask(t, w, leaders(w, "t")[0], fetchRequest(int64(len(out)), 0, 1, 5000)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
			if p.ErrorCode != 0 {
				t.Fatalf("fetch: got error %d", p.ErrorCode)
			}
			if len(p.RecordBatches) == 0 {
				return out
			}
			for data := p.RecordBatches; len(data) > 0; {
				b, err := parseBatch(data[:12+int(uint32(data[8])<<24|uint32(data[9])<<16|uint32(data[10])<<8|uint32(data[11]))], 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				for range b.count {
					out = append(out, int64(len(out)))
				}
				data = data[len(b.data):]
			}
		}
	}
	if got := read(); len(got) != 50 {
		t.Errorf("read %d records, want 50", len(got))
	}
	// A follower that lost everything gets it from the store.
	must(t, w.PowerOff(3))
	w.Advance(w.Now() + 15*sec)
	must(t, w.Start(3))
	settle(t, w)
	if r := w.Replicas(3)[0]; r.LogEnd != 50 {
		t.Errorf("a broker that came back: got log end %d, want 50", r.LogEnd)
	}
	req := at(kmsg.NewPtrDeleteTopicsRequest())
	dt := kmsg.NewDeleteTopicsRequestTopic()
	dt.Topic = kmsg.StringPtr("t")
	req.Topics = append(req.Topics, dt)
	ask(t, w, 1, req)
	w.Advance(w.Now() + 2*sec)
	if len(s.kept) != 0 || w.spool.resident != 0 {
		t.Errorf("after the topic was deleted: got %d batches stored and %d bytes in memory, want none", len(s.kept), w.spool.resident)
	}
}

func TestStoreThatFails(t *testing.T) {
	s := &shelf{kept: map[int64][]byte{}}
	w := newWorld(t, Options{Brokers: 1, Store: s, Memory: 5_000})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, nil, nil)
	for i := range int64(10) {
		produced(t, w, 1, 1, makeBatch(i, 1, 900, -1, -1, -1))
	}
	before := len(s.kept)
	s.full = true
	for i := range int64(20) {
		if r := produced(t, w, 1, 1, makeBatch(i, 1, 900, -1, -1, -1)); r.ErrorCode != 0 {
			t.Fatalf("produce with a full disk: got error %d", r.ErrorCode)
		}
	}
	if len(s.kept) != before || w.StoreError() == nil {
		t.Errorf("got %d batches stored and error %v, want %d and the reason", len(s.kept), w.StoreError(), before)
	}
	s.lost = true
	if p := ask(t, w, 1, fetchRequest(0, 0, 1, 5000)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != codeKafkaStorage {
		t.Errorf("a fetch of what cannot be read: got error %d, want %d", p.ErrorCode, codeKafkaStorage)
	}
	if p := ask(t, w, 1, fetchRequest(25, 0, 1, 5000)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
		t.Errorf("a fetch of what is in memory: got error %d", p.ErrorCode)
	}
}

// TestLogsAddUp does random things to a log and compares what it counts with what it has.
func TestLogsAddUp(t *testing.T) {
	w := newWorld(t, Options{Brokers: 3, Store: &shelf{kept: map[int64][]byte{}}, Memory: 3_000, Config: map[string]string{"log.retention.check.interval.ms": "1000", "log.cleaner.backoff.ms": "700"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 3, map[string]string{"segment.bytes": "1000", "cleanup.policy": "compact,delete", "retention.ms": "30000", "min.insync.replicas": "1"}, [][]int32{{1, 2, 3}})
	for i := range 400 {
		lead := leaders(w, "t")[0]
		if lead > 0 && w.byID[lead].state == Running {
			b := newBatch(wall(w), []GroupRecord{{Key: fmt.Append(nil, "k", w.rng.IntN(9)), Value: make([]byte, w.rng.IntN(200))}})
			w.Request(lead, ClientConn{ID: 1}, produceRequest("t", 0, 1, b.data), func(kmsg.Response) {})
		}
		victim := w.rng.Int32N(3) + 1
		switch i % 40 {
		case 20:
			_ = w.PowerOff(victim)
		case 39:
			for id := range int32(3) {
				_ = w.Start(id + 1)
			}
		}
		w.Advance(w.Now() + 500*ms)
		holders := map[*batch]int{}
		for _, n := range w.nodes {
			l := n.disk.logs[partitionKey{"t", 0}]
			if l == nil {
				continue
			}
			size, segments := int64(0), int64(0)
			last, newest := l.start-1, int64(-1<<63)
			for _, e := range l.entries {
				if newest = max(newest, e.b.maxTime); e.maxTime < newest {
					t.Fatalf("step %d: broker %d: the time index has %d, want at least %d", i, n.id, e.maxTime, newest)
				}
				newest = e.maxTime
				holders[e.b]++
				size += int64(e.b.size())
				if e.b.last <= last && e.b.last >= l.start {
					t.Fatalf("step %d: broker %d: batch to %d after one to %d", i, n.id, e.b.last, last)
				}
				last = e.b.last
			}
			for _, s := range l.segments() {
				segments += s.size
			}
			if size != l.size() || segments != size || l.start > l.next {
				t.Fatalf("step %d: broker %d: got size %d and %d in segments, log %d to %d; the batches have %d bytes", i, n.id, l.size(), segments, l.start, l.next, size)
			}
		}
		resident := int64(0)
		for b, n := range holders {
			if int(b.holders) != n {
				t.Fatalf("step %d: a batch says that %d logs hold it, want %d", i, b.holders, n)
			}
			if b.data != nil {
				resident += int64(len(b.data))
			}
		}
		if resident != w.spool.resident || resident > 3_000 {
			t.Fatalf("step %d: got %d bytes counted in memory, want %d and no more than 3000", i, w.spool.resident, resident)
		}
		if kept := w.spool.store.(*shelf).kept; len(kept) != len(holders)-len(slices.DeleteFunc(slices.Collect(maps.Keys(holders)), func(b *batch) bool { return b.data == nil })) {
			t.Fatalf("step %d: got %d batches stored, want those that are not in memory", i, len(kept))
		}
	}
	heal(w)
	settle(t, w)
	if a, b := contents(t, w, 1), contents(t, w, 2); a == "" || b == "" {
		t.Errorf("got logs %q and %q, want something left", a, b)
	}
}
