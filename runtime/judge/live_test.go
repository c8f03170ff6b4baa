package judge

import (
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

// TestLive plays a run step by step and asks at each step.
func TestLive(t *testing.T) {
	p := testPlan()
	exprs := map[string]say{
		"rate":    shop("rate").neverBelow(90),
		"stall":   shop("stall").atMost(1),
		"latency": shop("latency").stat("p99").atMost(0.1),
		"alive":   kafka("alive").equals(3),
		"failed":  shop("failed").none(),
		"lag":     billing("lag").atMost(50),
		"delay":   billing("delay").atMost(1),
		"before":  shop("rate").before("outage").neverBelow(90),
		"members": billing("members").equals(2),
		"groups":  billing("stall").atMost(1),
	}
	p.Alarms = nil
	at := map[string]*plan.Expr{}
	for name, s := range exprs {
		p.Alarms = append(p.Alarms, plan.Alarm{Name: name, Claim: s.expr()})
	}
	for i := range p.Alarms {
		at[p.Alarms[i].Name] = &p.Alarms[i].Claim
	}
	w := record.NewMemory(p, record.Info{ID: 7})
	live, err := NewLive(p, w)
	if err != nil {
		t.Fatal(err)
	}
	l, c := w.Producer("shop", 1), w.Consumer("billing", 1)
	c.Assigned(1, []record.TopicPartition{{Topic: "orders"}}, -sec)
	w.Consumer("billing", 2).Assigned(1, nil, -sec)
	l.Due(0, 0, 100, 4)
	seq, down := uint64(0), false
	step := func(to time.Duration) {
		for due := time.Duration(seq) * 10 * ms; due+5*ms < to; due = time.Duration(seq) * 10 * ms {
			l.Accepted(seq, 1, due)
			if !down {
				l.Acked(seq, int32(seq%4), int64(seq/4), due+5*ms)
				c.Delivered("orders", int32(seq%4), int64(seq/4), record.Identity{Run: 7, Member: 1, Seq: seq}, due+7*ms)
			}
			seq++
		}
		s := healthySample(to)
		s.Brokers[1].Alive = !down
		w.Sample(s)
	}
	check := func(now time.Duration, want map[string]Outcome) {
		t.Helper()
		for name, outcome := range want {
			if got, measured := live.Judge(at[name], now); got != outcome {
				t.Errorf("%s at %v: got %s (%s), want %s", name, now, got, measured, outcome)
			}
		}
	}
	step(500 * ms)
	check(500*ms, map[string]Outcome{"rate": NoData, "latency": NoData, "alive": Held, "stall": Held, "members": Held, "before": NoData})
	step(3 * sec)
	check(3*sec, map[string]Outcome{"rate": Held, "latency": Held, "alive": Held, "stall": Held, "failed": Held, "lag": Held, "delay": Held, "groups": Held})
	down = true
	for _, e := range outage()[:2] {
		e.At -= 5 * sec
		w.Event(e)
	}
	step(4500 * ms)
	check(4500*ms, map[string]Outcome{"rate": Broken, "alive": Broken, "stall": Broken, "lag": Broken, "members": Held, "groups": Held, "latency": NoData})
	if holds, known := live.Holds(*at["rate"], 4500*ms); holds || !known {
		t.Errorf("got holds %v, known %v, want false, true", holds, known)
	}
	// What was due meanwhile fails; the rest is as before.
	for s := uint64(300); s < seq; s++ {
		l.Failed(s, int32(s%4), 4600*ms, "timed out")
	}
	down = false
	step(7 * sec)
	check(7*sec, map[string]Outcome{"rate": Held, "alive": Held, "stall": Held, "failed": Broken})
	if _, measured := live.Judge(at["failed"], 7*sec); !strings.HasPrefix(measured, "150 of") {
		t.Errorf("got failed %q, want 150", measured)
	}
}

func TestLiveRefusesWhatOnlyTheEndTells(t *testing.T) {
	for _, tt := range []struct {
		claim say
		want  string
	}{
		{billing("missing").none(), "judge: billing.missing: known only when the run has ended"},
		{orders("lost").none(), "judge: orders.lost: known only when the run has ended"},
		{orders("duplicates").none(), "judge: orders.duplicates: known only after the audit"},
		{of(plan.RefEvent, "outage", "recovered").atMost(1), "judge: outage.recovered: known only when the run has ended"},
	} {
		p := testPlan()
		e := tt.claim.expr()
		p.Events = append(p.Events, plan.Event{Name: "later", Trigger: plan.Trigger{Kind: plan.TriggerWhen, Claim: &e}})
		_, err := NewLive(p, record.NewMemory(p, record.Info{}))
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// BenchmarkLive asks ten claims after each 100 ms of a run of 10,000 records a
// second: what a check costs beside the load.
func BenchmarkLive(b *testing.B) {
	p := testPlan()
	p.Alarms = nil
	for _, s := range []say{shop("rate").neverBelow(90), shop("stall").atMost(1), shop("latency").stat("p99").atMost(0.1), billing("lag").atMost(50)} {
		p.Alarms = append(p.Alarms, plan.Alarm{Name: s.Text, Claim: s.expr()})
	}
	w := record.NewMemory(p, record.Info{ID: 7})
	live, err := NewLive(p, w)
	if err != nil {
		b.Fatal(err)
	}
	l := w.Producer("shop", 1)
	l.Due(0, 0, 10_000, 4)
	seq := uint64(0)
	for i := range b.N {
		now := time.Duration(i+1) * 100 * ms
		for range 1000 {
			l.Acked(seq, int32(seq%4), int64(seq/4), time.Duration(seq)*100*time.Microsecond+5*ms)
			seq++
		}
		for k := range p.Alarms {
			live.Judge(&p.Alarms[k].Claim, now)
		}
	}
}
