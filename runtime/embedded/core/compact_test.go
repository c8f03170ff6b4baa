package core

// This file tests the compaction of what transactions wrote, and what stays of producers
// (LogCleaner of Kafka 3.9).

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// writer appends to partition 0 of t as transactions' coordinators would have let it.
type writer struct {
	w *World
	r *replica
	// sequence is the next one of each producer.
	sequence map[int64]int32
}

func newWriter(t *testing.T, config map[string]string) *writer {
	w := one(t, config)
	return &writer{w, w.byID[1].broker.replicas[partitionKey{"t", 0}], map[int64]int32{}}
}

// put writes keys; one that ends in - is a tombstone. producer -1 is none.
func (x *writer) put(producer int64, transactional bool, keys ...string) {
	var records []GroupRecord
	for _, k := range keys {
		name, tomb := strings.CutSuffix(k, "-")
		r := GroupRecord{Key: []byte(name), Value: []byte("v")}
		if tomb {
			r.Value = nil
		}
		records = append(records, r)
	}
	b := newBatch(wall(x.w), records)
	if producer >= 0 {
		attributes := int16(0)
		if transactional {
			attributes = attrTransactional
		}
		b.setProducer(producer, 0, attributes, x.sequence[producer])
		x.sequence[producer] += int32(len(keys))
	}
	x.r.append(b)
}

func (x *writer) end(producer int64, commit bool) {
	x.r.append(newMarker(wall(x.w), &txnMarker{producer, 0, commit, 0, nil}))
}

// roll lets the next batch begin a segment, and lets it be, with a record of its own.
func (x *writer) roll() {
	x.w.Advance(x.w.Now() + 61*sec)
	x.put(-1, false, "z")
	x.w.Advance(x.w.Now() + 20*sec)
}

// layout is the log, batch by batch: C and A are markers, () a batch without records.
func (x *writer) layout(t *testing.T) string {
	var out []string
	for _, e := range x.r.log.entries {
		commit, _, ok := e.b.marker()
		switch {
		case ok && commit:
			out = append(out, fmt.Sprintf("C@%d", e.b.base))
		case ok:
			out = append(out, fmt.Sprintf("A@%d", e.b.base))
		case e.b.count == 0:
			out = append(out, fmt.Sprintf("()@%d-%d", e.b.base, e.b.last))
		}
		if ok {
			continue
		}
		if err := x.r.eachKept(e.b, func(rec rawRecord) {
			out = append(out, fmt.Sprintf("%s@%d", rec.key, e.b.base+rec.delta))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(out, " ")
}

func (x *writer) check(t *testing.T, what, want string) {
	t.Helper()
	if got := x.layout(t); got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestCompactionOfTransactions(t *testing.T) {
	x := newWriter(t, map[string]string{"cleanup.policy": "compact", "segment.ms": "60000", "delete.retention.ms": "600000", "min.cleanable.dirty.ratio": "0"})
	x.put(-1, false, "a")         // 0
	x.put(1, true, "a", "b", "c") // 1 2 3
	x.end(1, true)                // 4
	x.put(2, true, "a", "d")      // 5 6
	x.end(2, false)               // 7
	x.put(1, true, "b")           // 8
	x.end(1, true)                // 9
	x.roll()                      // 10
	// Aborted records go and replace nothing, committed ones are as any; the last of each
	// producer leaves its sequence number, and every marker stays.
	x.check(t, "once", "a@1 c@3 C@4 ()@5-6 A@7 b@8 C@9 z@10")
	x.put(1, true, "a", "c") // 11 12
	x.put(2, true, "e")      // 13
	x.end(2, true)           // 14
	x.end(1, true)           // 15
	x.roll()                 // 16
	x.check(t, "twice", "C@4 A@7 b@8 C@9 z@10 a@11 c@12 e@13 C@14 C@15 z@16")
	if n := len(x.r.log.txns.aborted); n != 1 {
		t.Errorf("got %d aborted transactions that readers hear of, want 1: its batch was there", n)
	}
	x.roll() // 17
	// The markers at 4 and 7 are met without any batch, and have their time from now.
	if n := len(x.r.log.txns.aborted); n != 0 {
		t.Errorf("got %d aborted transactions that readers hear of, want none", n)
	}
	x.w.Advance(x.w.Now() + 8*time.Minute)
	x.roll() // 18
	x.check(t, "before their time", "C@4 A@7 b@8 C@9 a@11 c@12 e@13 C@14 C@15 z@17 z@18")
	x.w.Advance(x.w.Now() + time.Minute)
	x.roll() // 19
	x.check(t, "after their time", "b@8 C@9 a@11 c@12 e@13 C@14 C@15 z@18 z@19")
}

func TestCompactionStopsAtOpenTransactions(t *testing.T) {
	x := newWriter(t, map[string]string{"cleanup.policy": "compact", "segment.ms": "60000", "min.cleanable.dirty.ratio": "0"})
	x.put(-1, false, "a") // 0
	x.put(1, true, "b")   // 1
	x.put(-1, false, "a") // 2
	x.roll()              // 3
	x.put(-1, false, "a") // 4
	x.roll()              // 5
	x.check(t, "open", "a@0 b@1 a@2 z@3 a@4 z@5")
	x.end(1, true) // 6
	x.roll()       // 7
	// Without delete.retention.ms over, and with its batch there, the marker stays.
	x.check(t, "decided", "b@1 a@4 z@5 C@6 z@7")
}

// What is left of a producer of its own is its last sequence number, until it is forgotten.
func TestCompactionKeepsTheLastOfAProducer(t *testing.T) {
	w := newWorld(t, Options{Config: map[string]string{"producer.id.expiration.ms": "600000"}})
	settle(t, w)
	createTopic(t, w, 1, "t", 1, 1, map[string]string{"cleanup.policy": "compact", "segment.ms": "60000", "min.cleanable.dirty.ratio": "0"}, nil)
	x := &writer{w, w.byID[1].broker.replicas[partitionKey{"t", 0}], map[int64]int32{}}
	x.put(5, false, "a")      // 0
	x.put(5, false, "a", "b") // 1 2
	x.put(-1, false, "a", "b")
	x.roll() // 5
	x.check(t, "active", "()@1-2 a@3 b@4 z@5")
	l := x.r.log
	l.rebuildProducers()
	if p := l.producers[5]; p == nil || p.lastSequence() != 2 {
		t.Errorf("got %v of the producer, want its last sequence 2", p)
	}
	p := ask(t, w, 1, fetchRequest(0, 0, 1, 1<<20)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	var rb kmsg.RecordBatch
	if err := rb.ReadFrom(p.RecordBatches); err != nil || rb.NumRecords != 0 || rb.FirstOffset != 1 || rb.LastOffsetDelta != 1 || rb.FirstSequence != 1 {
		t.Errorf("got %+v, %v; want an empty batch of the offsets 1 and 2", rb, err)
	}
	lo := at(kmsg.NewPtrListOffsetsRequest())
	lo.ReplicaID = -1
	lo.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: 1, CurrentLeaderEpoch: -1}}}}
	if got := ask(t, w, 1, lo).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset; got != 3 {
		t.Errorf("the first offset from a time on: got %d, want 3, the first record", got)
	}
	w.Advance(w.Now() + 20*time.Minute)
	x.put(-1, false, "a")
	x.roll()
	x.check(t, "forgotten", "b@4 z@5 a@6 z@7")
}

// Random transactions: what a reader of committed records has in the end for each key is
// what was committed last, and the producers are the same when they are read back.
func TestCompactionAgreesWithReaders(t *testing.T) {
	x := newWriter(t, map[string]string{"cleanup.policy": "compact", "segment.ms": "60000", "delete.retention.ms": "200000", "min.cleanable.dirty.ratio": "0.1"})
	type place struct {
		key    string
		offset int64
	}
	var committed []place
	open := map[int64][]place{}
	end := func(id int64, commit bool) {
		x.end(id, commit)
		if commit {
			committed = append(committed, open[id]...)
		}
		delete(open, id)
	}
	gone := 0
	for round := range 60 {
		for range 12 {
			id, at := int64(x.w.rng.IntN(4)), place{fmt.Sprint("k", x.w.rng.IntN(6)), x.r.log.next}
			switch n := x.w.rng.IntN(10); {
			case n < 5:
				open[id] = append(open[id], at)
				x.put(id, true, at.key)
			case n < 9 && open[id] != nil:
				end(id, n%2 == 0)
			default:
				committed = append(committed, at)
				x.put(-1, false, at.key)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(open)) {
			if round%3 == 0 { // else transactions go on over segments
				end(id, false)
			}
		}
		committed = append(committed, place{"z", x.r.log.next})
		before := len(x.r.log.entries)
		x.roll()
		gone += max(0, before-len(x.r.log.entries))

		stable := x.r.stable()
		want, got := map[string]int64{}, map[string]int64{}
		for _, c := range committed {
			if c.offset < stable {
				want[c.key] = max(want[c.key], c.offset)
			}
		}
		aborted := x.r.log.txns.abortedByProducer()
		for _, e := range x.r.log.entries {
			if e.b.control() || aborted.has(e.b) || e.b.base >= stable {
				continue
			}
			if err := x.r.eachKept(e.b, func(rec rawRecord) { got[string(rec.key)] = e.b.base + rec.delta }); err != nil {
				t.Fatal(err)
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("round %d: got the last offsets %v, want %v; log %s", round, got, want, x.layout(t))
		}
		state := func() string {
			out := ""
			for _, id := range x.r.log.producerIDs() {
				p := x.r.log.producers[id]
				out += fmt.Sprint(id, " ", p.epoch, p.lastSequence(), p.txnFirst >= 0, "; ")
			}
			return out
		}
		had := state()
		x.r.log.rebuildProducers()
		if now := state(); now != had {
			t.Fatalf("round %d: got producers %s, want %s", round, now, had)
		}
		if again := x.r.stable(); again != stable {
			t.Fatalf("round %d: got the last stable offset %d from the log, want %d", round, again, stable)
		}
	}
	if gone < 100 {
		t.Errorf("compaction took only %d batches: this test says nothing", gone)
	}
}
