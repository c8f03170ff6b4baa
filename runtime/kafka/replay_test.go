package kafka

// This file tests replay: which records it takes, and that each is written once.

import (
	"slices"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
)

func TestReplay(t *testing.T) {
	p := mirrorScenario()
	p.Mirrors = nil
	p.Topics[0].Partitions = 3
	p.Topics[1] = plan.Topic{Name: "west/again", Kafka: "again", Cluster: "west", Partitions: 2, Replicas: 1, MinInsync: 1}
	b := start(t, p, 10)
	if b.end("west", "again", 0) < 0 {
		if err := b.control.Create(b.ctx, "west", p.Topics[1:]); err != nil {
			t.Fatal(err)
		}
	}
	b.control.Clock = b.clock
	// One record each 100 ms of scenario time from the zero of the clock on.
	records := numbered(0, 30)
	for i := range records {
		records[i].timestamp = b.clock.zero.Add(10 * time.Millisecond * time.Duration(i)).UnixMilli()
	}
	b.put("kafka", "orders", 0, records...)
	b.put("kafka", "orders", 2, numbered(100, 5)...) // of long ago
	to := &plan.Ref{Kind: plan.RefTopic, Name: "west/again"}
	replay := func(since, until time.Duration) string {
		t.Helper()
		return b.do(plan.Action{Verb: plan.Replay, Targets: topicRef(), To: to, Since: plan.Duration(since), Until: plan.Duration(until)}).Text
	}
	values := func(r []logRecord) (out []string) {
		for _, x := range r {
			out = append(out, string(x.key)+"="+string(x.value))
		}
		return out
	}
	// The clock is read again, so the edges are some milliseconds unsure: they lie
	// between two records.
	got := replay(950*time.Millisecond, 1950*time.Millisecond)
	if got != "10 records acknowledged in 1 of 2 partitions of west/again" {
		t.Errorf("a window: got %q", got)
	}
	copied := b.read("west", "again", 0, 10)
	if want := values(records[10:20]); !slices.Equal(values(copied), want) {
		t.Errorf("a window: got %v, want %v", values(copied), want)
	}
	for _, r := range copied {
		if age := time.Since(time.UnixMilli(r.timestamp)); age < 0 || age > limit {
			t.Errorf("timestamp: got one of %v ago, want its own", age)
		}
	}
	if got := replay(0, 0); got != "35 records acknowledged in 1 of 2 partitions of west/again" {
		t.Errorf("everything: got %q", got)
	}
	if n := b.end("west", "again", 0); n != 45 {
		t.Errorf("end: got %d, want 45: partition 2 of 3 goes to 0 of 2", n)
	}
	// Onto itself it takes what was there when it began.
	if got := b.do(plan.Action{Verb: plan.Replay, Targets: topicRef(), To: &plan.Ref{Kind: plan.RefTopic, Name: "orders"}}).Text; got != "35 records acknowledged in 2 of 3 partitions of orders" {
		t.Errorf("onto itself: got %q", got)
	}
	_, err := b.control.Do(b.ctx, "kafka", plan.Action{Verb: plan.Replay, Targets: topicRef(), To: &plan.Ref{Kind: plan.RefTopic, Name: "nowhere"}})
	if err == nil || !strings.Contains(err.Error(), "topic nowhere is not in the plan") {
		t.Errorf("nowhere: got %v", err)
	}
}
