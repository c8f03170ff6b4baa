package model_test

import (
	"testing"

	"starfall/interp/model"
	"starfall/interp/plan"
)

// west adds a second cluster of one broker in a site of its own, and a mirror of
// orders that stands there, as evaluation would with its copy and observer.
func west(b *builder) {
	b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("dc2"), Name: "dc2"})
	b.cluster("west", 1, 0)
	b.p.Clusters[1].Nodes[0].Site = "dc2"
	mirrorOf(b, "copy", "orders")
}

func mirrorOf(b *builder, name, topic string) {
	b.p.Mirrors = append(b.p.Mirrors, plan.Mirror{
		Pos: pos(name), Name: name, Topics: []string{topic}, From: "kafka", To: "west", Site: "dc2",
		Rename: plan.RenameDefault, SyncOffsetsEvery: dur("5s"),
	})
	b.p.Topics = append(b.p.Topics, plan.Topic{
		Pos: pos(name), Name: "west/kafka." + topic, Kafka: "kafka." + topic, Origin: plan.Mirrored, Of: topic, Mirror: name,
		Cluster: "west", Partitions: 6, Replicas: 1, MinInsync: 1,
	})
	b.p.Consumers = append(b.p.Consumers, plan.Consumer{
		Pos: pos(name), Name: name, Topics: []string{"west/kafka." + topic}, Members: 1, Start: "earliest", Commit: "none", Site: "dc2", Observes: name,
	})
}

func clientsTo(to string, names ...string) plan.Action {
	a := plan.Action{Verb: plan.FailBack}
	if to != "" {
		r := ref(plan.RefMirror, to)
		a = plan.Action{Verb: plan.FailOver, To: &r}
	}
	for _, name := range names {
		kind := plan.RefProducer
		if name == "billing" {
			kind = plan.RefConsumer
		}
		a.Targets = append(a.Targets, ref(kind, name))
	}
	return a
}

func via(site string, s string) plan.Action {
	a := plan.Action{Verb: plan.Reroute, Targets: []plan.Ref{ref(plan.RefProducer, "shop")}, Via: site}
	if s != "" {
		a.UndoAfter = after(s)
	}
	return a
}

func TestMirrors(t *testing.T) {
	runCases(t, []problemCase{
		{"no such cluster",
			func(b *builder) { west(b); b.p.Mirrors[0].To = "wset" },
			[]string{`copy: error: mirror: the plan has no cluster "wset"`}, west},
		{"no such site",
			func(b *builder) { west(b); b.p.Mirrors[0].Site = "dc3" },
			[]string{`copy: error: mirror: the plan has no site "dc3"`}, west},
		{"no such topic",
			func(b *builder) { west(b); b.p.Mirrors[0].Topics = []string{"order"} },
			[]string{`copy: error: mirror: the plan has no topic "order"`}, west},
		{"a topic twice",
			func(b *builder) { west(b); b.p.Mirrors[0].Topics = []string{"orders", "orders"} },
			[]string{"copy: error: mirror: got topic orders twice"}, west},
		{"onto itself",
			func(b *builder) { west(b); b.p.Mirrors[0].To = "kafka" },
			[]string{"copy: error: mirror: for parameter to: got kafka, the cluster of orders itself, want another one"}, west},
		{"no such aspect",
			func(b *builder) {
				west(b)
				b.expect(on(plan.RefMirror, "copy", "identical"), func(t *plan.Term) { t.Aspect = "ordre" }, bound(plan.Equals, 1))
			},
			[]string{`claim-1: error: identical: for parameter aspect: got "ordre", want records, order, partitions, offsets, config or groups`},
			func(b *builder) {
				west(b)
				b.expect(on(plan.RefMirror, "copy", "identical"), func(t *plan.Term) { t.Aspect = "order" }, bound(plan.Equals, 1))
				b.expect(on(plan.RefMirror, "copy", "missing"), bound(plan.None, 0))
			}},
		{"positions that nobody writes",
			func(b *builder) {
				west(b)
				b.p.Mirrors[0].SyncOffsetsEvery = 0
				b.expect(on(plan.RefMirror, "copy", "identical"), func(t *plan.Term) { t.Aspect = "groups" }, bound(plan.Equals, 1))
			},
			[]string{"claim-1: warning: identical: mirror copy syncs no positions, so those of billing are not at west"},
			func(b *builder) {
				west(b)
				b.expect(on(plan.RefMirror, "copy", "identical"), func(t *plan.Term) { t.Aspect = "groups" }, bound(plan.Equals, 1))
			}},
		{"no such mirror",
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copies", "shop"))
				b.expect(on(plan.RefMirror, "copys", "delay"), bound(plan.NeverAbove, 2))
			},
			[]string{
				`away/fail_over: error: fail_over: the plan has no mirror "copies"`,
				`claim-1: error: delay: the plan has no mirror "copys"`,
			},
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copy", "shop"))
				b.expect(on(plan.RefMirror, "copy", "delay"), bound(plan.NeverAbove, 2))
			}},
	})
}

func TestFailOver(t *testing.T) {
	dc2, here := ref(plan.RefSite, "dc2"), ref(plan.RefSite, plan.ImpliedSite)
	shop := ref(plan.RefProducer, "shop")
	runCases(t, []problemCase{
		{"no positions are synced",
			func(b *builder) {
				west(b)
				b.p.Mirrors[0].SyncOffsetsEvery = 0
				b.at("away", "30s", clientsTo("copy", "shop", "billing"))
			},
			[]string{"away/fail_over: warning: fail_over: mirror copy syncs no positions, so billing reads everything again"},
			func(b *builder) {
				west(b)
				b.p.Mirrors[0].SyncOffsetsEvery = 0
				b.at("away", "30s", clientsTo("copy", "shop"))
			}},
		{"no positions, and from the latest",
			func(b *builder) {
				west(b)
				b.p.Mirrors[0].SyncOffsetsEvery, b.consumer().Start = 0, "latest"
				b.at("away", "30s", clientsTo("copy", "billing"))
			},
			[]string{"away/fail_over: warning: fail_over: mirror copy syncs no positions and billing starts at the latest record: what comes before it gets there is skipped"},
			nothing},
		{"from the latest",
			func(b *builder) {
				west(b)
				b.consumer().Start = "latest"
				b.at("away", "30s", clientsTo("copy", "billing"))
			},
			[]string{"away/fail_over: warning: fail_over: billing starts at the latest record: of a topic for which its group has no synced position, what comes before it gets there is skipped"},
			func(b *builder) { west(b); b.at("away", "30s", clientsTo("copy", "billing")) }},
		{"there already",
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copy", "shop"))
				b.at("again", "40s", clientsTo("copy", "shop"))
			},
			[]string{"again/fail_over: error: fail_over: shop is at west already at 40s, since 30s"},
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copy", "shop"))
				b.at("home", "35s", clientsTo("", "shop"))
				b.at("again", "40s", clientsTo("copy", "shop"))
			}},
		{"perhaps there already",
			func(b *builder) { west(b); b.at("home", "40s", clientsTo("", "shop")) },
			[]string{"home/fail_back: error: fail_back: shop is at its own cluster, kafka, at 40s"},
			func(b *builder) {
				west(b)
				b.when("away", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 100)), clientsTo("copy", "shop"))
				b.at("home", "40s", clientsTo("", "shop"))
			}},
		{"to a cluster that is down",
			func(b *builder) {
				west(b)
				b.at("down", "20s", act(plan.Kill, ref(plan.RefBrokers, "west")))
				b.at("away", "30s", clientsTo("copy", "shop"))
			},
			[]string{"away/fail_over: error: fail_over: every broker of west is down at 30s, so shop cannot go there"},
			func(b *builder) {
				west(b)
				b.at("down", "20s", undone(act(plan.Kill, ref(plan.RefBrokers, "west")), "5s"))
				b.at("away", "30s", clientsTo("copy", "shop"))
			}},
		{"back to a cluster that is down",
			func(b *builder) {
				west(b)
				b.at("away", "20s", clientsTo("copy", "shop"))
				b.at("down", "30s", act(plan.PowerOff, broker(1), broker(2), broker(3)))
				b.at("home", "40s", clientsTo("", "shop"))
			},
			[]string{
				"down/power_off: warning: power_off: 3 of 3 voters of kafka are down at 30s, and the quorum goes with them: nothing is elected, fenced or taken out of the in-sync set",
				"home/fail_back: error: fail_back: every broker of kafka is down at 40s, so shop cannot go there",
			},
			nothing},
		{"a client that is away does not talk to its own cluster",
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copy", "shop"))
				b.at("cut", "40s", split(refs(shop), refs(broker(1), broker(2), broker(3))))
			},
			[]string{"cut/netsplit: warning: netsplit: nothing passes between these places anyway: a client talks only to the brokers of its cluster, a mirror to those of two"},
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copy", "shop"))
				b.at("cut", "40s", split(refs(shop), refs(ref(plan.RefBrokers, "west"))))
			}},
		{"a client that is back talks to it again",
			func(b *builder) {
				west(b)
				b.at("away", "20s", clientsTo("copy", "shop"))
				b.at("home", "30s", clientsTo("", "shop"))
				b.at("cut", "40s", split(refs(shop), refs(ref(plan.RefBrokers, "west"))))
			},
			[]string{"cut/netsplit: warning: netsplit: nothing passes between these places anyway: a client talks only to the brokers of its cluster, a mirror to those of two"},
			func(b *builder) {
				west(b)
				b.at("away", "20s", clientsTo("copy", "shop"))
				b.at("home", "30s", clientsTo("", "shop"))
				b.at("cut", "40s", split(refs(shop), refs(broker(1))))
			}},
		{"a mirror talks to both clusters",
			func(b *builder) {
				west(b)
				b.p.Mirrors = nil
				b.at("cut", "40s", split(refs(dc2), refs(here)))
			},
			[]string{"cut/netsplit: warning: netsplit: nothing passes between these places anyway: a client talks only to the brokers of its cluster, a mirror to those of two"},
			func(b *builder) { west(b); b.at("cut", "40s", split(refs(dc2), refs(here))) }},
		{"an observer is no client",
			func(b *builder) { west(b); b.at("none", "40s", scale(2)) },
			[]string{"none/scale: warning: scale: billing has 2 members already at 40s"},
			func(b *builder) { west(b); b.at("more", "40s", scale(3)) }},
		{"members at the mirror's cluster",
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copy", "billing"))
				b.at("more", "40s", scale(13))
			},
			[]string{"more/scale: warning: scale: got 13 members for 12 partitions at 40s: 1 member will be idle"},
			func(b *builder) {
				west(b)
				b.at("away", "30s", clientsTo("copy", "billing"))
				b.at("more", "40s", scale(12))
			}},
	})
}

func TestReroute(t *testing.T) {
	london, here := ref(plan.RefSite, "london"), ref(plan.RefSite, plan.ImpliedSite)
	site := func(b *builder) { b.p.Sites = append(b.p.Sites, plan.Site{Pos: pos("london"), Name: "london"}) }
	runCases(t, []problemCase{
		{"only a relay stands there",
			func(b *builder) { site(b); b.at("cut", "30s", split(refs(london), refs(here))) },
			[]string{
				"cut/netsplit: error: netsplit: nobody stands in london",
				"london: warning: site: nobody stands in london",
			},
			func(b *builder) {
				site(b)
				b.at("round", "20s", via("london", ""))
				b.at("cut", "30s", split(refs(london), refs(here)))
			}},
		{"the relay is gone",
			func(b *builder) {
				site(b)
				b.at("round", "20s", via("london", "10s"))
				b.at("cut", "30s", split(refs(london), refs(here)))
			},
			[]string{"cut/netsplit: error: netsplit: nobody stands in london"},
			func(b *builder) {
				site(b)
				b.at("round", "20s", via("london", "20s"))
				b.at("cut", "30s", split(refs(london), refs(here)))
			}},
		{"perhaps a relay stands there",
			func(b *builder) { site(b); b.at("a", "20s", via("londn", "")) },
			[]string{
				`a/reroute: error: reroute: the plan has no site "londn"`,
				"london: warning: site: nobody stands in london",
			},
			func(b *builder) {
				site(b)
				b.when("round", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 100)), via("london", ""))
				b.at("cut", "30s", split(refs(london), refs(here)))
			}},
		{"its own site",
			func(b *builder) { b.at("a", "20s", via(plan.ImpliedSite, "")) },
			[]string{"a/reroute: warning: reroute: shop stands in default itself, so nothing changes but that it connects anew"},
			func(b *builder) { site(b); b.at("a", "20s", via("london", "")) }},
		{"restored behind the end",
			func(b *builder) { site(b); b.at("a", "20s", via("london", "90s")) },
			[]string{"a/reroute: warning: reroute: restore_after ends at 1m50s, but everything is healed at 1m30s, the end of the run"},
			func(b *builder) { site(b); b.at("a", "20s", via("london", "60s")) }},
	})
}

// secure gives the cluster a user as whom all clients log in.
func secure(b *builder) {
	b.p.Clusters[0].Auth = "plain"
	b.p.Users = []plan.User{{Pos: pos("alice"), Name: "alice", Cluster: "kafka", Password: "secret", Rights: []plan.ACL{
		{Operation: "Write", Resource: "topic", Name: "orders", Host: "*"},
	}}}
	b.producer().User, b.consumer().User = "alice", "alice"
}

func right(v plan.Verb, operation, resource, name string) plan.Action {
	return plan.Action{
		Verb: v, Targets: []plan.Ref{ref(plan.RefUser, "alice")},
		ACL: &plan.ACL{Operation: operation, Resource: resource, Name: name, Host: "*"},
	}
}

func TestUsers(t *testing.T) {
	runCases(t, []problemCase{
		{"no such user",
			func(b *builder) { secure(b); b.producer().User = "alise" },
			[]string{`shop: error: producer: the plan has no user "alise"`}, secure},
		{"no such cluster",
			func(b *builder) { b.p.Users = []plan.User{{Pos: pos("alice"), Name: "alice", Cluster: "kafak"}} },
			[]string{`alice: error: user: the plan has no cluster "kafak"`}, secure},
		{"a right to the wrong user",
			func(b *builder) {
				secure(b)
				a := right(plan.Allow, "Read", "topic", "orders")
				a.Targets[0].Name = "bob"
				b.at("a", "30s", a)
			},
			[]string{`a/allow: error: allow: the plan has no user "bob"`},
			func(b *builder) { secure(b); b.at("a", "30s", right(plan.Allow, "Read", "topic", "orders")) }},
		{"allowed already",
			func(b *builder) { secure(b); b.at("a", "30s", right(plan.Allow, "Write", "topic", "orders")) },
			[]string{"a/allow: warning: allow: alice may Write on topic orders already at 30s"},
			func(b *builder) {
				secure(b)
				b.at("a", "20s", right(plan.Revoke, "Write", "topic", "orders"))
				b.at("b", "30s", right(plan.Allow, "Write", "topic", "orders"))
			}},
		{"denied already",
			func(b *builder) {
				secure(b)
				b.at("a", "20s", right(plan.Deny, "Write", "topic", "orders"))
				b.at("b", "30s", right(plan.Deny, "Write", "topic", "orders"))
			},
			[]string{"b/deny: warning: deny: alice is denied Write on topic orders already at 30s"},
			func(b *builder) { secure(b); b.at("a", "0s", right(plan.Deny, "Write", "topic", "orders")) }},
		{"taken and given at once",
			func(b *builder) {
				secure(b)
				b.at("a", "20s", right(plan.Revoke, "Write", "topic", "orders"))
				b.at("b", "20s", right(plan.Allow, "Write", "topic", "orders"))
			},
			[]string{"b/allow: warning: allow: at 20s there is a revoke of alice Write on topic orders as well, and which comes first nobody knows"},
			func(b *builder) {
				secure(b)
				b.at("a", "20s", right(plan.Revoke, "Write", "topic", "orders"))
				b.at("b", "21s", right(plan.Allow, "Write", "topic", "orders"))
				b.at("c", "30s", right(plan.Revoke, "Write", "topic", "orders"), right(plan.Allow, "Write", "topic", "orders")) // in this order
			}},
		{"revoke of nothing",
			func(b *builder) { secure(b); b.at("a", "30s", right(plan.Revoke, "Read", "group", "billing")) },
			[]string{"a/revoke: error: revoke: at 30s nothing allows or denies alice Read on group billing"},
			func(b *builder) {
				secure(b)
				b.when("w", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 100)), right(plan.Allow, "Read", "group", "billing"))
				b.at("a", "30s", right(plan.Revoke, "Read", "group", "billing"))
			}},
		{"no such topic",
			func(b *builder) { secure(b); b.at("a", "30s", right(plan.Allow, "Read", "topic", "order")) },
			[]string{"a/allow: warning: allow: kafka has no topic order in this scenario"},
			func(b *builder) { secure(b); b.at("a", "30s", right(plan.Allow, "Read", "topic", "*")) }},
		{"no such group",
			func(b *builder) { secure(b); b.at("a", "30s", right(plan.Allow, "Read", "group", "biling")) },
			[]string{"a/allow: warning: allow: kafka has no group biling in this scenario"},
			func(b *builder) { secure(b); b.at("a", "30s", right(plan.Allow, "Read", "group", "billing")) }},
		{"transactions want their own right",
			func(b *builder) { secure(b); b.producer().Transaction, b.producer().Idempotent = 50, true },
			[]string{"shop: warning: producer: transaction needs Write on its transactional id, and nothing gives alice that"},
			func(b *builder) {
				secure(b)
				b.producer().Transaction, b.producer().Idempotent = 50, true
				b.at("a", "0s", right(plan.Allow, "Write", "transactional_id", "*"))
			}},
	})
}

func TestDedup(t *testing.T) {
	mark := func(per string, change func(*builder)) func(*builder) {
		return func(b *builder) {
			b.consumer().Dedup = &plan.Dedup{Kind: "high_water", Per: per}
			change(b)
		}
	}
	members := func(n int, owns bool) func(*builder) {
		return func(b *builder) { b.producer().Members, b.producer().Owns = n, owns }
	}
	one := func(b *builder) { b.topic().Partitions, b.consumer().Members = 1, 1 }
	const said = "billing: warning: consumer: for parameter dedup: a high-water mark per "
	runCases(t, []problemCase{
		{"partition, several members", mark("partition", members(3, false)),
			[]string{said + "partition drops good records: 3 producer members count by themselves and write the same partitions of orders"},
			mark("partition", members(3, true))},
		{"partition, several producers",
			mark("partition", func(b *builder) {
				x := *b.producer()
				x.Name, x.Pos, x.Owns = "web", pos("web"), true
				b.producer().Owns = true
				b.p.Producers = append(b.p.Producers, x)
			}),
			[]string{said + "partition drops good records: 2 producer members count by themselves and write the same partitions of orders"},
			mark("partition", nothing)},
		{"topic, several partitions", mark("topic", nothing),
			[]string{said + "topic drops good records: the partitions of orders are not read in one order"},
			mark("topic", one)},
		{"topic, several members", mark("topic", func(b *builder) { one(b); members(2, false)(b) }),
			[]string{said + "topic drops good records: 2 producer members count by themselves and write orders"},
			mark("topic", one)},
		{"producer, several partitions", mark("producer", members(6, false)),
			[]string{said + "producer drops good records: a producer member writes several partitions of orders, which are not read in one order"},
			mark("producer", members(6, true))},
		{"producer, more partitions than members", mark("producer", members(3, true)),
			[]string{said + "producer drops good records: a producer member writes several partitions of orders, which are not read in one order"},
			mark("producer", func(b *builder) { one(b); members(2, false)(b) })},
		{"available and one partition",
			func(b *builder) { one(b); b.producer().Partitioner = "available" },
			[]string{`shop: warning: producer: for parameter partitioner: got "available", but orders has 1 partition, so there is no other`},
			func(b *builder) { b.producer().Partitioner = "available" }},
	})
}

func TestAdmin(t *testing.T) {
	again := func(to string) plan.Action {
		r := ref(plan.RefTopic, to)
		return plan.Action{Verb: plan.Replay, Targets: []plan.Ref{ref(plan.RefTopic, "orders")}, To: &r}
	}
	tool := func(name string, args ...string) plan.Action {
		return plan.Action{Verb: plan.Tool, Targets: []plan.Ref{ref(plan.RefCluster, "kafka")}, Tool: name, Args: args}
	}
	second := func(b *builder) {
		b.p.Topics = append(b.p.Topics, plan.Topic{Pos: pos("copies"), Name: "copies", Cluster: "kafka", Partitions: 6, Replicas: 3, MinInsync: 2})
	}
	reset := func(kind plan.OffsetKind, at map[int]int64) plan.Action {
		return plan.Action{Verb: plan.ResetOffsets, Targets: []plan.Ref{ref(plan.RefConsumer, "billing")}, Offsets: &plan.Offsets{Kind: kind, ByPartition: at}}
	}
	stop := func(b *builder) { b.at("stop", "20s", scale(0)) }
	rate := term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 100))
	runCases(t, []problemCase{
		{"onto itself",
			func(b *builder) { b.at("a", "30s", again("orders")) },
			[]string{"a/replay: warning: replay: orders gets each of its own records a second time"},
			func(b *builder) { second(b); b.at("a", "30s", again("copies")) }},
		{"to no topic",
			func(b *builder) { b.at("a", "30s", again("copys")) },
			[]string{`a/replay: error: replay: the plan has no topic "copys"`}, nothing},
		{"a replayed topic is written",
			func(b *builder) { second(b); b.consumer().Topics = []string{"copies"} },
			[]string{"billing: warning: consumer: no producer writes to copies"},
			func(b *builder) {
				second(b)
				b.consumer().Topics = []string{"copies"}
				b.at("a", "30s", again("copies"))
			}},
		{"deleted under its producer",
			func(b *builder) { b.at("a", "30s", act(plan.Delete, ref(plan.RefTopic, "orders"))) },
			[]string{"a/delete: warning: delete: shop still writes to orders at 30s"},
			func(b *builder) {
				b.at("s", "20s", plan.Action{Verb: plan.Scale, Targets: []plan.Ref{ref(plan.RefProducer, "shop")}})
				b.at("a", "30s", act(plan.Delete, ref(plan.RefTopic, "orders")))
			}},
		{"perhaps deleted",
			func(b *builder) { second(b); b.at("a", "30s", act(plan.Delete, ref(plan.RefTopic, "copys"))) },
			[]string{`a/delete: error: delete: the plan has no topic "copys"`},
			func(b *builder) {
				second(b)
				b.when("w", rate, act(plan.Delete, ref(plan.RefTopic, "copies")))
				b.at("a", "30s", act(plan.Delete, ref(plan.RefTopic, "copies")))
				b.at("b", "40s", again("copies"))
			}},
		{"a group that runs",
			func(b *builder) { b.at("a", "30s", reset(plan.OffsetsEarliest, nil)) },
			[]string{"a/reset_offsets: error: reset_offsets: the group of billing still runs at 30s: it has 2 members, and Kafka moves only a group without any"},
			func(b *builder) { stop(b); b.at("a", "30s", reset(plan.OffsetsEarliest, nil)) }},
		{"a group that perhaps runs",
			func(b *builder) { b.when("w", rate, reset(plan.OffsetsGiven, map[int]int64{6: 0})) },
			[]string{"w/reset_offsets: error: reset_offsets: got partition 6 of orders, want 0 to 5 at this time"},
			func(b *builder) { stop(b); b.when("w", rate, reset(plan.OffsetsGiven, map[int]int64{5: 0})) }},
		{"a group that always runs",
			func(b *builder) { b.when("w", rate, reset(plan.OffsetsLatest, nil)) },
			[]string{"w/reset_offsets: error: reset_offsets: nothing ever stops billing, and Kafka moves only a group without members"},
			func(b *builder) { stop(b); b.when("w", rate, reset(plan.OffsetsLatest, nil)) }},
		{"no such consumer",
			func(b *builder) {
				a := reset(plan.OffsetsLatest, nil)
				a.Targets[0].Name = "biling"
				b.at("a", "30s", a)
			},
			[]string{`a/reset_offsets: error: reset_offsets: the plan has no consumer "biling"`}, nothing},
		{"a tool that goes on",
			func(b *builder) { b.at("a", "30s", tool("kafka-replica-verification")) },
			[]string{"a/tool: warning: tool: kafka-replica-verification goes on until it is ended, which the engine does after a while"},
			func(b *builder) {
				b.at("a", "30s", tool("kafka-console-consumer", "--topic", "orders", "--max-messages=1"))
			}},
		{"a tool of another release",
			func(b *builder) { b.p.Clusters[0].Version = "3.9.1"; b.when("w", rate, tool("kafka-groups")) },
			[]string{"w/tool: error: tool: Kafka 3.9.1 has no kafka-groups: it comes with Kafka 4"},
			func(b *builder) { b.p.Clusters[0].Version = "4.3.1"; b.when("w", rate, tool("kafka-groups")) }},
		{"a tool takes no node down",
			func(b *builder) { b.at("a", "30s", act(plan.StartNode, broker(1))) },
			[]string{"a/start: error: start: kafka-1 is running already at 30s"},
			func(b *builder) { b.when("w", rate, tool("kafka-topics")) }},
		{"a tool of no cluster",
			func(b *builder) {
				x := tool("kafka-topics")
				x.Targets[0].Name = "kafak"
				b.at("a", "30s", x)
			},
			[]string{`a/tool: error: tool: the plan has no cluster "kafak"`}, nothing},
	})
}

// TestObserversAreNoBusinessOfSpeed: what a mirror brings with it has no claims,
// so a run at speed says nothing of it.
func TestObserversAreNoBusinessOfSpeed(t *testing.T) {
	b := newBuilder()
	west(b)
	if got := said(model.CheckSpeed(b.p, 10)); len(got) > 0 {
		t.Errorf("got %q, want nothing", got)
	}
}
