package model_test

import (
	"testing"

	"starfall/interp/plan"
)

func TestPaths(t *testing.T) {
	home, here := ref(plan.RefSite, "home"), ref(plan.RefSite, plan.ImpliedSite)
	slow := func(d string, groups ...[]plan.Ref) plan.Action {
		return plan.Action{Verb: plan.Slow, Groups: groups, Condition: plan.Condition{Latency: dur(d)}}
	}
	runCases(t, []problemCase{
		{"one place against nobody",
			func(b *builder) { b.at("a", "20s", split(refs(here))) },
			[]string{"a/netsplit: error: netsplit: this cuts nothing: everything is on one side"},
			func(b *builder) { twoSites(b); b.at("a", "20s", split(refs(here))) }},
		{"both sides the same",
			func(b *builder) { b.at("a", "20s", split(refs(broker(1), broker(2)), refs(broker(2), broker(3)))) },
			[]string{"a/netsplit: error: netsplit: kafka-2 is on both sides"},
			func(b *builder) { b.at("a", "20s", split(refs(broker(1)), refs(broker(2), broker(3)))) }},
		{"a client in its own site",
			func(b *builder) { b.at("a", "20s", split(refs(here), refs(member(1)))) },
			[]string{"a/netsplit: error: netsplit: member 1 of billing is on both sides"},
			func(b *builder) { b.at("a", "20s", split(refs(ref(plan.RefBrokers, "kafka")), refs(member(1)))) }},
		{"a site nobody stands in",
			func(b *builder) {
				b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("home"), Name: "home"})
				b.at("a", "20s", split(refs(home), refs(here)))
			},
			[]string{
				"a/netsplit: error: netsplit: nobody stands in home",
				"home: warning: site: nobody stands in home",
			},
			func(b *builder) { twoSites(b); b.at("a", "20s", split(refs(home), refs(here))) }},
		{"clients do not talk",
			func(b *builder) {
				b.at("a", "20s", split(refs(ref(plan.RefProducer, "shop")), refs(ref(plan.RefConsumer, "billing"))))
			},
			[]string{"a/netsplit: warning: netsplit: nothing passes between these places anyway: a client talks only to the brokers of its cluster, a mirror to those of two"},
			func(b *builder) {
				b.at("a", "20s", split(refs(ref(plan.RefProducer, "shop")), refs(ref(plan.RefConsumer, "billing")), refs(broker(1))))
			}},
		{"a selector's side is not known",
			func(b *builder) {
				b.at("a", "20s", split(refs(plan.Ref{Kind: plan.RefLeader, Name: "orders", Index: 6})))
			},
			[]string{"a/netsplit: error: netsplit: got partition 6 of orders, want 0 to 5 at this time"},
			func(b *builder) { b.at("a", "20s", split(refs(leader(5)), refs(broker(2), broker(3)))) }},
		{"no such member",
			func(b *builder) { b.at("a", "20s", split(refs(member(3)))) },
			[]string{"a/netsplit: error: netsplit: got member 3 of billing, want 1 to 2 at this time"},
			func(b *builder) { b.at("s", "10s", scale(3)); b.at("a", "20s", split(refs(member(3)))) }},
		{"nothing gets worse",
			func(b *builder) { b.at("a", "20s", slow("0s", refs(broker(1)), refs(broker(2)))) },
			[]string{"a/slow: error: slow: nothing gets worse: latency, jitter, loss and bandwidth are all zero"},
			func(b *builder) { b.at("a", "20s", slow("1ms", refs(broker(1)), refs(broker(2)))) }},
		{"heal what is healed",
			func(b *builder) {
				b.at("a", "20s", undone(split(refs(broker(1))), "10s"))
				b.at("b", "40s", act(plan.Heal, hit("a")))
			},
			[]string{"b/heal: error: heal: what a hit is whole already at 40s, since 30s"},
			func(b *builder) {
				b.at("a", "20s", undone(split(refs(broker(1))), "30s"))
				b.at("b", "40s", act(plan.Heal, hit("a")))
			}},
		{"heal what was healed before the rest of its event",
			func(b *builder) {
				b.at("a", "20s", undone(act(plan.Kill, broker(1)), "15s"), undone(split(refs(broker(2))), "10s"))
				b.at("b", "40s", act(plan.Heal, hit("a")))
			},
			[]string{"b/heal: error: heal: what a hit is whole already at 40s, since 30s"}, nothing},
		{"heal a kill",
			func(b *builder) {
				b.at("a", "20s", act(plan.Kill, broker(1)))
				b.at("b", "40s", act(plan.Heal, hit("a")))
			},
			[]string{"b/heal: error: heal: a did kill, want an event that worsened a path"}, nothing},
		{"heal all when all is whole",
			func(b *builder) {
				b.at("a", "20s", split(refs(broker(1))))
				b.at("b", "30s", act(plan.HealAll))
				b.at("c", "40s", act(plan.HealAll))
			},
			[]string{"c/heal_all: error: heal_all: every path is whole at 40s"},
			func(b *builder) {
				b.at("a", "20s", split(refs(broker(1))))
				b.at("b", "30s", act(plan.HealAll))
				b.atEdge("c", "a", plan.End, "5s", split(refs(broker(1))))
			}},
		{"heal all, unknown time",
			func(b *builder) { b.at("b", "30s", act(plan.HealAll)) },
			[]string{"b/heal_all: error: heal_all: every path is whole at 30s"},
			func(b *builder) {
				b.when("w", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), split(refs(broker(1))))
				b.at("b", "30s", act(plan.HealAll))
			}},
	})
}

func TestChanges(t *testing.T) {
	orders := ref(plan.RefTopic, "orders")
	elect := func(kind string, p int) plan.Action {
		return plan.Action{Verb: plan.Elect, Targets: refs(orders), Elect: kind, Partition: p}
	}
	move := func(m map[int][]int32) plan.Action {
		return plan.Action{Verb: plan.Move, Targets: refs(orders), Placement: m}
	}
	off := func(r plan.Ref) plan.Action {
		return plan.Action{Verb: plan.Move, Targets: refs(orders), Off: &r}
	}
	rate := func(r float64) plan.Action {
		return plan.Action{Verb: plan.SetRate, Targets: refs(ref(plan.RefProducer, "shop")), Rate: r}
	}
	kafka := ref(plan.RefCluster, "kafka")
	runCases(t, []problemCase{
		{"partition that is not there yet",
			func(b *builder) { b.at("a", "20s", act(plan.Kill, leader(6))); b.at("b", "30s", resize(8)) },
			[]string{"a/kill: error: kill: got partition 6 of orders, want 0 to 5 at this time"},
			func(b *builder) { b.at("a", "40s", act(plan.Kill, leader(6))); b.at("b", "30s", resize(8)) }},
		{"fewer partitions",
			func(b *builder) { b.at("b", "30s", resize(4)) },
			[]string{"b/resize: error: resize: for parameter partitions: got 4, want more than 6 at 30s: Kafka cannot take partitions away"},
			func(b *builder) { b.at("b", "30s", resize(7)); b.at("c", "40s", resize(8)) }},
		{"fewer partitions, and a claim about them",
			func(b *builder) { b.at("b", "30s", resize(4)); b.expect(partitions, atEnd, bound(plan.Equals, 4)) },
			[]string{"b/resize: error: resize: for parameter partitions: got 4, want more than 6 at 30s: Kafka cannot take partitions away"},
			func(b *builder) { b.at("b", "30s", resize(7)); b.expect(partitions, atEnd, bound(plan.Equals, 7)) }},
		{"as many partitions",
			func(b *builder) { b.at("b", "30s", resize(8)); b.at("c", "40s", resize(8)) },
			[]string{"c/resize: error: resize: for parameter partitions: got 8, want more than 8 at 40s: it has as many already"},
			func(b *builder) { b.at("b", "30s", resize(8)) }},
		{"fewer partitions at an unknown time",
			func(b *builder) {
				b.when("w", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), resize(6))
			},
			[]string{"w/resize: error: resize: for parameter partitions: got 6, want more than 6: Kafka cannot take partitions away"},
			func(b *builder) {
				b.when("w", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), resize(8))
				b.at("a", "40s", act(plan.Kill, leader(7)))
			}},
		{"as many members",
			func(b *builder) { b.at("a", "20s", scale(2)) },
			[]string{"a/scale: warning: scale: billing has 2 members already at 20s"},
			func(b *builder) { b.at("a", "20s", scale(3)); b.at("b", "30s", scale(2)) }},
		{"too many members",
			func(b *builder) { b.at("a", "20s", scale(7)) },
			[]string{"a/scale: warning: scale: got 7 members for 6 partitions at 20s: 1 member will be idle"},
			func(b *builder) { b.at("r", "15s", resize(7)); b.at("a", "20s", scale(7)) }},
		{"crash of nobody",
			func(b *builder) { b.at("a", "20s", act(plan.Crash, member(3))) },
			[]string{"a/crash: error: crash: got member 3 of billing, want 1 to 2 at 20s"},
			func(b *builder) { b.at("s", "15s", scale(3)); b.at("a", "20s", act(plan.Crash, member(3))) }},
		{"crash after scale to 0",
			func(b *builder) { b.at("s", "15s", scale(0)); b.at("a", "20s", act(plan.Crash, member(1))) },
			[]string{"a/crash: error: crash: billing has no members at 20s"}, nothing},
		{"crash twice",
			func(b *builder) { b.every("a", "10s", "20s", "60s", act(plan.Crash, member(1))) },
			[]string{"a/crash: error: crash: member 1 of billing is down already at 30s"},
			func(b *builder) { b.every("a", "10s", "20s", "60s", undone(act(plan.Crash, member(1)), "5s")) }},
		{"same rate",
			func(b *builder) { b.at("a", "20s", rate(1000)) },
			[]string{"a/set_rate: warning: set_rate: shop has a rate of 1000 already at 20s"},
			func(b *builder) { b.at("a", "20s", rate(2000)); b.at("b", "30s", rate(1000)) }},
		{"read-only config",
			func(b *builder) { b.at("a", "20s", configure(kafka, "broker.session.timeout.ms", "2000")) },
			[]string{"a/configure: error: configure: for config broker.session.timeout.ms: a broker reads it only when it starts"},
			func(b *builder) { b.at("a", "20s", configure(kafka, "log.cleaner.threads", "2")) }},
		{"min_insync of brokers",
			func(b *builder) { b.at("a", "20s", configure(kafka, "min.insync.replicas", "1")) },
			[]string{"a/configure: warning: configure: for config min.insync.replicas: a topic has its own, min_insync, so this holds only for Kafka's internal topics"},
			func(b *builder) { b.at("a", "20s", configure(orders, "min.insync.replicas", "1")) }},
		{"unknown config",
			func(b *builder) { b.at("a", "20s", configure(orders, "min.insync.replica", "2")) },
			[]string{"a/configure: error: configure: for config min.insync.replica: a topic has no such config"}, nothing},
		{"config of one broker",
			func(b *builder) { b.at("a", "20s", configure(kafka, "listeners", "PLAINTEXT://:9092")) },
			[]string{"a/configure: error: configure: for config listeners: it is set for one broker at a time, not for a cluster"},
			func(b *builder) { b.at("a", "20s", configure(broker(1), "listeners", "PLAINTEXT://:9092")) }},
		{"config that holds already",
			func(b *builder) { b.at("a", "20s", configure(orders, "min.insync.replicas", "2")) },
			[]string{"a/configure: warning: configure: for config min.insync.replicas: orders has 2 already"},
			func(b *builder) {
				b.at("a", "20s", undone(configure(orders, "min.insync.replicas", "1"), "10s"))
				b.at("b", "40s", configure(orders, "min.insync.replicas", "1"))
			}},
		{"more in-sync than replicas",
			func(b *builder) { b.at("a", "20s", configure(orders, "min.insync.replicas", "4")) },
			[]string{"a/configure: warning: configure: for config min.insync.replicas: got 4, but orders has 3 replicas: no record will be acknowledged with acks=all"},
			func(b *builder) { b.at("a", "20s", configure(orders, "min.insync.replicas", "3")) }},
		{"election in an unknown partition",
			func(b *builder) { b.at("a", "20s", elect("preferred", 6)) },
			[]string{"a/elect: error: elect: got partition 6 of orders, want 0 to 5 at this time"},
			func(b *builder) { b.at("a", "20s", elect("preferred", -1)) }},
		{"unclean election with all leaders",
			func(b *builder) { b.at("a", "20s", elect("unclean", -1)) },
			[]string{"a/elect: warning: elect: every partition of orders has a leader at 20s, so no unclean election is needed"},
			func(b *builder) { b.at("k", "15s", act(plan.Kill, leader(0))); b.at("a", "20s", elect("unclean", 0)) }},
		{"move to an unknown broker",
			func(b *builder) { b.at("a", "20s", move(map[int][]int32{0: {1, 2, 4}})) },
			[]string{"a/move: error: move: for parameter placement: got broker 4 for partition 0, want 1 to 3, the brokers of kafka"},
			func(b *builder) { b.at("a", "20s", move(map[int][]int32{0: {3, 2, 1}})) }},
		{"move to an unknown broker again and again",
			func(b *builder) { b.every("a", "5s", "20s", "40s", move(map[int][]int32{0: {4}})) },
			[]string{"a/move: error: move: for parameter placement: got broker 4 for partition 0, want 1 to 3, the brokers of kafka"},
			func(b *builder) { b.every("a", "5s", "20s", "40s", move(map[int][]int32{0: {3, 2, 1}})) }},
		{"move of an unknown partition",
			func(b *builder) { b.at("a", "20s", move(map[int][]int32{6: {1, 2, 3}})) },
			[]string{"a/move: error: move: got partition 6 of orders, want 0 to 5 at this time"}, nothing},
		{"move to a dead broker",
			func(b *builder) {
				b.at("k", "15s", act(plan.Kill, broker(1)))
				b.at("a", "20s", move(map[int][]int32{0: {1, 2, 3}}))
			},
			[]string{"a/move: warning: move: kafka-1 is down then, so this move cannot be completed"},
			func(b *builder) {
				b.at("k", "15s", act(plan.Kill, leader(0)))
				b.at("a", "20s", move(map[int][]int32{0: {1, 2, 3}}))
			}},
		{"move off with nowhere to go",
			func(b *builder) { b.at("a", "20s", off(broker(1))) },
			[]string{"a/move: error: move: orders has 3 replicas and 2 brokers would be left for them"},
			func(b *builder) { b.cluster("kafka", 4, 0); b.at("a", "20s", off(broker(1))) }},
		{"move off a selector with nowhere to go",
			func(b *builder) { b.at("a", "20s", off(leader(0))) },
			[]string{"a/move: error: move: orders has 3 replicas and 2 brokers would be left for them"},
			func(b *builder) { b.cluster("kafka", 4, 0); b.at("a", "20s", off(leader(0))) }},
		{"unknown topic",
			func(b *builder) { b.at("a", "20s", act(plan.Send, ref(plan.RefTopic, "order"))) },
			[]string{`a/send: error: send: the plan has no topic "order"`},
			func(b *builder) { b.at("a", "20s", act(plan.Send, orders)) }},
	})
}

// After a move nobody knows where a partition is led, so what was certain from
// its placement is not any more.
func TestMoveForgetsPlacement(t *testing.T) {
	lone := func(b *builder) {
		b.topic().Partitions, b.topic().Replicas, b.topic().MinInsync = 1, 1, 1
		b.topic().Placement = map[int][]int32{0: {1}}
		b.consumer().Members = 1
	}
	runCases(t, []problemCase{{"leader is the placed one",
		func(b *builder) {
			lone(b)
			b.at("k", "30s", act(plan.Kill, leader(0)))
			b.at("l", "40s", act(plan.Pause, broker(1)))
		},
		[]string{"l/pause: error: pause: kafka-1 is down at 40s, since k at 30s"},
		func(b *builder) {
			lone(b)
			b.at("m", "20s", plan.Action{Verb: plan.Move, Targets: refs(ref(plan.RefTopic, "orders")), Placement: map[int][]int32{0: {2}}})
			b.at("k", "30s", act(plan.Kill, leader(0)))
			b.at("l", "40s", undone(act(plan.Pause, broker(1)), "5s"))
			b.at("s", "50s", act(plan.StartNode, hit("k")))
		}}})
}
