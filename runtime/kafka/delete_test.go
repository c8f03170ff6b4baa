package kafka

// This file tests delete_records and delete.

import (
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime"
)

func TestDeleteRecords(t *testing.T) {
	p := scenario()
	p.Topics[0].Partitions = 2
	// The plan's name is not the cluster's.
	p.Topics[0].Name, p.Topics[0].Kafka = "kafka/orders", "orders"
	b := start(t, p, 10)
	ref := []plan.Ref{{Kind: plan.RefTopic, Name: "kafka/orders"}}
	b.put("kafka", "orders", 0, numbered(0, 20)...)
	b.put("kafka", "orders", 1, numbered(0, 5)...)
	starts := func() [2]int64 {
		t.Helper()
		var out [2]int64
		s, err := b.world.Inspect(b.ctx, "kafka")
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range s.Partitions {
			if x.Topic == "orders" {
				out[x.Partition] = x.Start
			}
		}
		return out
	}
	for _, c := range []struct {
		before  plan.Offsets
		text    string
		deleted []runtime.Written
		starts  [2]int64
	}{
		{plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{0: 7}}, "1 partition begins at 7",
			[]runtime.Written{{Topic: "kafka/orders", Partition: 0, Offset: 7}}, [2]int64{7, 0}},
		{plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{1: 2}}, "1 partition begins at 2 (1)",
			[]runtime.Written{{Topic: "kafka/orders", Partition: 1, Offset: 2}}, [2]int64{7, 2}},
		{plan.Offsets{Kind: plan.OffsetsLatest}, "2 partitions begin at 20, 5",
			[]runtime.Written{{Topic: "kafka/orders", Partition: 0, Offset: 20}, {Topic: "kafka/orders", Partition: 1, Offset: 5}}, [2]int64{20, 5}},
	} {
		got := b.do(plan.Action{Verb: plan.DeleteRecords, Targets: ref, Offsets: &c.before})
		if got.Text != c.text || len(got.Deleted) != len(c.deleted) {
			t.Fatalf("got %q and %v, want %q and %v", got.Text, got.Deleted, c.text, c.deleted)
		}
		for i, d := range c.deleted {
			if got.Deleted[i] != d {
				t.Errorf("deleted: got %+v, want %+v", got.Deleted[i], d)
			}
		}
		if s := starts(); s != c.starts {
			t.Errorf("log start offsets: got %v, want %v", s, c.starts)
		}
	}
	for _, c := range []struct {
		before plan.Offsets
		want   string
	}{
		{plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{0: 21}}, "orders/0 before 21: "},
		{plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{9: 1}}, "partition 9: "},
	} {
		at := time.Now()
		_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.DeleteRecords, Targets: ref, Offsets: &c.before})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.before.ByPartition, err, c.want)
		}
		if took := time.Since(at); took > 5*time.Second {
			t.Errorf("%v: took %v, want an answer at once", c.before.ByPartition, took)
		}
	}
}

func TestDeleteTopic(t *testing.T) {
	b := start(t, scenario(), 10)
	b.put("kafka", "orders", 0, numbered(0, 20)...)
	got := b.do(plan.Action{Verb: plan.Delete, Targets: topicRef()})
	if len(got.Deleted) != 1 || got.Deleted[0] != (runtime.Written{Topic: "orders", Partition: -1}) {
		t.Errorf("deleted: got %+v, want the topic", got.Deleted)
	}
	if n := b.end("kafka", "orders", 0); n != -1 {
		t.Errorf("orders: got end %d, want that it is gone", n)
	}
	_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.Delete, Targets: topicRef()})
	if err == nil || !strings.HasPrefix(err.Error(), "delete orders: ") {
		t.Errorf("a second time: got %v, want UNKNOWN_TOPIC_OR_PARTITION", err)
	}
}
