package model_test

import (
	"testing"

	"starfall/interp/model"
	"starfall/interp/plan"
)

func nothing(*builder) {}

func TestThings(t *testing.T) {
	runCases(t, []problemCase{
		{"no scenario",
			func(b *builder) { b.p.Scenario = plan.Scenario{}; b.p.Files = []plan.File{{Path: "test.star"}} },
			[]string{"test.star: error: scenario: the file does not say how long to run"}, nothing},
		{"no cluster",
			func(b *builder) {
				b.p.Clusters, b.p.Topics, b.p.Producers, b.p.Consumers = nil, nil, nil, nil
				b.p.Claims = nil
			},
			[]string{
				"scenario: error: scenario: there is no cluster",
				"scenario: warning: scenario: nothing is expected, so the verdict will be INCONCLUSIVE",
			}, nothing},
		{"run within warm-up",
			func(b *builder) { b.p.Scenario.RunFor = dur("10s") },
			[]string{"scenario: error: scenario: for parameter run_for: got 10s, want more than the warm-up of 10s"}, nothing},
		{"no whole second",
			func(b *builder) { b.p.Scenario.RunFor = dur("10500ms") },
			[]string{"scenario: error: scenario: for parameter run_for: got 10.5s, want at least one whole second after the warm-up of 10s"},
			func(b *builder) { b.p.Scenario.RunFor = dur("11s") }},
		{"nothing expected",
			func(b *builder) { b.p.Claims[0].Kind = plan.Assume },
			[]string{"scenario: warning: scenario: nothing is expected, so the verdict will be INCONCLUSIVE"}, nothing},
		{"two claims with one id",
			func(b *builder) {
				b.expect(on(plan.RefConsumer, "billing", "missing"), bound(plan.None, 0))
				b.p.Claims[0].ID, b.p.Claims[1].ID = "a", "a"
			},
			[]string{`claim-1: error: expect: for parameter id: got "a", which the claim at claim-0:1 has already`}, nothing},
		{"empty site",
			func(b *builder) { b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("london"), Name: "london"}) },
			[]string{"london: warning: site: nobody stands in london"},
			func(b *builder) {
				b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("london"), Name: "london"})
				b.producer().Site = "london"
			}},
		{"empty site, and no choice",
			func(b *builder) {
				b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("london"), Name: "london"})
				b.p.Params = []plan.Param{{Name: "rate"}}
			},
			[]string{"london: warning: site: nobody stands in london"},
			func(b *builder) {
				b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("london"), Name: "london"})
				b.p.Params = []plan.Param{{Name: "plan", Choices: []string{`"a"`, `"b"`}}}
			}},
		{"unknown site",
			func(b *builder) { b.producer().Site = "defualt" },
			[]string{`shop: error: producer: the plan has no site "defualt"`}, nothing},
		{"link to itself",
			func(b *builder) { b.p.Links = []plan.Link{{Pos: pos("link"), A: "default", B: "default"}} },
			[]string{"link: error: link: got default twice, want two sites"}, nothing},
		{"second link",
			func(b *builder) {
				twoSites(b)
				b.p.Links = []plan.Link{{Pos: pos("one"), A: "default", B: "home"}, {Pos: pos("two"), A: "home", B: "default"}}
			},
			[]string{"two: error: link: home and default are linked already, at one:1"},
			func(b *builder) {
				twoSites(b)
				b.p.Links = []plan.Link{{Pos: pos("one"), A: "default", B: "home"}}
			}},
		{"no broker",
			func(b *builder) {
				b.p.Clusters = append(b.p.Clusters, plan.Cluster{Pos: pos("west"), Name: "west"})
			},
			[]string{"west: error: cluster: for parameter brokers: got 0, want at least 1"}, nothing},
		{"even quorum",
			func(b *builder) { b.cluster("kafka", 3, 2) },
			[]string{"kafka: warning: cluster: a quorum of 2 survives no more failures than one of 1"},
			func(b *builder) { b.cluster("kafka", 3, 3) }},
		{"min_insync of a cluster",
			func(b *builder) { b.p.Clusters[0].Config = map[string]string{"min.insync.replicas": "2"} },
			[]string{"kafka: warning: cluster: for config min.insync.replicas: a topic has its own, min_insync, so this holds only for Kafka's internal topics"}, nothing},
		{"internal topic",
			func(b *builder) { b.p.Clusters[0].Config = map[string]string{"offsets.topic.replication.factor": "4"} },
			[]string{"kafka: error: cluster: for config offsets.topic.replication.factor: got 4, want at most 3, the number of brokers"},
			func(b *builder) { b.p.Clusters[0].Config = map[string]string{"offsets.topic.replication.factor": "3"} }},
		{"fenced between heartbeats",
			func(b *builder) { b.p.Clusters[0].Config = map[string]string{"broker.session.timeout.ms": "2000"} },
			[]string{"kafka: warning: cluster: brokers send a heartbeat every 2000 ms and are fenced after 2000 ms without one"},
			func(b *builder) {
				b.p.Clusters[0].Config = map[string]string{"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
			}},
		{"replicas",
			func(b *builder) { b.topic().Replicas = 4 },
			[]string{"orders: error: topic: for parameter replicas: got 4, want at most 3, the number of brokers of kafka"}, nothing},
		{"min_insync",
			func(b *builder) { b.topic().MinInsync = 4 },
			[]string{"orders: error: topic: for parameter min_insync: got 4, want at most 3, the number of replicas: no record could be acknowledged with acks=all"},
			func(b *builder) { b.topic().MinInsync = 3 }},
		{"min_insync said twice",
			func(b *builder) { b.topic().Config = map[string]string{"min.insync.replicas": "3"} },
			[]string{"orders: error: topic: min_insync is 2, but config min.insync.replicas is 3"},
			func(b *builder) { b.topic().Config = map[string]string{"min.insync.replicas": "2"} }},
		{"topic of no cluster",
			func(b *builder) {
				b.topic().Cluster, b.p.Consumers, b.p.Producers, b.p.Claims = "kafak", nil, nil, b.p.Claims[:0]
				b.expect(on(plan.RefCluster, "kafka", "alive"), bound(plan.AtLeast, 1))
			},
			[]string{`orders: error: topic: the plan has no cluster "kafak"`}, nothing},
		{"idempotent",
			func(b *builder) { b.producer().Idempotent, b.producer().Acks = true, "1" },
			[]string{"shop: error: producer: idempotent needs acks all, got 1"},
			func(b *builder) { b.producer().Idempotent = true }},
		{"transaction without acks",
			func(b *builder) { b.producer().Transaction, b.producer().Idempotent, b.producer().Acks = 50, true, "1" },
			[]string{"shop: error: producer: transaction needs acks all, got 1"},
			func(b *builder) { b.producer().Transaction, b.producer().Idempotent = 50, true }},
		{"transaction larger than the buffer",
			func(b *builder) { b.producer().Transaction, b.producer().Buffer = 50, 9999 },
			[]string{"shop: error: producer: for parameter transaction: got 50, which needs a buffer of at least 10000 bytes, not 9999"},
			func(b *builder) { b.producer().Transaction, b.producer().Buffer = 50, 10000 }},
		{"transaction that takes too long",
			func(b *builder) { b.producer().Transaction, b.producer().Rate = 100, 2 },
			[]string{"shop: warning: producer: a transaction of 100 records takes 50 s at this rate: it is committed earlier, when half of transaction.timeout.ms (60000) is over"},
			func(b *builder) { b.producer().Transaction, b.producer().Rate = 100, 4 }},
		{"transaction timeout above the brokers' limit",
			func(b *builder) {
				b.producer().Transaction = 50
				b.producer().Config = map[string]string{"transaction.timeout.ms": "900001"}
			},
			[]string{"shop: error: producer: for config transaction.timeout.ms: got 900001, want at most 900000, transaction.max.timeout.ms of kafka"},
			func(b *builder) {
				b.producer().Transaction = 50
				b.producer().Config = map[string]string{"transaction.timeout.ms": "900000"}
			}},
		{"buffer",
			func(b *builder) { b.producer().Buffer = 199 },
			[]string{"shop: error: producer: for parameter buffer: got 199 bytes, want at least 200, room for one record of 100 bytes and what comes with it"},
			func(b *builder) { b.producer().Buffer = 200 }},
		{"record too large",
			func(b *builder) { b.producer().Size = 2 << 20 },
			[]string{"shop: error: producer: for parameter size: got 2097152 bytes, but orders takes no more than 1048588 in a batch (max.message.bytes)"},
			func(b *builder) {
				b.producer().Size, b.producer().Config = 2<<20, map[string]string{"max.request.size": "4000000"}
				b.topic().Config = map[string]string{"max.message.bytes": "4000000"}
			}},
		{"record too large with what comes with it",
			func(b *builder) {
				b.producer().Size, b.topic().Config = 933, map[string]string{"max.message.bytes": "1000"}
			},
			[]string{"shop: error: producer: for parameter size: got 933 bytes, but orders takes no more than 1000 in a batch (max.message.bytes)"},
			func(b *builder) {
				b.producer().Size, b.topic().Config = 932, map[string]string{"max.message.bytes": "1000"}
			}},
		{"record too large for its client",
			func(b *builder) {
				b.producer().Size = 2 << 20
				b.topic().Config = map[string]string{"max.message.bytes": "4000000"}
			},
			[]string{"shop: error: producer: for parameter size: got 2097152 bytes, but its client sends no more than 1048576 in a request (max.request.size)"}, nothing},
		{"nobody writes",
			func(b *builder) {
				b.p.Topics = append(b.p.Topics, plan.Topic{Pos: pos("idle"), Name: "idle", Cluster: "kafka", Partitions: 1, Replicas: 1, MinInsync: 1})
				b.consumer().Topics = []string{"orders", "idle"}
			},
			[]string{"billing: warning: consumer: no producer writes to idle"},
			func(b *builder) {
				b.p.Topics = append(b.p.Topics, plan.Topic{Pos: pos("idle"), Name: "idle", Cluster: "kafka", Partitions: 1, Replicas: 1, MinInsync: 1})
				b.consumer().Topics = []string{"orders", "idle"}
				b.at("hand", "20s", act(plan.Send, ref(plan.RefTopic, "idle")))
			}},
		{"topic twice",
			func(b *builder) { b.consumer().Topics = []string{"orders", "orders"} },
			[]string{"billing: error: consumer: got topic orders twice"}, nothing},
		{"topics of two clusters",
			func(b *builder) {
				b.cluster("west", 1, 0)
				b.p.Topics = append(b.p.Topics, plan.Topic{Pos: pos("far"), Name: "far", Cluster: "west", Partitions: 1, Replicas: 1, MinInsync: 1})
				b.consumer().Topics = []string{"orders", "far"}
			},
			[]string{"billing: error: consumer: orders is on cluster kafka and far on west, want topics of one cluster"}, nothing},
		{"one group, two consumers",
			func(b *builder) { secondConsumer(b, "billing") },
			[]string{"audit: warning: consumer: billing is in group billing too (billing:1): what one reads, the other does not get"},
			func(b *builder) { secondConsumer(b, "audit") }},
		{"session too short",
			func(b *builder) { b.consumer().SessionTimeout = dur("3s") },
			[]string{"billing: error: consumer: for parameter session_timeout: got 3s, want at least 6000 ms, group.min.session.timeout.ms of kafka"},
			func(b *builder) {
				b.consumer().SessionTimeout = dur("3s")
				b.p.Clusters[0].Config = map[string]string{"group.min.session.timeout.ms": "1000"}
			}},
		{"session too long",
			func(b *builder) { b.consumer().SessionTimeout = dur("31m") },
			[]string{"billing: error: consumer: for parameter session_timeout: got 31m, want at most 1800000 ms, group.max.session.timeout.ms of kafka"}, nothing},
		{"heartbeat",
			func(b *builder) { b.consumer().Config = map[string]string{"heartbeat.interval.ms": "45000"} },
			[]string{"billing: error: consumer: for config heartbeat.interval.ms: got 45000, want less than the session timeout of 45000 ms"},
			func(b *builder) { b.consumer().Config = map[string]string{"heartbeat.interval.ms": "15000"} }},
		{"rare heartbeat",
			func(b *builder) { b.consumer().Config = map[string]string{"heartbeat.interval.ms": "15001"} },
			[]string{"billing: warning: consumer: for config heartbeat.interval.ms: got 15001, but the load clients send one every third of the session timeout at least, so every 15000 ms"},
			func(b *builder) { b.consumer().Config = map[string]string{"heartbeat.interval.ms": "15000"} }},
		{"idle members",
			func(b *builder) { b.consumer().Members = 8 },
			[]string{"billing: warning: consumer: for parameter members: got 8 for 6 partitions: 2 members will be idle"},
			func(b *builder) { b.consumer().Members = 8; b.at("grow", "30s", resize(8)) }},
	})
}

func twoSites(b *builder) {
	b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("home"), Name: "home"})
	b.producer().Site = "home"
}

func secondConsumer(b *builder, group string) {
	c := *b.consumer()
	c.Pos, c.Name, c.Group = pos("audit"), "audit", group
	b.p.Consumers = append(b.p.Consumers, c)
}

func TestPlacement(t *testing.T) {
	place := func(replicas, partitions int, m map[int][]int32) func(*builder) {
		return func(b *builder) {
			b.topic().Partitions, b.topic().Replicas, b.topic().Placement = partitions, replicas, m
		}
	}
	good := place(2, 2, map[int][]int32{0: {1, 2}, 1: {2, 3}})
	runCases(t, []problemCase{
		{"unknown broker", place(2, 2, map[int][]int32{0: {1, 4}, 1: {2, 3}}),
			[]string{"orders: error: topic: for parameter placement: got broker 4 for partition 0, want 1 to 3, the brokers of kafka"}, good},
		{"broker twice", place(2, 2, map[int][]int32{0: {1, 1}, 1: {2, 3}}),
			[]string{"orders: error: topic: for parameter placement: got broker 1 twice for partition 0, want different brokers"}, good},
		{"no broker", place(2, 2, map[int][]int32{0: {}, 1: {2, 3}}),
			[]string{"orders: error: topic: for parameter placement: got no broker for partition 0, want at least 1"}, good},
		{"other number of replicas", place(2, 2, map[int][]int32{0: {1, 2}, 1: {2}}),
			[]string{"orders: error: topic: for parameter placement: got 1 broker for partition 1, want 2 as replicas says"}, good},
		{"partition left out", place(2, 2, map[int][]int32{0: {1, 2}}),
			[]string{"orders: error: topic: for parameter placement: got nothing for partition 1, want brokers for each of 2 partitions"}, good},
		{"partition too many", place(2, 2, map[int][]int32{0: {1, 2}, 1: {2, 3}, 2: {3, 1}}),
			[]string{"orders: error: topic: for parameter placement: got partition 2, want 0 to 1"}, good},
	})
}

// Separate controllers are no brokers.
func TestPlacementOnController(t *testing.T) {
	b := newBuilder()
	b.cluster("kafka", 3, 3)
	b.topic().Partitions, b.topic().Replicas, b.topic().MinInsync = 1, 1, 1
	b.topic().Placement = map[int][]int32{0: {101}}
	b.consumer().Members = 1
	want := "orders: error: topic: for parameter placement: got broker 101 for partition 0, want 1 to 3, the brokers of kafka"
	if got := said(model.Check(b.p)); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
