package model_test

import (
	"testing"

	"starfall/interp/plan"
)

var (
	rate       = on(plan.RefProducer, "shop", "rate")
	stall      = on(plan.RefProducer, "shop", "stall")
	latency    = on(plan.RefProducer, "shop", "latency")
	missing    = on(plan.RefConsumer, "billing", "missing")
	members    = on(plan.RefConsumer, "billing", "members")
	partitions = on(plan.RefTopic, "orders", "partitions")
	inSync     = on(plan.RefTopic, "orders", "in_sync")
	none       = bound(plan.None, 0)
)

// outage adds a kill from 30 s to 60 s.
func outage(b *builder) { b.at("outage", "30s", undone(act(plan.Kill, leader(0)), "30s")) }

func TestWindows(t *testing.T) {
	floor := bound(plan.NeverBelow, 800)
	claim := func(parts ...part) func(*builder) {
		return func(b *builder) { outage(b); b.expect(parts...) }
	}
	runCases(t, []problemCase{
		{"before the end of the warm-up", claim(rate, window(plan.Before, "10s"), floor),
			[]string{"claim-1: error: rate: for window before: it ends at 10s, want more than the warm-up of 10s"},
			claim(rate, window(plan.Before, "11s"), floor)},
		{"before load", claim(missing, window(plan.Before, "0s"), none),
			[]string{"claim-1: error: missing: for window before: it ends at 0s, want a time after the start of load"},
			claim(missing, window(plan.Before, "5s"), none)}, // fates count in the warm-up too
		{"before an event in the warm-up",
			func(b *builder) {
				b.at("early", "5s", undone(act(plan.Kill, leader(0)), "30s"))
				b.expect(stall, windowOf(plan.Before, "early"), bound(plan.AtMost, 5))
			},
			[]string{"claim-1: error: stall: for window before: it ends at 5s, want more than the warm-up of 10s"},
			claim(stall, windowOf(plan.Before, "outage"), bound(plan.AtMost, 5))},
		{"after the end", claim(rate, window(plan.After, "90s"), floor),
			[]string{"claim-1: error: rate: for window after: it begins at 1m30s, but the run ends at 1m30s"},
			claim(rate, window(plan.After, "89s"), floor)},
		{"after what is never undone",
			func(b *builder) {
				b.at("gone", "30s", act(plan.Kill, leader(0)))
				b.expect(rate, windowOf(plan.After, "gone"), floor)
			},
			[]string{"claim-1: error: rate: for window after: gone is never undone, so nothing comes after it"},
			claim(rate, windowOf(plan.After, "outage"), floor)},
		{"after what is undone at the very end",
			func(b *builder) {
				b.at("long", "30s", undone(act(plan.Kill, leader(0)), "60s"))
				b.expect(rate, windowOf(plan.After, "long"), floor)
			},
			[]string{"claim-1: error: rate: for window after: it begins at 1m30s, but the run ends at 1m30s"},
			func(b *builder) {
				b.at("long", "30s", undone(act(plan.Kill, broker(1)), "60s"))
				b.at("undo", "50s", act(plan.StartNode, hit("long")))
				b.expect(rate, windowOf(plan.After, "long"), floor)
			}},
		{"during nothing", claim(rate, during("40s", "40s"), floor),
			[]string{"claim-1: error: rate: for window during: got 40s to 40s, want the first before the second"},
			claim(rate, during("40s", "41s"), floor)},
		{"during what is over at once",
			func(b *builder) {
				b.at("grow", "30s", resize(8))
				b.expect(stall, windowOf(plan.During, "grow"), bound(plan.AtMost, 5))
			},
			[]string{"claim-1: error: stall: for window during: grow is over at once, at 30s"},
			claim(stall, windowOf(plan.During, "outage"), bound(plan.AtMost, 5))},
		{"during the end", claim(rate, during("95s", "99s"), floor),
			[]string{"claim-1: error: rate: for window during: it begins at 1m35s, but the run ends at 1m30s"},
			claim(rate, during("5s", "99s"), floor)},
		{"during the warm-up",
			func(b *builder) {
				b.at("early", "2s", undone(act(plan.Kill, leader(0)), "5s"))
				b.expect(rate, windowOf(plan.During, "early"), floor)
			},
			[]string{"claim-1: error: rate: for window during: it ends at 7s, inside the warm-up of 10s"},
			claim(rate, during("2s", "7s"), floor)}, // written out, it may
		{"during with no whole second", claim(rate, during("40100ms", "41900ms"), floor),
			[]string{"claim-1: error: rate: its window of 1.8s holds no whole second"},
			claim(rate, during("40100ms", "42s"), floor)},
		{"latency of every second", claim(latency, during("40100ms", "41900ms"), bound(plan.NeverAbove, 1)),
			[]string{"claim-1: error: latency: its window of 1.8s holds no whole second"},
			claim(latency, during("40100ms", "41900ms"), bound(plan.AtMost, 1))}, // the longest needs none
		{"buckets longer than the window", claim(rate, during("40s", "44s"), per("5s"), floor),
			[]string{"claim-1: error: rate: for parameter per: got 5s, but the window is 4s long and holds no whole bucket"},
			claim(rate, during("40s", "50s"), per("5s"), floor)},
		{"buckets longer than the run", claim(rate, per("81s"), floor),
			[]string{"claim-1: error: rate: for parameter per: got 1m21s, but the window is 1m20s long and holds no whole bucket"},
			claim(rate, per("45s"), floor)}, // one of 10s to 90s: from 45s
		{"buckets that lie badly", claim(rate, per("80s"), floor),
			[]string{"claim-1: error: rate: for parameter per: got 1m20s, but buckets of it begin at 0s, 1m20s and so on, and none lies wholly in 10s to 1m30s"},
			claim(rate, per("40s"), floor)},
		{"buckets that lie badly in a window", claim(rate, during("41s", "49s"), per("5s"), floor),
			[]string{"claim-1: error: rate: for parameter per: got 5s, but buckets of it begin at 0s, 5s and so on, and none lies wholly in 41s to 49s"},
			claim(rate, during("41s", "50s"), per("5s"), floor)},
		{"a bucket as long as an event", claim(rate, windowOf(plan.During, "outage"), per("30s"), floor),
			[]string{"claim-1: warning: rate: its window may hold no whole bucket of 30s: those begin at multiples of it, and an event a moment after the time that is planned"},
			claim(rate, windowOf(plan.During, "outage"), per("10s"), floor)},
		{"a bucket up to an event", claim(rate, windowOf(plan.Before, "outage"), per("40s"), floor),
			[]string{"claim-1: error: rate: for parameter per: got 40s, but the window is 20s long and holds no whole bucket"},
			claim(rate, windowOf(plan.Before, "outage"), per("10s"), floor)},
		{"buckets that a bound does not look at", claim(rate, per("5s"), bound(plan.AtLeast, 800)),
			[]string{"claim-1: warning: rate: for parameter per: at_least judges the mean, not each bucket of 5s"},
			claim(rate, per("5s"), floor)},
		{"buckets that a latency's bound does not look at", claim(latency, per("5s"), bound(plan.AtMost, 1)),
			[]string{"claim-1: warning: latency: for parameter per: at_most judges the whole window, not each bucket of 5s"},
			claim(latency, per("5s"), bound(plan.NeverAbove, 1))},
		{"no sample", claim(inSync, during("40s", "40100ms"), bound(plan.AtLeast, 2)),
			[]string{"claim-1: error: in_sync: its window of 100ms holds no sample: gauges are sampled every 200ms"},
			claim(inSync, during("40s", "40200ms"), bound(plan.AtLeast, 2))},
		{"nothing in common", claim(rate, window(plan.After, "60s"), window(plan.Before, "50s"), floor),
			[]string{"claim-1: error: rate: its windows have nothing in common"},
			claim(rate, window(plan.After, "50s"), window(plan.Before, "60s"), floor)},
		{"during and outside", claim(stall, windowOf(plan.During, "outage"), windowOf(plan.Outside, "outage"), bound(plan.AtMost, 5)),
			[]string{"claim-1: error: stall: its windows have nothing in common"},
			claim(stall, windowOf(plan.Outside, "outage"), bound(plan.AtMost, 5))},
		{"moment outside the other window", claim(inSync, window(plan.At, "20s"), window(plan.After, "30s"), bound(plan.AtLeast, 2)),
			[]string{"claim-1: error: in_sync: its windows have nothing in common"},
			claim(inSync, window(plan.At, "40s"), window(plan.After, "30s"), bound(plan.AtLeast, 2))},
		{"at after the end", claim(missing, window(plan.At, "91s"), none),
			[]string{"claim-1: error: missing: for window at: got 1m31s, want 0s to 1m30s, the end of the run"},
			claim(missing, window(plan.At, "90s"), none)},
		{"at before the first bucket", claim(rate, window(plan.At, "500ms"), bound(plan.AtLeast, 1)),
			[]string{"claim-1: error: rate: for window at: got 500ms, want at least 1s, the end of the first whole bucket"},
			claim(rate, window(plan.At, "1s"), bound(plan.AtLeast, 1))},
		{"at_end before", claim(inSync, atEnd, window(plan.Before, "50s"), bound(plan.AtLeast, 2)),
			[]string{"claim-1: error: in_sync: its windows have nothing in common"},
			claim(inSync, atEnd, bound(plan.AtLeast, 2))},
		{"windows of unknown time",
			func(b *builder) {
				b.when("low", term(rate, floor), act(plan.Note))
				b.expect(rate, windowOf(plan.After, "low"), window(plan.After, "91s"), floor)
			},
			[]string{"claim-1: error: rate: for window after: it begins at 1m31s, but the run ends at 1m30s"},
			func(b *builder) {
				b.when("low", term(rate, floor), act(plan.Note))
				b.expect(rate, windowOf(plan.After, "low"), floor)
			}},
		{"alarms are armed after the warm-up",
			func(b *builder) {
				alarm(b, rate, floor)
				b.expect(on(plan.RefAlarm, "low", "raised"), window(plan.Before, "10s"), none)
			},
			[]string{"claim-1: error: raised: for window before: it ends at 10s, want more than the warm-up of 10s"},
			func(b *builder) {
				alarm(b, rate, floor)
				b.expect(on(plan.RefAlarm, "low", "raised"), window(plan.Before, "11s"), none)
			}},
		{"eventually, later than the window", claim(rate, during("40s", "50s"), func(t *plan.Term) {
			t.Bound = &plan.Bound{Op: plan.Eventually, Value: 900, Within: dur("20s")}
		}),
			[]string{"claim-1: warning: rate: for parameter within: got 20s, but the window is 10s long"},
			claim(rate, during("40s", "50s"), func(t *plan.Term) {
				t.Bound = &plan.Bound{Op: plan.Eventually, Value: 900, Within: dur("10s")}
			})},
		{"unknown handle", claim(rate, windowOf(plan.During, "outages"), floor),
			[]string{`claim-1: error: rate: the plan has no event "outages"`}, nothing},
		{"unknown subject", claim(on(plan.RefProducer, "shops", "rate"), floor),
			[]string{`claim-1: error: rate: the plan has no producer "shops"`}, nothing},
	})
}

func alarm(b *builder, parts ...part) {
	e := expr(parts...)
	e.Term.Pos = pos("low/claim")
	b.p.Alarms = []plan.Alarm{{Pos: pos("low"), Name: "low", Claim: e, Lasting: dur("1s")}}
}

func TestPossible(t *testing.T) {
	claim := func(parts ...part) func(*builder) { return func(b *builder) { outage(b); b.expect(parts...) } }
	acks0 := func(parts ...part) func(*builder) {
		return func(b *builder) { b.producer().Acks = "0"; b.p.Claims = nil; b.expect(parts...) }
	}
	sending := on(plan.RefProducer, "shop", "sending")
	alive := on(plan.RefCluster, "kafka", "alive")
	idle := on(plan.RefConsumer, "billing", "idle_members")
	assignment := on(plan.RefConsumer, "billing", "assignment")
	recovered := on(plan.RefEvent, "outage", "recovered")
	setRate := func(b *builder, when string, r float64) {
		b.at("rate", when, plan.Action{Verb: plan.SetRate, Targets: refs(ref(plan.RefProducer, "shop")), Rate: r})
	}
	runCases(t, []problemCase{
		{"more than is due", claim(rate, bound(plan.NeverBelow, 1001)),
			[]string{"claim-1: error: rate: this can never hold: got never_below 1001, but no more than 1000 records a second are due"},
			func(b *builder) { // behind a fault more comes than is due
				outage(b)
				b.expect(rate, during("60s", "65s"), bound(plan.NeverBelow, 1001))
			}},
		{"more than is due before a fault", claim(rate, windowOf(plan.Before, "outage"), bound(plan.NeverBelow, 1001)),
			[]string{"claim-1: error: rate: this can never hold: got never_below 1001, but no more than 1000 records a second are due"},
			claim(rate, windowOf(plan.Before, "outage"), bound(plan.NeverBelow, 900))},
		{"more than is due on average", claim(rate, bound(plan.AtLeast, 1001)),
			[]string{"claim-1: error: rate: this can never hold: got at_least 1001, but no more than 1000 records a second are due"},
			func(b *builder) {
				b.producer().MaxRate, b.producer().Rate = true, 0
				b.expect(rate, bound(plan.AtLeast, 1001))
			}},
		{"more than is due later",
			func(b *builder) { setRate(b, "50s", 200); b.expect(rate, bound(plan.NeverBelow, 800)) },
			[]string{"claim-1: error: rate: this can never hold: got never_below 800, but no more than 200 records a second are due"},
			func(b *builder) {
				setRate(b, "50s", 200)
				b.expect(rate, window(plan.Before, "50s"), bound(plan.NeverBelow, 800))
			}},
		{"more is delivered than is due", claim(on(plan.RefConsumer, "billing", "rate"), bound(plan.NeverBelow, 1001)),
			[]string{"claim-1: error: rate: this can never hold: got never_below 1001, but no more than 1000 records a second are due"},
			claim(on(plan.RefConsumer, "billing", "rate"), bound(plan.NeverBelow, 100))},
		{"more in sync than replicas", claim(inSync, bound(plan.AtLeast, 4)),
			[]string{"claim-1: error: in_sync: this can never hold: got at_least 4, but a partition of orders has 3 replicas"},
			claim(inSync, bound(plan.AtLeast, 3))},
		{"more brokers than there are", claim(alive, bound(plan.Equals, 4)),
			[]string{"claim-1: error: alive: this can never hold: got equals 4, but kafka has 3 brokers"},
			claim(alive, bound(plan.AtLeast, 2))},
		{"other number of partitions", claim(partitions, atEnd, bound(plan.Equals, 8)),
			[]string{"claim-1: error: partitions: this can never hold: got equals 8, but orders has 6 partitions then"},
			func(b *builder) { b.at("grow", "30s", resize(8)); b.expect(partitions, atEnd, bound(plan.Equals, 8)) }},
		{"partitions before and after",
			func(b *builder) { b.at("grow", "30s", resize(8)); b.expect(partitions, bound(plan.Equals, 8)) },
			[]string{"claim-1: error: partitions: this can never hold: got equals 8, but orders goes from 6 to 8 partitions in this window"},
			func(b *builder) {
				b.at("grow", "30s", resize(8))
				b.expect(partitions, window(plan.After, "30s"), bound(plan.Equals, 8))
			}},
		{"partitions just before",
			func(b *builder) {
				b.at("grow", "30s", resize(8))
				b.expect(partitions, window(plan.At, "30s"), bound(plan.AtLeast, 8))
			},
			[]string{"claim-1: error: partitions: this can never hold: got at_least 8, but orders has 6 partitions then"},
			func(b *builder) {
				b.at("grow", "30s", resize(8))
				b.expect(partitions, window(plan.At, "31s"), bound(plan.AtLeast, 8))
			}},
		{"more members than there are", claim(members, bound(plan.NeverBelow, 3)),
			[]string{"claim-1: error: members: this can never hold: got never_below 3, but billing has 2 members then"},
			func(b *builder) {
				b.at("s", "20s", scale(3))
				b.expect(members, window(plan.After, "30s"), bound(plan.NeverBelow, 3))
			}},
		{"someone is always idle",
			func(b *builder) { b.topic().Partitions = 1; b.expect(idle, none) },
			[]string{
				"billing: warning: consumer: for parameter members: got 2 for 1 partition: 1 member will be idle",
				"claim-1: error: idle_members: this can never hold: got none, but billing has 2 members for 1 partition",
			}, claim(idle, none)},
		{"share above one", claim(on(plan.RefProducer, "shop", "late"), bound(plan.AtMost, 1)),
			[]string{"claim-1: warning: late: this can never fail: got at_most 1, but it is a share, 0 to 1"},
			claim(on(plan.RefProducer, "shop", "late"), bound(plan.AtMost, 0.01))},
		{"at least nothing", claim(rate, bound(plan.NeverBelow, 0)),
			[]string{"claim-1: warning: rate: this can never fail: got never_below 0, but it is never below 0"},
			claim(rate, bound(plan.NeverBelow, 1))},
		{"less than nothing", claim(missing, bound(plan.AtMost, -1)),
			[]string{"claim-1: error: missing: this can never hold: got at_most -1, but it is never below 0"},
			claim(missing, bound(plan.AtMost, 0))},
		{"half a record", claim(missing, bound(plan.Equals, 0.5)),
			[]string{"claim-1: error: missing: this can never hold: got equals 0.5, but it is a whole number"},
			claim(missing, bound(plan.Equals, 1))},
		{"in both",
			func(b *builder) {
				b.claim(plan.Expect, plan.Expr{Op: plan.OpBoth, Args: []plan.Expr{expr(inSync, bound(plan.AtLeast, 4)), expr(rate, bound(plan.AtLeast, 1))}})
			},
			[]string{"claim-1: error: in_sync: this can never hold: got at_least 4, but a partition of orders has 3 replicas"},
			func(b *builder) { // one of two may be impossible, and no(…) turns it round
				b.claim(plan.Expect, plan.Expr{Op: plan.OpEither, Args: []plan.Expr{expr(inSync, bound(plan.AtLeast, 4)), expr(rate, bound(plan.AtLeast, 1))}})
				b.claim(plan.Expect, plan.Expr{Op: plan.OpNo, Args: []plan.Expr{expr(inSync, bound(plan.AtLeast, 4))}})
			}},
		{"no of either",
			func(b *builder) {
				no := plan.Expr{Op: plan.OpNo, Args: []plan.Expr{expr(inSync, bound(plan.AtLeast, 4))}}
				b.claim(plan.Expect, plan.Expr{Op: plan.OpNo, Args: []plan.Expr{no}})
			},
			[]string{"claim-1: error: in_sync: this can never hold: got at_least 4, but a partition of orders has 3 replicas"},
			func(b *builder) {
				both := plan.Expr{Op: plan.OpBoth, Args: []plan.Expr{
					{Op: plan.OpNo, Args: []plan.Expr{expr(inSync, bound(plan.AtLeast, 4))}}, expr(rate, bound(plan.AtLeast, 1)),
				}}
				b.claim(plan.Expect, plan.Expr{Op: plan.OpNo, Args: []plan.Expr{both}})
			}},
		{"shares that do not add up", claim(assignment, bound(plan.Balanced, 2)),
			[]string{"claim-1: warning: assignment: for parameter each: got 2, but 2 members share 6 partitions"},
			claim(assignment, bound(plan.Balanced, 3))},
		{"rate with acks 0", acks0(rate, bound(plan.NeverBelow, 800)),
			[]string{"claim-0: error: rate: shop has acks 0, so nothing is ever acknowledged"},
			acks0(sending, bound(plan.NeverBelow, 800))},
		{"stall with acks 0", acks0(stall, bound(plan.AtMost, 5)),
			[]string{"claim-0: error: stall: shop has acks 0, so nothing is ever acknowledged"}, nothing},
		{"unknown with acks 0", acks0(on(plan.RefProducer, "shop", "unknown"), none),
			[]string{"claim-0: error: unknown: shop has acks 0, so nobody ever knows whether a record was written"},
			acks0(on(plan.RefProducer, "shop", "unknown"), bound(plan.AtLeast, 1))},
		{"missing with acks 0", acks0(missing, none),
			[]string{"claim-0: warning: missing: this can never fail: with acks 0 no record is ever acknowledged"},
			acks0(on(plan.RefConsumer, "billing", "duplicates"), none)},
		{"order by key without keys", claim(on(plan.RefConsumer, "billing", "out_of_order"), by("key"), none),
			[]string{"claim-1: error: out_of_order: for parameter by: got key, but no producer of orders writes keys"},
			func(b *builder) {
				b.producer().Keys = 10
				b.expect(on(plan.RefConsumer, "billing", "out_of_order"), by("key"), none)
			}},
		{"no time to recover",
			func(b *builder) {
				b.at("outage", "86s", undone(act(plan.Kill, leader(0)), "4s"))
				b.expect(recovered, bound(plan.AtMost, 10))
			},
			[]string{"claim-1: error: recovered: outage is at 1m26s, and the run ends at 1m30s: the rate must be back for 5s"},
			claim(recovered, bound(plan.AtMost, 10))},
		{"nothing to recover to",
			func(b *builder) {
				b.at("outage", "10s", undone(act(plan.Kill, leader(0)), "4s"))
				b.expect(recovered, bound(plan.AtMost, 10))
			},
			[]string{"claim-1: warning: recovered: outage is at 10s, so there is no rate before it but that of the warm-up"}, nothing},
		{"nothing acknowledged to recover",
			func(b *builder) {
				b.producer().Acks = "0"
				b.p.Claims = nil
				outage(b)
				b.expect(recovered, bound(plan.AtMost, 10))
			},
			[]string{"claim-0: error: recovered: no producer's records are acknowledged, so there is no rate to recover"}, nothing},
	})
}

func TestLiveClaims(t *testing.T) {
	floor := bound(plan.NeverBelow, 800)
	runCases(t, []problemCase{
		{"alarm with a window",
			func(b *builder) { alarm(b, rate, window(plan.Before, "50s"), floor) },
			[]string{"low/claim: error: alarm: for window before: it looks at the last whole bucket or sample, so windows do not apply"},
			func(b *builder) { alarm(b, rate, floor) }},
		{"when with a window",
			func(b *builder) { b.when("w", term(inSync, atEnd, bound(plan.AtMost, 2)), act(plan.Note)) },
			[]string{"w/claim: error: when: for window at_end: it looks at the last whole bucket or sample, so windows do not apply"},
			func(b *builder) { b.when("w", term(inSync, bound(plan.AtMost, 2)), act(plan.Note)) }},
		{"alarm on what the audit finds",
			func(b *builder) { alarm(b, missing, none) },
			[]string{"low/claim: error: alarm: missing is known only after the run"},
			func(b *builder) { alarm(b, on(plan.RefConsumer, "billing", "lag"), bound(plan.AtMost, 100)) }},
		{"alarm on what the log shows",
			func(b *builder) { alarm(b, on(plan.RefTopic, "orders", "lost"), none) },
			[]string{"low/claim: error: alarm: lost is known only after the run"}, nothing},
		{"alarm with acks 0",
			func(b *builder) {
				b.producer().Acks, b.p.Claims = "0", nil
				alarm(b, rate, floor)
				b.expect(missing, bound(plan.AtMost, 5))
			},
			[]string{"low/claim: error: rate: shop has acks 0, so nothing is ever acknowledged"}, nothing},
	})
}

func TestWisdom(t *testing.T) {
	lost := on(plan.RefTopic, "orders", "lost")
	runCases(t, []problemCase{
		{"acks 1",
			func(b *builder) { b.producer().Acks = "1"; b.expect(missing, none); b.expect(lost, none) },
			[]string{"shop: warning: producer: with acks 1 a record is acknowledged that only the leader has: under missing (claim-1:1)"},
			func(b *builder) { b.producer().Acks = "1"; b.expect(missing, bound(plan.AtMost, 10)) }},
		{"one in-sync replica",
			func(b *builder) { outage(b); b.topic().MinInsync = 1; b.expect(lost, none) },
			[]string{"orders: warning: topic: with min_insync 1 a record is acknowledged that one replica has, if the others are out of sync: under lost (claim-1:1)"},
			func(b *builder) { b.topic().MinInsync = 1; b.expect(lost, none) }}, // nothing goes wrong
		{"one replica",
			func(b *builder) {
				b.topic().MinInsync, b.topic().Replicas = 1, 1
				b.at("off", "30s", undone(act(plan.PowerOff, leader(0)), "10s"))
				b.expect(lost, bound(plan.Equals, 0))
			},
			[]string{"orders: warning: topic: with 1 replica a host that loses power takes records with it: under lost (claim-1:1)"},
			func(b *builder) {
				b.topic().MinInsync, b.topic().Replicas = 1, 1
				b.at("off", "30s", undone(act(plan.Kill, leader(0)), "10s"))
				b.expect(lost, none)
			}},
		{"unclean election",
			func(b *builder) {
				b.topic().Config = map[string]string{"unclean.leader.election.enable": "true"}
				b.expect(lost, none)
			},
			[]string{"orders: warning: topic: an unclean election gives up what the new leader has not: under lost (claim-1:1)"},
			func(b *builder) { // the topic's own value counts
				b.p.Clusters[0].Config = map[string]string{"unclean.leader.election.enable": "true"}
				b.topic().Config = map[string]string{"unclean.leader.election.enable": "false"}
				b.expect(lost, none)
			}},
		{"unclean election by hand",
			func(b *builder) {
				outage(b)
				b.at("e", "40s", plan.Action{Verb: plan.Elect, Targets: refs(ref(plan.RefTopic, "orders")), Elect: "unclean", Partition: 0})
				b.expect(lost, none)
			},
			[]string{"orders: warning: topic: an unclean election gives up what the new leader has not: under lost (claim-1:1)"},
			func(b *builder) {
				outage(b)
				b.at("e", "40s", plan.Action{Verb: plan.Elect, Targets: refs(ref(plan.RefTopic, "orders")), Elect: "preferred", Partition: 0})
				b.expect(lost, none)
			}},
		{"aborted records are read twice",
			func(b *builder) {
				b.producer().Transaction = 50
				b.expect(on(plan.RefConsumer, "billing", "duplicates"), none)
			},
			[]string{"billing: warning: consumer: isolation is read_uncommitted, so what shop aborts and sends again is read twice: under duplicates (claim-1:1)"},
			func(b *builder) {
				b.producer().Transaction, b.consumer().Isolation = 50, "read_committed"
				b.expect(on(plan.RefConsumer, "billing", "duplicates"), none)
			}},
		{"start at the latest",
			func(b *builder) { b.consumer().Start = "latest"; b.expect(missing, none) },
			[]string{"billing: warning: consumer: start is latest, so what comes before its first fetch, or to a new partition, is skipped: under missing (claim-1:1)"},
			func(b *builder) {
				b.consumer().Start = "latest"
				b.expect(on(plan.RefConsumer, "billing", "duplicates"), none)
			}},
		{"commit before the work",
			func(b *builder) {
				b.consumer().Commit = "before"
				b.at("c", "20s", undone(act(plan.Crash, member(1)), "5s"))
				b.expect(missing, none)
			},
			[]string{"billing: warning: consumer: commit is before the work, so a member that goes takes what it had not done: under missing (claim-1:1)"},
			func(b *builder) { b.consumer().Commit = "before"; b.expect(missing, none) }},
		{"no commit",
			func(b *builder) {
				b.consumer().Commit = "none"
				b.at("c", "20s", scale(3))
				b.expect(on(plan.RefConsumer, "billing", "duplicates"), none)
			},
			[]string{"billing: warning: consumer: commit is none, so whoever takes a partition over begins anew: under duplicates (claim-1:1)"},
			func(b *builder) {
				b.consumer().Commit = "none"
				b.expect(on(plan.RefConsumer, "billing", "duplicates"), none)
			}},
		{"loss of what nobody writes",
			func(b *builder) { b.p.Producers, b.p.Consumers, b.p.Claims = nil, nil, nil; b.expect(lost, none) },
			[]string{"claim-0: warning: lost: this can never fail: no producer writes to orders"}, nothing},
		{"a report demands nothing",
			func(b *builder) { b.producer().Acks = "1"; b.claim(plan.Assume, expr(lost, none)) },
			[]string{"shop: warning: producer: with acks 1 a record is acknowledged that only the leader has: under lost (claim-1:1)"},
			func(b *builder) { b.producer().Acks = "1"; b.claim(plan.Report, expr(lost)) }},
	})
}
