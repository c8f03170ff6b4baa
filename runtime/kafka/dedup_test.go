package kafka

// This file tests and measures by what consumers recognise records.

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

func remembers(t testing.TB, d plan.Dedup) *memory {
	t.Helper()
	m, err := newMemory(d)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDedup(t *testing.T) {
	type one struct {
		topic     string
		partition int32
		member    int
		seq       uint64
	}
	history := []one{
		{"orders", 0, 1, 0}, {"orders", 1, 1, 1}, {"orders", 0, 1, 2},
		{"orders", 0, 1, 2}, // again
		{"orders", 0, 2, 1}, // another member's, behind the first one's
		{"orders", 1, 1, 0}, // again, in another partition
		{"other", 0, 1, 0},  // again, in another topic
		{"orders", 1, 1, 9}, {"orders", 0, 1, 5},
	}
	for _, x := range []struct {
		d    plan.Dedup
		want string // K: known
	}{
		{plan.Dedup{Kind: "id_set"}, "...K.KK.."},
		{plan.Dedup{Kind: "high_water", Per: "partition"}, "...KKK..."},
		{plan.Dedup{Kind: "high_water", Per: "topic"}, "...KKK..K"},
		{plan.Dedup{Kind: "high_water", Per: "producer"}, "...K.KK.K"},
	} {
		m, got := remembers(t, x.d), ""
		before := m.bytes()
		for _, r := range history {
			id := record.Identity{Producer: 0, Member: r.member, Seq: r.seq}
			if m.known(r.topic, r.partition, id) {
				got += "K"
				continue
			}
			got += "."
			m.add(r.topic, r.partition, id)
		}
		if got != x.want {
			t.Errorf("%+v: got %s, want %s", x.d, got, x.want)
		}
		if m.bytes() <= before {
			t.Errorf("%+v: got %d bytes, want more than the %d of nothing", x.d, m.bytes(), before)
		}
	}
	for _, d := range []plan.Dedup{{Kind: "bloom"}, {Kind: "high_water"}, {Kind: "high_water", Per: "key"}} {
		if _, err := newMemory(d); err == nil {
			t.Errorf("%+v: got no error", d)
		}
	}
}

// fillMemory lets n records of three members come in turns.
func fillMemory(m *memory, n int) {
	for i := range n {
		id := record.Identity{Producer: 0, Member: i%3 + 1, Seq: uint64(i / 3)}
		if p := int32(i % 6); !m.known("orders", p, id) {
			m.add("orders", p, id)
		}
	}
}

// What a memory says that it holds is what the heap has grown by.
func TestDedupBytes(t *testing.T) {
	const ids = 500_000
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	m := remembers(t, plan.Dedup{Kind: "id_set"})
	fillMemory(m, ids/2)
	m.bytes()
	fillMemory(m, ids)
	grown, got := heap()-before, m.bytes()
	runtime.KeepAlive(m)
	if got < grown*9/10 || got > grown*11/10 {
		t.Errorf("got %d bytes, but the heap grew by %d", got, grown)
	}
	if per := got / ids; per < 16 || per > 80 {
		t.Errorf("bytes an id: got %d, want 16 and room in the nodes", per)
	}
}

// Duplicates in the log, by a producer that was cut off from an answer, are
// dropped; a member that crashes has forgotten.
func TestDedupDrops(t *testing.T) {
	p := scenario()
	p.Consumers[0].Dedup = &plan.Dedup{Kind: "id_set"}
	p.Consumers[0].SessionTimeout = plan.Duration(5 * time.Minute) // the member is not to lose its claims for want of machine
	p.Producers[0].Config = map[string]string{"request.timeout.ms": "1000"}
	b := start(t, p, 10)
	m := b.consumer(1)
	shop := b.producer(1)
	shop.Begin(b.clock.Now(), pace)
	b.sleep(2 * time.Second)
	b.drowse(2 * time.Second) // a broker that is frozen takes what it is sent, and answers too late
	b.sleep(6 * time.Second)
	b.stop(shop)
	b.drained()
	b.stop(m)
	b.audit()
	s := b.seen()
	b.whole(s)
	twice := 0
	for k, n := range s.audited {
		if n > 1 {
			twice++
		}
		if s.delivered[k] != 1 || s.dropped[k] < n-1 || s.dropped[k] > n-1 && b.slack() < 10*time.Second {
			t.Fatalf("record %v: %d times in the log, delivered %d times, dropped %d times, want all but one dropped", k, n, s.delivered[k], s.dropped[k])
		}
	}
	if twice == 0 && b.slack() < time.Second {
		t.Error("duplicates in the log: got none, want some: the test is about them")
	}
	if n := len(s.states); n < 2 || s.states[n-1].Bytes != 0 {
		t.Errorf("states: got %d of them, want several, and 0 at the end", n)
	}
	var most int64
	for _, x := range s.states {
		most = max(most, x.Bytes)
	}
	if per := most / int64(len(s.delivered)); per < 16 || per > 80 {
		t.Errorf("bytes a record: got %d, want 16 and room in the nodes", per)
	}
}

// drowse freezes the leader of partition 0 for a while.
func (b *bed) drowse(d time.Duration) {
	b.t.Helper()
	id := b.leader(0)
	b.signal(id, "pause")
	b.sleep(d)
	b.signal(id, "resume")
}

// BenchmarkDedup tells what each alternative costs a record, and what it holds
// for a million ids (docs/performance.md).
func BenchmarkDedup(b *testing.B) {
	for _, d := range []plan.Dedup{
		{Kind: "id_set"}, {Kind: "high_water", Per: "partition"}, {Kind: "high_water", Per: "topic"}, {Kind: "high_water", Per: "producer"},
	} {
		name := d.Kind
		if d.Per != "" {
			name = fmt.Sprintf("%s/per=%s", d.Kind, d.Per)
		}
		b.Run(name, func(b *testing.B) {
			const million = 1_000_000
			full := remembers(b, d)
			fillMemory(full, million)
			held := full.bytes()
			m := remembers(b, d)
			b.ResetTimer()
			for range b.N / million {
				fillMemory(m, million)
				m = remembers(b, d)
			}
			fillMemory(m, b.N%million)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(held), "B/million-ids")
		})
	}
}
