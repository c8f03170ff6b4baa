package kafka

// This file tests reset_offsets.

import (
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
)

func consumerRef() []plan.Ref { return []plan.Ref{{Kind: plan.RefConsumer, Name: "billing"}} }

func TestResetOffsets(t *testing.T) {
	p := scenario()
	p.Topics[0].Partitions = 2
	b := start(t, p, 10)
	old, recent := numbered(0, 4), numbered(4, 3)
	for i := range recent {
		recent[i].timestamp = time.Now().UnixMilli()
	}
	b.put("kafka", "orders", 0, append(old, recent...)...)
	b.put("kafka", "orders", 1, old...)
	b.do(plan.Action{Verb: plan.DeleteRecords, Targets: topicRef(), Offsets: &plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{0: 1}}})
	for _, c := range []struct {
		name string
		to   plan.Offsets
		want map[int32]int64
		text string
	}{
		{"earliest", plan.Offsets{Kind: plan.OffsetsEarliest}, map[int32]int64{0: 1, 1: 0}, "2 partitions of orders at 1, 0"},
		{"latest", plan.Offsets{Kind: plan.OffsetsLatest}, map[int32]int64{0: 7, 1: 4}, "2 partitions of orders at 7, 4"},
		{"ago", plan.Offsets{Kind: plan.OffsetsAgo, Ago: plan.Duration(10 * time.Hour)}, map[int32]int64{0: 4, 1: 4}, "2 partitions of orders at 4, 4"},
		{"given", plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{1: 2}}, map[int32]int64{0: 4, 1: 2}, "1 partition of orders at 2 (1)"},
		{"outside of the log", plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{0: 0, 1: 99}}, map[int32]int64{0: 1, 1: 4}, "2 partitions of orders at 1, 4"},
	} {
		got := b.do(plan.Action{Verb: plan.ResetOffsets, Targets: consumerRef(), Offsets: &c.to})
		if got.Text != c.text {
			t.Errorf("%s: got proof %q, want %q", c.name, got.Text, c.text)
		}
		g, err := b.control.Group(b.ctx, "kafka", "billing")
		if err != nil {
			t.Fatal(err)
		}
		for part, want := range c.want {
			if at := g.Committed["orders"][part]; at != want {
				t.Errorf("%s: partition %d at %d, want %d", c.name, part, at, want)
			}
		}
	}
	_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.ResetOffsets, Targets: consumerRef(),
		Offsets: &plan.Offsets{Kind: plan.OffsetsGiven, ByPartition: map[int]int64{5: 1}}})
	if err == nil || !strings.HasPrefix(err.Error(), "reset_offsets billing: partition 5: ") {
		t.Errorf("a partition that is not there: got %v", err)
	}
}

// A group with members stays where it is, and the error is the tool's.
func TestResetOffsetsOfRunningGroup(t *testing.T) {
	b := start(t, scenario(), 10)
	conf := sarama.NewConfig()
	conf.Version, conf.Consumer.Offsets.AutoCommit.Enable = protocol, false
	group, err := sarama.NewConsumerGroup(b.bootstrap("x", 1), "billing", conf)
	if err != nil {
		t.Fatal(err)
	}
	joined, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = group.Consume(b.ctx, []string{"orders"}, idle{joined})
	}()
	<-joined
	reset := plan.Action{Verb: plan.ResetOffsets, Targets: consumerRef(), Offsets: &plan.Offsets{Kind: plan.OffsetsEarliest}}
	_, err = b.control.Do(b.ctx, "kafka", reset)
	want := "reset_offsets billing: assignments can only be reset if the group 'billing' is inactive, but the current state is Stable"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	// Where it joins after the question, the coordinator refuses the commit.
	err = b.control.commitFor(b.ctx, "kafka", "billing", map[string]map[int32]int64{"orders": {0: 0}})
	if err == nil || !strings.Contains(err.Error(), sarama.ErrUnknownMemberId.Error()) {
		t.Errorf("commit for a group with members: got %v, want UNKNOWN_MEMBER_ID", err)
	}
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
	b.do(reset)
}
