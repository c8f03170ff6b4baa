package kafka

// This file tests the comparison of mirrors: each aspect once alike and once not,
// with the copy written by hand.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starfall/interp/plan"
	"starfall/runtime"
)

// copied is a bed with topic orders and a copy that no mirror makes.
func copied(t *testing.T, partitions, copies int) *bed {
	t.Helper()
	p := mirrorScenario()
	p.Topics[0].Partitions, p.Topics[0].MinInsync = partitions, 1
	b := start(t, p, 10)
	made := p.Topics[1]
	made.Origin, made.Partitions = plan.Declared, copies
	if err := b.control.Create(b.ctx, "west", []plan.Topic{made}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) compare(groups ...string) map[string]runtime.Comparison {
	b.t.Helper()
	list, err := b.control.Compare(b.ctx, b.mirrorSpec(), nil, groups)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]runtime.Comparison{}
	for i, c := range list {
		if c.Aspect != plan.Aspects()[i] {
			b.t.Errorf("aspect %d: got %s, want %s", i, c.Aspect, plan.Aspects()[i])
		}
		if (c.Different == 0) != (c.First == "") {
			b.t.Errorf("%s: got %d differences and the first %q", c.Aspect, c.Different, c.First)
		}
		out[c.Aspect] = c
	}
	return out
}

// told checks one aspect; first is a part of the words.
func (b *bed) told(all map[string]runtime.Comparison, aspect string, compared, different int64, first string) {
	b.t.Helper()
	c := all[aspect]
	if c.Compared != compared || c.Different != different || !strings.Contains(c.First, first) {
		b.t.Errorf("%s: got %d of %d, %q; want %d of %d, %q", aspect, c.Different, c.Compared, c.First, different, compared, first)
	}
}

func TestCompareRecords(t *testing.T) {
	source := numbered(0, 10)
	day := ancient.UTC().Format("2006-01-02 15:04:05")
	changed := func(i int, f func(*logRecord)) []logRecord {
		out := slices.Clone(source)
		f(&out[i])
		return out
	}
	for _, c := range []struct {
		name string
		copy []logRecord
		// differences of records, order and offsets of 10, 10 and 10
		records, order, offsets int64
		first                   [3]string
	}{
		{"alike", source, 0, 0, 0, [3]string{}},
		{"one more", append(slices.Clone(source), numbered(99, 1)...), 0, 0, 0, [3]string{}},
		{"the end is missing", source[:7], 3, 0, 3, [3]string{"orders/0, offset 7 (key \"k0\", 2 bytes) is not in the copy", "", "offset 7 is not in the copy"}},
		{"one is missing", append(slices.Clone(source[:4]), source[5:]...), 1, 0, 6, [3]string{"offset 4 ", "", "offset 4 is not in the copy"}},
		{"the beginning twice", append(slices.Clone(source[:3]), source...), 0, 0, 7, [3]string{"", "", "offset 3 is at 6 in the copy"}},
		{"two exchanged", append([]logRecord{source[1], source[0]}, source[2:]...), 0, 1, 2, [3]string{"", "offset 1 is at 0 in the copy, before one that it follows, at 1", "offset 0 is at 1"}},
		{"another timestamp", changed(5, func(r *logRecord) { r.timestamp = ancient.UnixMilli() + 999 }), 1, 0, 0,
			[3]string{"orders/0, offset 5: timestamp " + day + ".005, in the copy " + day + ".999", "", ""}},
		{"another key", changed(5, func(r *logRecord) { r.key = nil }), 1, 0, 0, [3]string{`offset 5: key "k5", in the copy none`, "", ""}},
		{"another value", changed(5, func(r *logRecord) { r.value = []byte("x") }), 1, 0, 1, [3]string{"offset 5 (key", "", "offset 5 is not in the copy"}},
		{"nothing", nil, 10, 0, 10, [3]string{"offset 0 ", "", "offset 0 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := copied(t, 1, 1)
			b.put("kafka", "orders", 0, source...)
			if len(c.copy) > 0 {
				b.put("west", "kafka.orders", 0, c.copy...)
			}
			all := b.compare()
			missing := int64(0)
			if !strings.Contains(c.first[0], "timestamp") && !strings.Contains(c.first[0], ": key") {
				missing = c.records
			}
			b.told(all, "records", 10, c.records, c.first[0])
			b.told(all, "order", 10-missing, c.order, c.first[1])
			b.told(all, "offsets", 10, c.offsets, c.first[2])
			b.told(all, "partitions", 1+10-missing, 0, "")
		})
	}
}

// Records that are in another partition of the copy are in the copy; partitions
// that one side lacks differ.
func TestComparePartitions(t *testing.T) {
	b := copied(t, 2, 3)
	b.put("kafka", "orders", 0, numbered(0, 5)...)
	b.put("kafka", "orders", 1, numbered(5, 5)...)
	b.put("west", "kafka.orders", 0, numbered(0, 4)...)
	b.put("west", "kafka.orders", 2, numbered(4, 3)...)
	all := b.compare()
	b.told(all, "records", 10, 3, `orders/1, offset 2 (key "k0", 2 bytes) is not in the copy`)
	b.told(all, "order", 4, 0, "")
	b.told(all, "partitions", 3+4+3, 1+3, "orders has 2 partitions, west/kafka.orders has 3")
}

// In blocks, with few strays at a time, the outcome is the same.
func TestCompareBlocks(t *testing.T) {
	b := copied(t, 2, 2)
	source := numbered(0, 200)
	b.put("kafka", "orders", 0, source...)
	b.put("kafka", "orders", 1, numbered(200, 20)...)
	// The first block is missing but for its last; some are exchanged; some strayed.
	turned := slices.Clone(source[50:100])
	slices.Reverse(turned)
	b.put("west", "kafka.orders", 0, slices.Concat(source[:10], source[30:50], turned, source[100:], source[40:60], numbered(205, 10))...)
	b.put("west", "kafka.orders", 1, slices.Concat(numbered(200, 5), source[10:20])...)
	for _, size := range []int{7, 1 << 20} {
		x := &comparing{c: b.control, spec: b.mirrorSpec(), out: map[string]*runtime.Comparison{}, prints: newPrints()}
		for _, a := range plan.Aspects() {
			x.out[a] = &runtime.Comparison{Aspect: a}
		}
		c := &comparedTopic{comparing: x, source: x.spec.Topics[0], target: x.spec.Copies[0], copied: 2, block: size, stray: size,
			from: b.connected("kafka", "orders"), to: b.connected("west", "kafka.orders")}
		err := c.compare(b.ctx, 2)
		c.from.close(true)
		c.to.close(true)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]runtime.Comparison{}
		for a, o := range x.out {
			all[a] = *o
		}
		b.told(all, "records", 220, 10+5, "orders/0, offset 20 ")
		b.told(all, "order", 180+5, 49, "offset 51 is at")
		b.told(all, "partitions", 185+20, 20, "orders/")
		// Only the first ten of partition 0 and five of partition 1 have kept theirs.
		b.told(all, "offsets", 220, 220-15, "offset 10 is not in the copy")
	}
}

// The same record twice in the source has to be twice in the copy.
func TestCompareTwins(t *testing.T) {
	b := copied(t, 1, 1)
	twin := numbered(0, 1)
	b.put("kafka", "orders", 0, slices.Concat(twin, numbered(1, 3), twin)...)
	b.put("west", "kafka.orders", 0, slices.Concat(numbered(1, 3), twin)...)
	all := b.compare()
	b.told(all, "records", 5, 1, "orders/0, offset 4 ")
}

func TestCompareConfig(t *testing.T) {
	b := copied(t, 1, 1)
	all := b.compare()
	n := all["config"].Compared
	b.told(all, "config", n, 0, "")
	if n < 10 {
		t.Errorf("configs: got %d names, want all of a topic", n)
	}
	b.do(plan.Action{Verb: plan.Configure, Targets: topicRef(), Config: map[string]string{"retention.ms": "77"}})
	b.told(b.compare(), "config", n, 1, "retention.ms of orders: 77, in the copy 604800000")
}

func TestCompareGroups(t *testing.T) {
	b := copied(t, 1, 1)
	b.put("kafka", "orders", 0, numbered(0, 10)...)
	b.put("west", "kafka.orders", 0, numbered(2, 8)...) // two offsets earlier
	at := func(cluster, topic string, offset int64) {
		t.Helper()
		if err := b.control.commitFor(b.ctx, cluster, "billing", map[string]map[int32]int64{topic: {0: offset}}); err != nil {
			t.Fatal(err)
		}
	}
	b.told(b.compare("billing"), "groups", 0, 0, "")
	at("kafka", "orders", 5)
	b.told(b.compare("billing"), "groups", 1, 1, "billing on orders/0: at 5, in the copy it has no position")
	for _, c := range []struct {
		here, there int64
		first       string
	}{
		{5, 3, ""},
		{5, 4, "billing on orders/0: at 5, in the copy at 4, before another record"},
		{10, 8, ""},
		{10, 7, "billing on orders/0: at 10, behind the last record; in the copy at 7, before a record"},
	} {
		at("kafka", "orders", c.here)
		at("west", "kafka.orders", c.there)
		want := int64(0)
		if c.first != "" {
			want = 1
		}
		t.Run(fmt.Sprint(c.here, c.there), func(t *testing.T) { b.told(b.compare("billing"), "groups", 1, want, c.first) })
	}
}

// What stands behind the ends that are given is not compared, and a copy that is
// not there lacks everything.
func TestCompareEnds(t *testing.T) {
	b := copied(t, 1, 1)
	b.put("kafka", "orders", 0, numbered(0, 10)...)
	b.put("west", "kafka.orders", 0, numbered(0, 5)...)
	list, err := b.control.Compare(b.ctx, b.mirrorSpec(), map[string]map[int32]int64{"orders": {0: 5}, "west/kafka.orders": {0: 5}}, nil)
	if err != nil || list[0].Compared != 5 || list[0].Different != 0 {
		t.Errorf("up to the ends: got %+v, %v, want 5 alike", list[0], err)
	}
	if _, err := b.control.Do(b.ctx, "west", plan.Action{Verb: plan.Delete, Targets: []plan.Ref{{Kind: plan.RefTopic, Name: "west/kafka.orders"}}}); err != nil {
		t.Fatal(err)
	}
	all := b.compare()
	b.told(all, "records", 10, 10, "offset 0 ")
	b.told(all, "partitions", 1, 1, "orders has 1 partitions, west/kafka.orders has 0")
}
