package judge

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"starfall/interp/plan"
	"starfall/runtime/record"
)

func TestWindows(t *testing.T) {
	// Nothing is acknowledged from 8.003 to 12.1, which is the outage.
	outageGap := down(-1, 8003*ms, 12100*ms)
	early := func(x *world) { // the warm-up is bad
		x.skip = func(seq uint64) bool { return seq < 150 }
	}
	failAt := func(seqs ...uint64) func(*world) {
		return func(x *world) { x.fail = reasonFor("x", seqs...) }
	}
	for _, tt := range []struct {
		name   string
		claim  say
		change func(*world)
		want   Outcome
		says   string
	}{
		{"before leaves the cut bucket out", shop("rate").before("outage").neverBelow(100), outageGap, Held, "lowest 100/s at 0:02"},
		{"after begins with the first whole bucket", shop("rate").after("outage").neverAbove(100), outageGap, Held, "highest 100/s at 0:13"},
		{"during has whole buckets only", shop("rate").duringEvent("outage").neverAbove(0), outageGap, Held, "highest 0/s at 0:09"},
		{"outside is both sides", shop("rate").outside("outage").neverBelow(100), outageGap, Held, ""},
		{"warm-up does not count", shop("rate").neverBelow(100), early, Held, ""},
		{"explicit windows reach into the warm-up", shop("rate").during(0, 5*sec).neverBelow(100), early, Broken, "0/s at 0:00; below 100/s for 2 s"},
		{"before alone does not", shop("rate").before("outage").neverBelow(100), early, Held, ""},
		{"at is the last whole bucket", shop("rate").at(8500 * ms).equals(100), outageGap, Held, ""},
		{"at is the last whole bucket", shop("rate").at(11 * sec).equals(0), outageGap, Held, ""},
		{"per aligns to its own length", shop("rate").before("outage").per(5 * sec).neverBelow(100), outageGap, NoData, "no whole bucket of 5 s in the window"},
		{"per aligns to its own length", shop("rate").during(0, 8*sec).per(5 * sec).neverBelow(100), outageGap, Held, "100/s at 0:00"},
		{"per must fit the ticks", shop("rate").per(250 * ms).neverBelow(1), outageGap, NoData, "per: got 250ms, want a multiple of 100ms"},
		{"stall is cut to its window", shop("stall").before("outage").none(), outageGap, Held, ""},
		{"stall is cut to its window", shop("stall").duringEvent("outage").atMost(5), outageGap, Held, "4.10 s on orders/0, from 0:08.003"},
		{"stall is cut to its window", shop("stall").during(10*sec, 11*sec).atMost(0.9), outageGap, Broken, "1 s on orders/0, from 0:10"},
		{"latency of what came in the window", shop("latency").before("outage").atMost(0.01), outageGap, Held, ""},
		{"latency of what came in the window", shop("latency").after("outage").atMost(0.01), outageGap, Held, ""},
		{"latency of what came in the window", shop("latency").at(13 * sec).atMost(1), outageGap, Broken, ""},
		{"latency without a record", shop("latency").during(9*sec, 11*sec).atMost(1), outageGap, NoData, "no record was acknowledged in the window"},
		{"fates count what was due in the window", shop("failed").duringEvent("outage").equals(2), failAt(100, 801, 1000, 1500), Held, "2"},
		{"fates count the warm-up", shop("failed").equals(4), failAt(100, 801, 1000, 1500), Held, "4 of 2 000"},
		{"fates due before", shop("failed").before("outage").equals(1), failAt(100, 801, 1000, 1500), Held, ""},
		{"fates due by a moment", shop("failed").at(9 * sec).equals(2), failAt(100, 801, 1000, 1500), Held, ""},
		{"missing at a moment", billing("missing").at(10 * sec).none(), func(x *world) {
			x.deliver = func(_ uint64, _ int32, ack time.Duration) []time.Duration { return []time.Duration{ack + 2*ms} }
		}, Held, ""},
		{"missing at a moment", billing("missing").at(10 * sec).none(), func(x *world) {
			// Half a second late: what was acknowledged from 9.5 s on.
			x.deliver = func(_ uint64, _ int32, ack time.Duration) []time.Duration { return []time.Duration{ack + 500*ms} }
		}, Broken, "50"},
		{"and at the end nothing is", billing("missing").none(), func(x *world) {
			x.deliver = func(_ uint64, _ int32, ack time.Duration) []time.Duration { return []time.Duration{ack + 500*ms} }
		}, Held, ""},
		{"gauge at a moment", kafka("alive").at(10 * sec).equals(3), func(x *world) {
			x.sample = func(at time.Duration, s *record.Sample) { s.Brokers[0].Alive = at != 10*sec }
		}, Broken, ""},
		{"gauge at the end is before the heal", kafka("alive").atEnd().equals(3), func(x *world) {
			x.sample = func(at time.Duration, s *record.Sample) { s.Brokers[0].Alive = at <= 20*sec }
		}, Held, ""},
		{"gauge without samples", kafka("alive").equals(3), func(x *world) {
			x.sample = func(_ time.Duration, s *record.Sample) { s.Cluster = "" }
		}, NoData, "no sample in the window"},
		{"gauge with a hole", kafka("alive").equals(3), func(x *world) {
			x.sample = func(at time.Duration, s *record.Sample) {
				if between(at, 9*sec, 15*sec) {
					s.Cluster = ""
				}
			}
		}, NoData, "no sample after 0:08.8 for more than 5 s"},
		{"a hole hides nothing that was seen", kafka("alive").equals(3), func(x *world) {
			x.sample = func(at time.Duration, s *record.Sample) {
				s.Brokers[0].Alive = at != 5*sec
				if between(at, 9*sec, 15*sec) {
					s.Cluster = ""
				}
			}
		}, Broken, "2 at 0:05"},
		{"a small hole is none", kafka("alive").equals(3), func(x *world) {
			x.sample = func(at time.Duration, s *record.Sample) {
				if between(at, 9*sec, 13*sec) {
					s.Cluster = ""
				}
			}
		}, Held, ""},
		{"an old sample is not the end", kafka("alive").atEnd().equals(3), func(x *world) {
			x.sample = func(at time.Duration, s *record.Sample) {
				if at > 17*sec {
					s.Cluster = ""
				}
			}
		}, NoData, "the last sample is from 0:17"},
		{"memory that is not sampled", kafka("memory").atMost(1), func(x *world) {
			x.sample = func(_ time.Duration, s *record.Sample) {
				for i := range s.Brokers {
					s.Brokers[i].Usage = false
				}
			}
		}, NoData, "no sample in the window"},
		{"an event that never was", shop("rate").after("outage").neverBelow(1), func(x *world) {
			x.events = []record.Event{}
		}, NoData, "outage never happened"},
		{"outside of what never was is all", shop("rate").outside("outage").neverBelow(100), func(x *world) {
			x.events = []record.Event{}
		}, Held, ""},
		{"never undone ends at run_for", shop("rate").after("outage").neverBelow(1), func(x *world) {
			x.events = outage()[:2]
		}, NoData, "no whole bucket of 1 s in the window"},
		{"lost without an audit", billing("lost").none(), func(x *world) { x.noAudit = true }, NoData, "orders/0 was not audited, and 3 more"},
		{"missing needs none", billing("missing").none(), func(x *world) { x.noAudit = true }, Held, ""},
	} {
		x := newWorld()
		tt.change(x)
		got := x.judge(t, tt.claim.expect()).Claims[0]
		if got.Outcome != tt.want || !strings.HasPrefix(got.Measured, tt.says) {
			t.Errorf("%s: got %s, %q, want %s, %q", tt.name, got.Outcome, got.Measured, tt.want, tt.says)
		}
	}
}

func TestMissingSplits(t *testing.T) {
	x := newWorld()
	// 900 is gone from the log, 901 was skipped, 1999 was not yet read.
	x.inLog = without(900)
	x.deliver = skipDelivery(only(900, 901, 1999))
	v := x.judge(t, billing("missing").equals(3).expect(), billing("undelivered").equals(1).expect(), billing("pending").equals(1).expect(),
		billing("lost").equals(1).expect(), billing("missing").none().expect())
	for _, c := range v.Claims[:4] {
		if c.Outcome != Held {
			t.Errorf("%s: got %s (%s), want held", c.Text, c.Outcome, c.Measured)
		}
	}
	var notes []string
	for _, w := range v.Claims[4].Witnesses {
		notes = append(notes, w.String())
	}
	want := []string{
		"shop-1 #900, orders/0 offset 225, not in the log",
		"shop-1 #901, orders/1 offset 225, in the log, skipped by the group",
		"shop-1 #1999, orders/3 offset 499, in the log, past the group's position",
	}
	if !reflect.DeepEqual(notes, want) {
		t.Errorf("got witnesses %q, want %q", notes, want)
	}
	w := v.Claims[4].Where
	if w == nil || w.At == nil || w.At.Std() != 9*sec || *w.Partition != 0 || *w.Offset != 225 || !strings.HasPrefix(w.Event, "kill(") {
		t.Errorf("got where %+v, want 9 s, orders/0 offset 225, after the kill", w)
	}
}

func TestWitnessesAreTheFirstEight(t *testing.T) {
	x := newWorld()
	x.deliver = skipDelivery(func(seq uint64, _ int32) bool { return seq >= 500 })
	c := x.judge(t, billing("missing").none().expect()).Claims[0]
	if len(c.Witnesses) != 8 || c.Witnesses[0].Seq != 500 || c.Witnesses[7].Seq != 507 || *c.Value != 1500 {
		t.Errorf("got %d witnesses of %v, want 8 of 1500: %v", len(c.Witnesses), *c.Value, c.Witnesses)
	}
}

// TestFates follows records through crash and restart of a producer's member.
func TestFates(t *testing.T) {
	p := testPlan()
	for _, tt := range []struct {
		name                   string
		play                   func(l *record.ProducerLog)
		acked, failed, unknown uint64
	}{
		{"acknowledged", func(l *record.ProducerLog) { l.Acked(0, 0, 0, ms) }, 1, 0, 0},
		{"failed", func(l *record.ProducerLog) { l.Failed(0, 0, ms, "x") }, 0, 1, 0},
		{"unknown", func(l *record.ProducerLog) { l.Unknown(0, 0, ms, "x") }, 0, 0, 1},
		{"in flight at the end", func(*record.ProducerLog) {}, 0, 0, 1},
		{"unknown, then acknowledged", func(l *record.ProducerLog) {
			l.Unknown(0, 0, ms, "crash")
			l.Accepted(0, 1, 2*ms)
			l.Acked(0, 0, 0, 3*ms)
		}, 1, 0, 0},
		{"unknown, then failed: the first attempt may be in the log", func(l *record.ProducerLog) {
			l.Unknown(0, 0, ms, "crash")
			l.Accepted(0, 1, 2*ms)
			l.Failed(0, 0, 3*ms, "x")
		}, 0, 0, 1},
		{"failed, then in flight", func(l *record.ProducerLog) {
			l.Failed(0, 0, ms, "x")
			l.Accepted(0, 1, 2*ms)
		}, 0, 0, 1},
		{"failed twice", func(l *record.ProducerLog) {
			l.Failed(0, 0, ms, "x")
			l.Accepted(0, 1, 2*ms)
			l.Failed(0, 0, 3*ms, "x")
		}, 0, 1, 0},
		{"sent again without an end of the first attempt", func(l *record.ProducerLog) {
			l.Accepted(0, 1, 200*ms)
			l.Failed(0, 0, 300*ms, "x")
		}, 0, 0, 1},
	} {
		w := record.NewMemory(p, record.Info{})
		l := w.Producer("shop", 1)
		l.Due(0, 0, 100, 4)
		l.Accepted(0, 1, 0)
		tt.play(l)
		v, err := Judge(p, w.Recording())
		if err != nil {
			t.Fatal(err)
		}
		got := v.Producers[0]
		if got.Sent != 1 || got.Acked != tt.acked || got.Failed != tt.failed || got.Unknown != tt.unknown {
			t.Errorf("%s: got %+v, want acked %d, failed %d, unknown %d", tt.name, got, tt.acked, tt.failed, tt.unknown)
		}
	}
}

func TestRetentionIsNoLoss(t *testing.T) {
	x := newWorld()
	x.noAudit = true
	x.more = func(w *record.Writer) {
		for k := range int32(4) {
			a := w.Audit("orders", k, 100, 500) // the first 100 of each were deleted
			for i := int64(100); i < 500; i++ {
				if k != 2 || i != 300 { // one is lost
					a.Record(i, record.Identity{Run: 7, Member: 1, Seq: uint64(i)*4 + uint64(k)})
				}
			}
			a.Close(nil)
		}
	}
	c := x.judge(t, billing("lost").none().expect()).Claims[0]
	if want := "1 of 2 000, 400 more were deleted (below the log's start)"; c.Measured != want {
		t.Errorf("got %q, want %q", c.Measured, want)
	}
	if *c.Value != 1 || c.Witnesses[0].Seq != 1202 {
		t.Errorf("got %s, %v, want record 1202 only", c.Measured, c.Witnesses)
	}
}

func TestStallsNeedSomethingDue(t *testing.T) {
	p := testPlan()
	for _, tt := range []struct {
		name string
		play func(l *record.ProducerLog)
		want string
	}{
		{"the rate is set to a tenth", func(l *record.ProducerLog) {
			l.Due(400, 4*sec, 10, 4) // 400 ms between the records of a partition
			for seq := range uint64(160) {
				l.Acked(400+seq, int32(seq%4), 100+int64(seq/4), 4*sec+time.Duration(seq)*100*ms+5*ms)
			}
		}, "0 ms"},
		{"the member is stopped", func(l *record.ProducerLog) { l.End(400, 4*sec) }, "0 ms"},
		{"the member goes on but nothing comes", func(*record.ProducerLog) {}, "16 s on orders/0, from 0:04"},
		{"what is given up was waited for", func(l *record.ProducerLog) {
			for seq := uint64(400); seq < 2000; seq++ {
				l.Failed(seq, int32(seq%4), 19900*ms, "timed out")
			}
		}, "15.9 s on orders/0, from 0:04"},
	} {
		w := record.NewMemory(p, record.Info{})
		w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
		l := w.Producer("shop", 1)
		l.Due(0, 0, 100, 4)
		for seq := range uint64(400) {
			l.Accepted(seq, 1, time.Duration(seq)*10*ms)
			l.Acked(seq, int32(seq%4), int64(seq/4), time.Duration(seq)*10*ms+5*ms)
		}
		tt.play(l)
		w.Event(record.Event{At: 20 * sec, Kind: record.KindPhase, Phase: record.PhaseHeal})
		w.Event(record.Event{At: 21 * sec, Kind: record.KindClosed})
		q := *p
		q.Claims = []plan.Claim{shop("stall").none().expect()}
		v, err := Judge(&q, w.Recording())
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Claims[0].Measured; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestShortGapsAreNoStalls(t *testing.T) {
	for _, tt := range []struct {
		name  string
		speed float64
		gap   time.Duration
		want  string
	}{
		{"three expected intervals", 1, 115 * ms, "0 ms"}, // 40 ms between records of a partition
		{"beyond", 1, 165 * ms, "165 ms"},
		{"50 ms of wall time at speed 10", 10, 400 * ms, "0 ms"},
		{"beyond at speed 10", 10, 600 * ms, "600 ms"},
	} {
		x := newWorld()
		x.info.Speed = tt.speed
		x.ack = func(seq uint64, part int32, due time.Duration) time.Duration {
			if part == 0 && between(due, 8*sec, 8*sec+tt.gap) {
				return 8*sec + tt.gap
			}
			return due
		}
		got := x.judge(t, shop("stall").none().expect()).Claims[0].Measured
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCombinations(t *testing.T) {
	hold := shop("rate").neverBelow(1).expr()
	broke := shop("rate").neverBelow(1000).expr()
	unknown := shop("rate").during(30*sec, 31*sec).neverBelow(1).expr()
	op := func(op plan.ExprOp, args ...plan.Expr) plan.Expr { return plan.Expr{Op: op, Args: args} }
	for _, tt := range []struct {
		name string
		e    plan.Expr
		want Outcome
	}{
		{"no held", op(plan.OpNo, hold), Broken},
		{"no broken", op(plan.OpNo, broke), Held},
		{"no unknown", op(plan.OpNo, unknown), NoData},
		{"both held", op(plan.OpBoth, hold, hold), Held},
		{"both held broken", op(plan.OpBoth, hold, broke), Broken},
		{"both unknown broken", op(plan.OpBoth, unknown, broke), Broken},
		{"both held unknown", op(plan.OpBoth, hold, unknown), NoData},
		{"either broken held", op(plan.OpEither, broke, hold), Held},
		{"either broken broken", op(plan.OpEither, broke, broke), Broken},
		{"either broken unknown", op(plan.OpEither, broke, unknown), NoData},
		{"either unknown held", op(plan.OpEither, unknown, hold), Held},
		{"no of both", op(plan.OpNo, op(plan.OpBoth, hold, broke)), Held},
	} {
		got := newWorld().judge(t, plan.Claim{Kind: plan.Expect, Expr: tt.e}).Claims[0]
		if got.Outcome != tt.want {
			t.Errorf("%s: got %s (%s), want %s", tt.name, got.Outcome, got.Measured, tt.want)
		}
	}
}

// TestPrecedence goes through every set of causes.
func TestPrecedence(t *testing.T) {
	causes := []struct {
		cause cause
		want  Result
		exit  int
	}{
		{causeEngine, EngineError, 4}, {causeRule, Void, 5}, {causeNotTaken, Inconclusive, 3}, {causeClaim, Fail, 1}, {causeNoData, Inconclusive, 3},
	}
	for set := range 1 << len(causes) {
		want, exit := Pass, 0
		var reasons []Reason
		for i := len(causes) - 1; i >= 0; i-- {
			if set>>i&1 != 0 {
				want, exit = causes[i].want, causes[i].exit
				reasons = append(reasons, Reason{cause: causes[i].cause})
			}
		}
		if got := decide(reasons); got != want || got.Exit() != exit {
			t.Errorf("causes %05b: got %s, exit %d, want %s, exit %d", set, got, got.Exit(), want, exit)
		}
	}
}

func before(at, d time.Duration) *time.Duration {
	at -= d
	return &at
}

func TestVerdicts(t *testing.T) {
	good, bad := shop("rate").neverBelow(1), shop("rate").neverBelow(1000)
	unknown := shop("rate").during(30*sec, 31*sec).neverBelow(1)
	nothing := func(*world) {}
	extra := func(e ...record.Event) func(*world) {
		return func(x *world) { x.events = append(outage(), e...) }
	}
	for _, tt := range []struct {
		name   string
		change func(*world)
		claims []plan.Claim
		want   Result
		exit   int
		reason string
	}{
		{"all held", nothing, []plan.Claim{good.expect()}, Pass, 0, ""},
		{"one broken", nothing, []plan.Claim{good.expect(), bad.expect()}, Fail, 1, "shop.rate: 100/s at 0:02; below 1 000/s for 18 s"},
		{"nothing expected", nothing, nil, Inconclusive, 3, "the scenario expects nothing"},
		{"a report is no expectation", nothing, []plan.Claim{shop("rate").claim(plan.Report)}, Inconclusive, 3, "the scenario expects nothing"},
		{"no data", nothing, []plan.Claim{good.expect(), unknown.expect()}, Inconclusive, 3, "shop.rate: no data: no whole bucket"},
		{"no data and broken", nothing, []plan.Claim{unknown.expect(), bad.expect()}, Fail, 1, "shop.rate: 100/s"},
		{"assumption broken", nothing, []plan.Claim{bad.claim(plan.Assume), bad.expect()}, Inconclusive, 3, "assumption broken: shop.rate"},
		{"assumption without data", nothing, []plan.Claim{unknown.claim(plan.Assume), good.expect()}, Inconclusive, 3, "assumption without data"},
		{"rule broken", nothing, []plan.Claim{bad.claim(plan.Rule), bad.claim(plan.Assume), bad.expect()}, Void, 5, "rule broken: shop.rate"},
		{"late", func(x *world) { x.late = 21 }, []plan.Claim{bad.expect()}, Inconclusive, 3, "shop: the machine offered 1.1 % of the records late"},
		{"not too late", func(x *world) { x.late = 20 }, []plan.Claim{good.expect()}, Pass, 0, ""},
		{"fault unproved", func(x *world) {
			x.events = []record.Event{outage()[0], {At: 8100 * ms, Kind: record.KindUnproved, Name: "outage", What: "kill", Error: "still answers"}}
		}, []plan.Claim{bad.expect()}, Inconclusive, 3, "kill: its effect is not proved: still answers"},
		{"healing unproved", extra(record.Event{At: 13 * sec, Kind: record.KindUnproved, Undo: true, Name: "outage", What: "kill", Error: "not back"}),
			[]plan.Claim{good.expect()}, Inconclusive, 3, "kill: its undo is not proved: not back"},
		{"fired in time", func(x *world) { x.events = outage(); x.events[0].Planned = before(x.events[0].At, 100*ms) },
			[]plan.Claim{good.expect()}, Pass, 0, ""},
		{"fired late", func(x *world) { x.events = outage(); x.events[0].Planned = before(x.events[0].At, 101*ms) },
			[]plan.Claim{bad.expect()}, Inconclusive, 3, "kill(orders.leader(partition=0)) → kafka-2 came 101 ms late: the machine was busy"},
		{"never fired", func(x *world) { x.events = []record.Event{} }, []plan.Claim{good.expect()}, Inconclusive, 3, "outage never fired"},
		{"when not fired", func(x *world) {
			x.events = []record.Event{{At: 15 * sec, Kind: record.KindNotFired, Name: "outage", What: "its claim did not come true in time"}}
		}, []plan.Claim{good.expect()}, Inconclusive, 3, "outage never fired: its claim did not come true in time"},
		{"interrupted", func(x *world) {
			x.events = append(outage(), record.Event{At: 15 * sec, Kind: record.KindInterrupted}, record.Event{At: 15 * sec, Kind: record.KindPhase, Phase: record.PhaseHeal})
		}, []plan.Claim{bad.expect()}, Inconclusive, 130, "interrupted at 0:15"},
		{"engine error", extra(record.Event{At: 15 * sec, Kind: record.KindEngineError, Error: "broker did not start"}),
			[]plan.Claim{bad.claim(plan.Rule)}, EngineError, 4, "broker did not start"},
		{"not closed", func(x *world) { x.open = true }, []plan.Claim{good.expect()}, Inconclusive, 3, "the recording is not whole"},
		{"drain limit, records pending", func(x *world) {
			x.drain = true
			x.deliver = skipDelivery(func(seq uint64, _ int32) bool { return seq >= 1996 })
		}, []plan.Claim{billing("missing").none().expect()}, Inconclusive, 3, "billing.missing: no data: 4 still coming in when the drain ended"},
		{"drain limit, but one was skipped", func(x *world) {
			x.drain = true
			x.deliver = skipDelivery(func(seq uint64, _ int32) bool { return seq >= 1996 || seq == 900 })
		}, []plan.Claim{billing("missing").none().expect()}, Fail, 1, "billing.missing: 5 of 2 000"},
	} {
		x := newWorld()
		tt.change(x)
		v := x.judge(t, tt.claims...)
		if v.Result != tt.want || v.Exit != tt.exit {
			t.Errorf("%s: got %s, exit %d, want %s, exit %d: %+v", tt.name, v.Result, v.Exit, tt.want, tt.exit, v.Reasons)
			continue
		}
		got := ""
		if len(v.Reasons) > 0 {
			got = v.Reasons[0].Text
		}
		if !strings.HasPrefix(got, tt.reason) || tt.reason == "" && got != "" {
			t.Errorf("%s: got reason %q, want %q", tt.name, got, tt.reason)
		}
	}
}

func TestAdvice(t *testing.T) {
	x := newWorld()
	down(-1, 8003*ms, 12100*ms)(x)
	c := x.judge(t, shop("stall").atMost(1).expect()).Claims[0]
	if want := "acks=all waits for kafka-2 until the controller fences it: broker.session.timeout.ms is 9000"; c.Advice != want || c.Topic != "stall" {
		t.Errorf("got advice %q, topic %q, want %q", c.Advice, c.Topic, want)
	}
	x = newWorld()
	x.plan.Producers[0].Acks = "1"
	x.inLog = without(900)
	c = x.judge(t, billing("lost").none().expect()).Claims[0]
	if want := "acks=1 is the leader's word alone: what no follower had copied goes with it"; c.Advice != want {
		t.Errorf("got advice %q, want %q", c.Advice, want)
	}
}

func TestPhasesAndTimeline(t *testing.T) {
	x := newWorld()
	down(-1, 8003*ms, 11*sec)(x)
	v := x.judge(t, shop("rate").neverBelow(1).expect())
	var names []string
	for _, p := range v.Phases {
		names = append(names, p.Name)
	}
	if want := []string{"before", "outage", "after"}; !reflect.DeepEqual(names, want) {
		t.Fatalf("got phases %v, want %v", names, want)
	}
	before, during, after := v.Phases[0], v.Phases[1], v.Phases[2]
	if before.Acked != 100 || *before.Worst != 100 || before.Stall != 0 || before.P50.Std() != 5*ms {
		t.Errorf("got before %+v", before)
	}
	if *during.Worst != 0 || during.StallOn != "all 4 partitions" || during.Stall.Std() != 2997*ms {
		t.Errorf("got during %+v, worst %v, stall %v", during, *during.Worst, during.Stall.Std())
	}
	if after.Acked != 100 || after.From.Std() != 12100*ms || after.To.Std() != 20*sec {
		t.Errorf("got after %+v", after)
	}
	want := []Row{
		{At: Seconds(8 * sec), Planned: seconds(8 * sec), Kind: "fired", Text: "kill(orders.leader(partition=0)) → kafka-2", Proof: "process gone, port closed"},
		{At: Seconds(12 * sec), Kind: "undoing", Text: "start → kafka-2", Proof: "registered after 100 ms"},
	}
	if !reflect.DeepEqual(v.Timeline, want) {
		t.Errorf("got timeline %+v, want %+v", v.Timeline, want)
	}
}

func TestVerdictJSON(t *testing.T) {
	x := newWorld()
	x.deliver = skipDelivery(only(900))
	v := x.judge(t, billing("missing").none().expect(), of(plan.RefAlarm, "slow", "raised_at").atMost(1).expect(), shop("rate").by("partition").claim(plan.Report))
	first, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back Verdict
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(&back)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("got %s after a round trip, want %s", second, first)
	}
	if got := len(v.Claims[2].Values); got != 4 {
		t.Errorf("got %d values of a report by partition, want 4", got)
	}
}

// TestCutRecordings judges a recording cut off at many bytes: never an error,
// never a verdict that only a whole run can have.
func TestCutRecordings(t *testing.T) {
	dir := t.TempDir()
	x := newWorld()
	x.open = true // Close does it
	x.plan.Claims = []plan.Claim{billing("missing").none().expect(), shop("rate").neverBelow(1).expect(), orders("lost").none().expect()}
	w, err := record.Create(dir, x.plan, x.info)
	if err != nil {
		t.Fatal(err)
	}
	x.write(w)
	if err := w.Close(21 * sec); err != nil {
		t.Fatal(err)
	}
	judge := func() *Verdict {
		t.Helper()
		rec, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		v, err := Judge(rec.Plan, rec)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := judge(); v.Result != Pass {
		t.Fatalf("got %s of the whole recording, want PASS: %+v", v.Result, v.Reasons)
	}
	for _, name := range []string{"evidence/records.sfe", record.FileJournal} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		step := max(len(whole)/60, 1)
		for n := 0; n < len(whole); n += step {
			if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			if v := judge(); v.Result != Inconclusive {
				t.Errorf("%s cut at %d of %d: got %s, want INCONCLUSIVE: %+v", name, n, len(whole), v.Result, v.Reasons)
			}
		}
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherClaims judges a recording by the claims of another plan.
func TestOtherClaims(t *testing.T) {
	rec := newWorld().recording()
	other := &plan.Plan{Claims: []plan.Claim{shop("rate").neverBelow(1000).expect(), of(plan.RefProducer, "stranger", "failed").none().expect()}}
	v, err := Judge(other, rec)
	if err != nil {
		t.Fatal(err)
	}
	if v.Claims[0].Outcome != Broken || v.Claims[1].Outcome != NoData || v.Claims[1].Measured != "producer stranger was not recorded" {
		t.Errorf("got %+v", v.Claims)
	}
}

// TestSameVerdictTwice: the judge is a pure function.
func TestSameVerdictTwice(t *testing.T) {
	x := newWorld()
	x.deliver = deliverTwice(900, 901)
	rec := x.recording()
	p := *x.plan
	p.Claims = []plan.Claim{billing("duplicates").none().expect(), billing("assignment").balanced(3).expect()}
	var last []byte
	for range 3 {
		v, err := Judge(&p, rec)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && !bytes.Equal(b, last) {
			t.Errorf("got %s, then %s", last, b)
		}
		last = b
	}
}

// TestTwoTopics keeps the partitions of a consumer's topics apart.
func TestTwoTopics(t *testing.T) {
	p := testPlan()
	p.Topics = append(p.Topics, plan.Topic{Name: "returns", Cluster: "kafka", Partitions: 2, Replicas: 1, MinInsync: 1})
	p.Producers = append(p.Producers, plan.Producer{Name: "back", Topic: "returns", Members: 1, Acks: "all", Partitioner: "round_robin"})
	p.Consumers[0].Topics = []string{"orders", "returns"}
	w := record.NewMemory(p, record.Info{ID: 7})
	w.Event(record.Event{Kind: record.KindPhase, Phase: record.PhaseRun})
	c := w.Consumer("billing", 1)
	for i, topic := range []string{"orders", "returns"} {
		l := w.Producer(p.Producers[i].Name, 1)
		parts := p.Topics[i].Partitions
		l.Due(0, 0, 10, parts)
		for seq := range uint64(200) {
			due := time.Duration(seq) * 100 * ms
			part, offset := int32(seq)%int32(parts), int64(seq)/int64(parts)
			l.Accepted(seq, 1, due)
			l.Acked(seq, part, offset, due+5*ms)
			// The second partition of returns is silent for its group from 8 s to
			// 12 s, and record 101 of it is never delivered.
			at := due + 7*ms
			if i == 1 && part == 1 && between(due, 8*sec, 12*sec) {
				at = 12 * sec
			}
			if i == 0 || seq != 101 {
				c.Delivered(topic, part, offset, record.Identity{Producer: i, Member: 1, Seq: seq}, at)
			}
		}
	}
	w.Event(record.Event{At: 20 * sec, Kind: record.KindPhase, Phase: record.PhaseHeal})
	w.Event(record.Event{At: 21 * sec, Kind: record.KindClosed})
	q := *p
	q.Claims = []plan.Claim{
		billing("missing").by("partition").none().expect(),
		billing("stall").by("partition").atMost(1).expect(),
		billing("stall").atMost(1).expect(),
		billing("rate").by("partition").neverBelow(1).expect(),
	}
	v, err := Judge(&q, w.Recording())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"1 on returns/1", "3.90 s on returns/1, from 0:08.105", "3.90 s on returns/1, from 0:08.105", "0/s on returns/1 at 0:08; below 1/s for 4 s",
	} {
		if got := v.Claims[i].Measured; got != want {
			t.Errorf("%s: got %q, want %q", v.Claims[i].Text, got, want)
		}
	}
	if got := len(v.Claims[0].Values); got != 6 {
		t.Errorf("got %d partitions, want 6", got)
	}
}
