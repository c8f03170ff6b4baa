package judge

import (
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// cutAtTen writes a run of 20 s of which only the first 10 s reached the disk:
// the last 20 acknowledged records were on their way to the group, and one came
// twice.
func cutAtTen(t *testing.T, p *plan.Plan) *record.Recording {
	t.Helper()
	dir := t.TempDir()
	w, err := record.Create(dir, p, record.Info{ID: 7, Engine: "embedded"})
	if err != nil {
		t.Fatal(err)
	}
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	for _, e := range outage()[:2] {
		w.Event(e)
	}
	x, c := w.Producer("shop", 1), w.Consumer("billing", 1)
	c.Assigned(1, []record.TopicPartition{{Topic: "orders"}, {Topic: "orders", Partition: 1}, {Topic: "orders", Partition: 2}, {Topic: "orders", Partition: 3}}, -sec)
	x.Due(0, 0, 100, 4)
	for seq := range uint64(1000) {
		due := time.Duration(seq) * 10 * ms
		part, offset := int32(seq%4), int64(seq/4)
		x.Accepted(seq, 1, due)
		x.Acked(seq, part, offset, due+5*ms)
		if seq < 980 {
			c.Delivered("orders", part, offset, record.Identity{Run: 7, Member: 1, Seq: seq}, due+7*ms)
		}
		if seq == 500 {
			c.Delivered("orders", part, offset, record.Identity{Run: 7, Member: 1, Seq: seq}, due+8*ms)
		}
		if seq%20 == 0 {
			w.Sample(healthySample(due))
		}
	}
	w.Sample(healthySample(10 * sec))
	w.Flush()
	rec, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(20 * sec) })
	return rec
}

// TestCutRecording: of a recording that was cut off, only that is decided which
// nothing behind the cut could change.
func TestCutRecording(t *testing.T) {
	for _, tt := range []struct {
		name  string
		claim say
		want  Outcome
	}{
		{"a rate that held so far", shop("rate").neverBelow(90), NoData},
		{"a rate in a window that was over", shop("rate").during(3*sec, 8*sec).neverBelow(90), Held},
		{"a rate in a window that reaches further", shop("rate").during(3*sec, 12*sec).neverBelow(90), NoData},
		{"a rate before an event that was seen", shop("rate").before("outage").neverBelow(90), Held},
		{"a rate during an event whose end was not", shop("rate").duringEvent("outage").neverBelow(90), NoData},
		{"a rate that was broken", shop("rate").neverAbove(50), Broken},
		{"a mean that was too low so far", shop("rate").atLeast(500), NoData},
		{"missing, on the way", billing("missing").none(), NoData},
		{"a duplicate", billing("duplicates").none(), Broken},
		{"as many duplicates as are wanted", billing("duplicates").equals(1), NoData},
		{"too few so far", billing("duplicates").atLeast(2), NoData},
		{"none failed so far", shop("failed").none(), NoData},
		{"not audited", orders("lost").none(), NoData},
		{"a gauge that held so far", kafka("alive").neverBelow(3), NoData},
		{"a gauge that was broken", kafka("alive").neverBelow(4), Broken},
		{"a gauge at the end", kafka("alive").atEnd().equals(3), NoData},
		{"a gauge at a moment before", kafka("alive").at(5 * sec).equals(3), Held},
		{"a gauge at a moment behind", kafka("alive").at(15 * sec).equals(4), NoData},
		{"no latency above so far", shop("latency").atMost(1), NoData},
		{"a latency above", shop("latency").atMost(0.001), Broken},
		{"no stall so far", shop("stall").atMost(5), NoData},
		{"no election so far", orders("leader_changes").none(), NoData},
		{"an event that took its time", of(plan.RefEvent, "outage", "took").atMost(0.001), Broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := testPlan()
			p.Claims = []plan.Claim{tt.claim.expect()}
			v, err := Judge(p, cutAtTen(t, p))
			if err != nil {
				t.Fatal(err)
			}
			if v.Result != Inconclusive || v.Exit != 3 {
				t.Errorf("got %s, want INCONCLUSIVE", v.Result)
			}
			if got := v.Claims[0]; got.Outcome != tt.want {
				t.Errorf("got %s: %s, want %s", got.Outcome, got.Measured, tt.want)
			}
		})
	}
	p := testPlan()
	p.Claims = []plan.Claim{shop("rate").neverBelow(90).expect()}
	v, err := Judge(p, cutAtTen(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Claims[0].Measured, "not decided: the recording ends at 0:10; up to there lowest 100/s at 0:02"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := v.Reasons[0].Text; !strings.HasPrefix(got, "the recording is not whole: journal.jsonl: ") {
		t.Errorf("got the first reason %q, want that the recording is not whole", got)
	}
}
