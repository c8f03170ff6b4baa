package model_test

import (
	"testing"

	"starfall/interp/plan"
)

func TestTimeline(t *testing.T) {
	note := act(plan.Note)
	runCases(t, []problemCase{
		{"event after the end",
			func(b *builder) { b.at("late", "90s", note) },
			[]string{"late: error: at: this is at 1m30s, but the run ends at 1m30s"},
			func(b *builder) { b.at("late", "89s", note) }},
		{"follower of an event after the end",
			func(b *builder) {
				b.at("outage", "50s", undone(act(plan.Kill, broker(1)), "30s"))
				b.atEdge("late", "outage", plan.End, "20s", note)
				b.atEdge("later", "late", plan.Start, "20s", note) // no noise
			},
			[]string{"late: error: at: this is at 1m40s, but the run ends at 1m30s"},
			func(b *builder) {
				b.at("outage", "50s", undone(act(plan.Kill, broker(1)), "30s"))
				b.atEdge("late", "outage", plan.End, "5s", note)
			}},
		{"before load",
			func(b *builder) {
				b.at("outage", "30s", undone(act(plan.Kill, broker(1)), "30s"))
				b.atEdge("early", "outage", plan.Start, "-40s", note)
			},
			[]string{"early: error: at: this would be 10s before load starts"},
			func(b *builder) {
				b.at("outage", "30s", undone(act(plan.Kill, broker(1)), "30s"))
				b.atEdge("early", "outage", plan.Start, "-20s", note)
			}},
		{"undone at once",
			func(b *builder) {
				b.at("a", "20s", undone(act(plan.Kill, broker(1)), "0s"))
				b.at("b", "30s", act(plan.StartNode, broker(1)))
			},
			[]string{"b/start: error: start: kafka-1 is running already at 30s, since 20s"},
			func(b *builder) {
				b.at("a", "20s", undone(act(plan.Kill, broker(1)), "0s"))
				b.at("b", "30s", undone(act(plan.Kill, broker(2)), "5s")) // the quorum is whole
				b.atEdge("c", "a", plan.End, "5s", note)
			}},
		{"undo after the end",
			func(b *builder) { b.at("outage", "70s", undone(act(plan.Kill, broker(1)), "30s")) },
			[]string{"outage/kill: warning: kill: restart_after ends at 1m40s, but everything is healed at 1m30s, the end of the run"},
			func(b *builder) { b.at("outage", "60s", undone(act(plan.Kill, broker(1)), "30s")) }},
		{"waits for an end that never comes",
			func(b *builder) {
				b.at("outage", "30s", act(plan.Kill, broker(1)))
				b.atEdge("then", "outage", plan.End, "5s", note)
				b.atEdge("and", "then", plan.Start, "5s", note) // no noise
			},
			[]string{"then: error: at: outage never ends: nothing undoes its kill"},
			func(b *builder) {
				b.at("outage", "30s", act(plan.Kill, broker(1)))
				b.at("undo", "40s", act(plan.StartNode, broker(1)))
				b.atEdge("then", "outage", plan.End, "5s", note)
			}},
		{"waits for what it brings about",
			func(b *builder) {
				b.at("outage", "30s", act(plan.Kill, broker(1)))
				b.atEdge("undo", "outage", plan.End, "5s", act(plan.StartNode, hit("outage")))
			},
			[]string{"undo: error: at: this waits for the end of outage, which ends only with this start"},
			func(b *builder) {
				b.at("outage", "30s", act(plan.Kill, broker(1)))
				b.atEdge("undo", "outage", plan.Start, "5s", act(plan.StartNode, hit("outage")))
			}},
		{"events wait for each other",
			func(b *builder) {
				b.atEdge("a", "c", plan.End, "5s", note)
				b.atEdge("b", "a", plan.Start, "5s", note)
				b.atEdge("c", "b", plan.Start, "5s", note)
				b.atEdge("d", "c", plan.Start, "5s", note) // no noise
			},
			[]string{"a: error: at: the events wait for each other: a after c after b after a"},
			func(b *builder) {
				b.at("a", "5s", note)
				b.atEdge("b", "a", plan.Start, "5s", note)
				b.atEdge("c", "b", plan.Start, "5s", note)
			}},
		{"waits for itself",
			func(b *builder) { b.atEdge("a", "a", plan.Start, "5s", note) },
			[]string{"a: error: at: the events wait for each other: a after a"}, nothing},
		{"before an end that nobody knows",
			func(b *builder) {
				b.at("outage", "30s", act(plan.Kill, broker(1)))
				b.at("undo", "40s", act(plan.StartNode, hit("outage")))
				b.atEdge("early", "outage", plan.End, "-5s", note)
			},
			[]string{"early: error: at: this would be at 35s, but when outage comes is known only at 40s"},
			func(b *builder) {
				b.at("outage", "30s", undone(act(plan.Kill, broker(1)), "10s"))
				b.atEdge("early", "outage", plan.End, "-5s", note)
			}},
		{"unknown event",
			func(b *builder) { b.at("outage", "30s", note); b.atEdge("then", "outages", plan.Start, "5s", note) },
			[]string{`then: error: at: the plan has no event "outages"`}, nothing},
		{"every after until",
			func(b *builder) { b.every("tick", "5s", "40s", "30s", note) },
			[]string{"tick: error: every: the first time is 40s, want before until, 30s"},
			func(b *builder) { b.every("tick", "5s", "30s", "40s", note) }},
		{"every beyond the run",
			func(b *builder) { b.every("tick", "5s", "40s", "2m", note) },
			[]string{"tick: warning: every: for parameter until: got 2m, but the run ends at 1m30s"},
			func(b *builder) { b.every("tick", "5s", "40s", "90s", note) }},
		{"every moment",
			func(b *builder) { b.every("tick", "1ms", "40s", "90s", note) },
			[]string{"tick: error: every: this fires 50000 times, want at most 10000"},
			func(b *builder) { b.every("tick", "10ms", "40s", "90s", note) }},
		{"every without interval",
			func(b *builder) { b.every("tick", "0s", "40s", "90s", note) },
			[]string{"tick: error: every: for parameter interval: got 0s, want a length of time"}, nothing},
		{"when after the run",
			func(b *builder) {
				b.p.Scenario.RunFor = dur("30s")
				b.when("low", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), note)
			},
			[]string{"low: warning: when: for parameter within: got 1m, but the run ends at 30s"},
			func(b *builder) {
				b.when("low", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), note)
			}},
		{"before an event of unknown time",
			func(b *builder) {
				b.when("low", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), note)
				b.atEdge("early", "low", plan.Start, "-5s", note)
			},
			[]string{"early: error: at: nobody knows beforehand when low comes, so nothing can be 5s before it"},
			func(b *builder) {
				b.when("low", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), undone(act(plan.Kill, leader(0)), "10s"))
				b.atEdge("early", "low", plan.End, "-5s", note)
			}},
		{"end of an event of unknown time that never comes",
			func(b *builder) {
				b.when("low", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), act(plan.Kill, broker(1)))
				b.atEdge("then", "low", plan.End, "5s", note)
			},
			[]string{"then: error: at: low never ends: nothing undoes its kill"},
			func(b *builder) {
				b.when("low", term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800)), act(plan.Kill, broker(1)))
				b.atEdge("undo", "low", plan.Start, "5s", act(plan.StartNode, hit("low")))
				b.atEdge("then", "low", plan.End, "5s", note)
			}},
	})
}

func TestNodes(t *testing.T) {
	kill1 := act(plan.Kill, broker(1))
	any := ref(plan.RefAnyBroker, "kafka")
	five := func(b *builder) { b.cluster("kafka", 5, 0) }
	low := term(on(plan.RefProducer, "shop", "rate"), bound(plan.NeverBelow, 800))
	runCases(t, []problemCase{
		{"start what runs",
			func(b *builder) { b.at("a", "30s", act(plan.StartNode, broker(1))) },
			[]string{"a/start: error: start: kafka-1 is running already at 30s"},
			func(b *builder) { b.at("a", "20s", kill1); b.at("b", "30s", act(plan.StartNode, broker(1))) }},
		{"start what is back",
			func(b *builder) {
				b.at("a", "20s", undone(kill1, "10s"))
				b.at("b", "30s", act(plan.StartNode, broker(1)))
			},
			[]string{"b/start: error: start: kafka-1 is running already at 30s, since 30s"},
			func(b *builder) {
				b.at("a", "20s", undone(kill1, "20s"))
				b.at("b", "30s", act(plan.StartNode, broker(1)))
				b.at("c", "35s", undone(kill1, "20s"))
			}},
		{"start of a handle that is back",
			func(b *builder) {
				b.at("a", "20s", undone(kill1, "10s"))
				b.at("b", "40s", act(plan.StartNode, hit("a")))
			},
			[]string{"b/start: error: start: what a hit is running already at 40s, since 30s"},
			func(b *builder) {
				b.at("a", "20s", act(plan.Kill, leader(0)))
				b.at("b", "40s", act(plan.StartNode, hit("a")))
				b.at("c", "50s", act(plan.Kill, leader(0)))
				b.at("d", "60s", act(plan.StartNode, hit("c")))
			}},
		{"start of what is to come",
			func(b *builder) {
				b.at("a", "40s", kill1)
				b.at("b", "30s", act(plan.StartNode, hit("a")))
			},
			[]string{"b/start: error: start: a has not happened yet at 30s: it is at 40s"}, nothing},
		{"start of a cut",
			func(b *builder) {
				b.at("a", "20s", split(refs(broker(1))))
				b.at("b", "30s", act(plan.StartNode, hit("a")))
			},
			[]string{"b/start: error: start: a did netsplit, want an event that took nodes down"},
			func(b *builder) {
				b.at("a", "20s", split(refs(broker(1))))
				b.at("b", "30s", act(plan.Heal, hit("a")))
			}},
		{"start of a note",
			func(b *builder) {
				b.at("a", "20s", act(plan.Note))
				b.at("b", "30s", act(plan.StartNode, hit("a")))
			},
			[]string{"b/start: error: start: a did note, want an event that took nodes down"}, nothing},
		{"start of the frozen",
			func(b *builder) {
				b.at("a", "20s", act(plan.Pause, broker(1)))
				b.at("b", "30s", act(plan.StartNode, broker(1)))
			},
			[]string{"b/start: error: start: kafka-1 is paused, not down at 30s, since a at 20s"},
			func(b *builder) {
				b.at("a", "20s", act(plan.Pause, broker(1)))
				b.at("b", "30s", act(plan.Resume, broker(1)))
			}},
		{"start of a selector",
			func(b *builder) { b.at("a", "20s", act(plan.StartNode, any)) },
			[]string{"a/start: error: start: kafka.any_broker() finds a node that is running"}, nothing},
		{"resume what goes on",
			func(b *builder) { b.at("a", "20s", act(plan.Resume, broker(1))) },
			[]string{"a/resume: error: resume: kafka-1 is not paused at 20s"},
			func(b *builder) {
				b.at("a", "10s", act(plan.Pause, leader(0)))
				b.at("b", "20s", act(plan.Resume, hit("a")))
			}},
		{"resume the dead",
			func(b *builder) { b.at("a", "20s", kill1); b.at("b", "30s", act(plan.Resume, broker(1))) },
			[]string{"b/resume: error: resume: kafka-1 is down, not paused at 30s, since a at 20s"}, nothing},
		{"kill the dead",
			func(b *builder) { b.at("a", "20s", kill1); b.at("b", "30s", act(plan.Kill, broker(1))) },
			[]string{"b/kill: error: kill: kafka-1 is already down at 30s, since a at 20s"},
			func(b *builder) {
				b.at("a", "20s", undone(act(plan.Kill, broker(1)), "10s"))
				b.at("b", "30s", act(plan.Kill, broker(1)))
			}},
		{"kill again and again",
			func(b *builder) { b.every("a", "10s", "20s", "60s", kill1) },
			[]string{"a/kill: error: kill: kafka-1 is already down at 30s, since a at 20s"},
			func(b *builder) { b.every("a", "10s", "20s", "60s", undone(act(plan.Kill, broker(1)), "5s")) }},
		{"power off the dead",
			func(b *builder) {
				b.at("a", "20s", act(plan.PowerOff, broker(1)))
				b.at("b", "30s", act(plan.PowerOff, broker(1)))
			},
			[]string{"b/power_off: error: power_off: kafka-1 is already off at 30s, since a at 20s"},
			func(b *builder) { b.at("a", "20s", kill1); b.at("b", "30s", act(plan.PowerOff, broker(1))) }},
		{"stop the frozen",
			func(b *builder) {
				b.at("a", "20s", act(plan.Pause, broker(1)))
				b.at("b", "30s", act(plan.Stop, broker(1)))
			},
			[]string{"b/stop: error: stop: kafka-1 is paused and cannot shut down in order at 30s, since a at 20s"},
			func(b *builder) {
				b.at("a", "20s", undone(act(plan.Pause, broker(1)), "20s"))
				b.at("b", "30s", undone(kill1, "40s"))
			}},
		{"pause the dead",
			func(b *builder) { b.at("a", "20s", kill1); b.at("b", "30s", act(plan.Pause, broker(1))) },
			[]string{"b/pause: error: pause: kafka-1 is down at 30s, since a at 20s"}, nothing},
		{"restart of the dead",
			func(b *builder) {
				b.at("a", "20s", kill1)
				b.at("b", "30s", plan.Action{Verb: plan.Restart, Targets: refs(broker(1)), DownFor: dur("5s")})
			},
			[]string{"b/restart: error: restart: kafka-1 is already down at 30s, since a at 20s"},
			func(b *builder) {
				b.at("b", "30s", plan.Action{Verb: plan.Restart, Targets: refs(broker(1)), DownFor: dur("5s")})
				b.at("c", "36s", plan.Action{Verb: plan.Restart, Targets: refs(broker(1)), DownFor: dur("5s")})
			}},
		{"broker out of range",
			func(b *builder) { b.at("a", "20s", act(plan.Kill, broker(4))) },
			[]string{"a/kill: error: kill: got broker 4, want 1 to 3, the brokers of kafka"},
			func(b *builder) { b.at("a", "20s", act(plan.Kill, broker(3))) }},
		{"no separate controller",
			func(b *builder) {
				b.at("a", "20s", act(plan.Kill, plan.Ref{Kind: plan.RefCtlNode, Name: "kafka", Index: 1}))
			},
			[]string{"a/kill: error: kill: kafka has no separate controller"},
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, plan.Ref{Kind: plan.RefCtlNode, Name: "kafka", Index: 3}))
			}},
		{"controller out of range",
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, plan.Ref{Kind: plan.RefCtlNode, Name: "kafka", Index: 4}))
			},
			[]string{"a/kill: error: kill: got separate controller 4 of kafka, want 1 to 3"}, nothing},
		{"follower of a lone leader",
			func(b *builder) {
				b.topic().Replicas, b.topic().MinInsync = 1, 1
				b.at("a", "20s", act(plan.Kill, plan.Ref{Kind: plan.RefFollower, Name: "orders"}))
			},
			[]string{"a/kill: error: kill: orders has 1 replica a partition, so no followers"},
			func(b *builder) { b.at("a", "20s", act(plan.Kill, plan.Ref{Kind: plan.RefFollower, Name: "orders"})) }},
		{"nobody left to choose",
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.every("a", "10s", "20s", "60s", act(plan.Kill, any))
			},
			[]string{
				"a/kill: error: kill: kafka.any_broker() finds no node at 50s: all are down",
				"a/kill: warning: kill: every broker of kafka is down at 40s",
			},
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.every("a", "10s", "20s", "40s", act(plan.Kill, any))
			}},
		{"quorum goes",
			func(b *builder) {
				b.at("a", "20s", act(plan.Kill, leader(0)))
				b.at("b", "30s", act(plan.Kill, any))
			},
			[]string{"b/kill: warning: kill: 2 of 3 voters of kafka are down at 30s, and the quorum goes with them: nothing is elected, fenced or taken out of the in-sync set"},
			func(b *builder) {
				five(b)
				b.at("a", "20s", act(plan.Kill, leader(0)))
				b.at("b", "30s", act(plan.Kill, any))
			}},
		{"quorum goes at once",
			func(b *builder) { b.at("a", "20s", undone(act(plan.Kill, broker(1), broker(2)), "10s")) },
			[]string{"a/kill: warning: kill: 2 of 3 voters of kafka are down at 20s, and the quorum goes with them: nothing is elected, fenced or taken out of the in-sync set"},
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", undone(act(plan.Kill, broker(1), broker(2)), "10s"))
			}},
		{"every broker is down",
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", undone(act(plan.Stop, ref(plan.RefBrokers, "kafka")), "10s"))
			},
			[]string{"a/stop: warning: stop: every broker of kafka is down at 20s"},
			func(b *builder) { // of one broker nothing else can be expected
				b.cluster("kafka", 1, 0)
				b.topic().Replicas, b.topic().MinInsync = 1, 1
				b.at("a", "20s", undone(act(plan.Stop, ref(plan.RefBrokers, "kafka")), "10s"))
			}},
		{"the only broker is known to be hit",
			func(b *builder) {
				b.cluster("kafka", 1, 0)
				b.topic().Replicas, b.topic().MinInsync = 1, 1
				b.at("a", "20s", act(plan.Kill, leader(0)))
				b.at("b", "30s", act(plan.Pause, broker(1)))
			},
			[]string{"b/pause: error: pause: kafka-1 is down at 30s, since a at 20s"},
			func(b *builder) { // of three it is not known
				b.at("a", "20s", act(plan.Kill, leader(0)))
				b.at("b", "30s", undone(act(plan.Pause, broker(1)), "10s"))
				b.at("c", "50s", act(plan.StartNode, broker(1)))
			}},
		{"no controller left",
			func(b *builder) {
				b.cluster("kafka", 3, 1)
				b.at("a", "20s", act(plan.Kill, ref(plan.RefControl, "kafka")))
				b.at("b", "30s", act(plan.Kill, ref(plan.RefControl, "kafka")))
			},
			[]string{"b/kill: error: kill: kafka-controller-1 is already down at 30s, since a at 20s"},
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, ref(plan.RefControl, "kafka")))
				b.at("b", "30s", act(plan.StartNode, hit("a")))
			}},
		{"coordinator among the dead",
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, broker(1), broker(2)))
				b.at("b", "30s", act(plan.Kill, ref(plan.RefCoord, "billing")))
				b.at("c", "40s", act(plan.Kill, broker(3)))
			},
			[]string{
				"b/kill: warning: kill: every broker of kafka is down at 30s",
				"c/kill: error: kill: kafka-3 is already down at 40s, since b at 30s",
			},
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, broker(1)))
				b.at("b", "30s", act(plan.Kill, ref(plan.RefCoord, "billing")))
				b.at("c", "40s", undone(act(plan.Pause, broker(3)), "5s"))
			}},
		{"all replicas",
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, ref(plan.RefReplicas, "orders")))
				b.at("b", "30s", act(plan.StartNode, ref(plan.RefBrokers, "kafka")))
				b.at("c", "40s", act(plan.StartNode, ref(plan.RefReplicas, "orders")))
			},
			[]string{
				"a/kill: warning: kill: every broker of kafka is down at 20s",
				"c/start: error: start: kafka-1 is running already at 40s, since 30s",
			},
			func(b *builder) { // two of three brokers, nobody knows which
				b.cluster("kafka", 3, 3)
				b.topic().Replicas = 2
				b.at("a", "20s", act(plan.Kill, ref(plan.RefReplicas, "orders")))
				b.at("c", "40s", act(plan.StartNode, ref(plan.RefReplicas, "orders")))
				b.at("d", "50s", act(plan.Kill, leader(0)))
			}},
		{"resume of a leader that goes on",
			func(b *builder) { b.at("a", "20s", act(plan.Resume, leader(0))) },
			[]string{"a/resume: error: resume: orders.leader(partition = 0) finds no paused node at 20s"},
			func(b *builder) { // frozen, it leads until it is fenced
				b.at("a", "20s", act(plan.Pause, leader(0)))
				b.at("b", "22s", act(plan.Resume, leader(0)))
				b.at("c", "40s", undone(act(plan.Kill, broker(1)), "5s"))
			}},
		{"all nodes of a site",
			func(b *builder) {
				twoSites(b)
				b.at("a", "20s", act(plan.PowerOff, ref(plan.RefSite, "home")))
			},
			[]string{"a/power_off: error: power_off: no broker stands in home"},
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				twoSites(b)
				for i := range b.p.Clusters[0].Nodes {
					if i == 0 {
						b.p.Clusters[0].Nodes[i].Site = "home"
					}
				}
				b.at("a", "20s", undone(act(plan.PowerOff, ref(plan.RefSite, "home")), "5s"))
				b.at("b", "30s", act(plan.Kill, broker(1)))
			}},
		{"frozen, then killed",
			func(b *builder) {
				b.at("a", "20s", undone(act(plan.Pause, broker(1)), "30s"))
				b.at("b", "30s", act(plan.Kill, broker(1)))
				b.at("c", "60s", act(plan.Kill, broker(1))) // a's resume does not bring it back
			},
			[]string{"c/kill: error: kill: kafka-1 is already down at 1m, since b at 30s"},
			func(b *builder) {
				b.at("a", "20s", undone(act(plan.Pause, broker(1)), "30s"))
				b.at("b", "30s", undone(act(plan.Kill, broker(1)), "10s"))
				b.at("c", "60s", act(plan.Kill, broker(1)))
			}},
		{"some of a list are down",
			func(b *builder) {
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, broker(1)))
				b.at("b", "30s", act(plan.StartNode, broker(1), broker(2)))
			},
			[]string{"b/start: error: start: kafka-2 is running already at 30s"},
			func(b *builder) { // a word that means several nodes asks for none of them in particular
				b.cluster("kafka", 3, 3)
				b.at("a", "20s", act(plan.Kill, broker(1)))
				b.at("b", "30s", act(plan.StartNode, ref(plan.RefBrokers, "kafka")))
			}},
		{"unknown time, what a handle hit",
			func(b *builder) {
				b.at("a", "20s", act(plan.Kill, broker(1)))
				b.when("w", low, act(plan.Heal, hit("a")))
			},
			[]string{"w/heal: error: heal: a did kill, want an event that worsened a path"},
			func(b *builder) {
				b.at("a", "20s", act(plan.Kill, broker(1)))
				b.when("w", low, act(plan.StartNode, hit("a")))
				b.at("b", "50s", act(plan.StartNode, hit("a")))
				b.atEdge("c", "a", plan.End, "5s", act(plan.Kill, broker(1)))
			}},
		{"unknown time, changes",
			func(b *builder) {
				b.when("w", low, act(plan.Crash, member(3)), plan.Action{Verb: plan.Elect, Targets: refs(ref(plan.RefTopic, "orders")), Partition: 6})
			},
			[]string{
				"w/crash: error: crash: got member 3 of billing, want 1 to 2 at any time",
				"w/elect: error: elect: got partition 6 of orders, want 0 to 5 at this time",
			},
			func(b *builder) {
				b.when("w", low, scale(3), configure(ref(plan.RefTopic, "orders"), "min.insync.replicas", "1"))
				b.atEdge("x", "w", plan.Start, "5s", act(plan.Crash, member(3)))
				b.at("y", "30s", undone(act(plan.Crash, member(3)), "5s"))
				b.expect(members, bound(plan.AtMost, 3))
			}},
		{"unknown time, unknown node",
			func(b *builder) {
				b.at("a", "20s", kill1)
				b.at("b", "30s", act(plan.Kill, broker(1)))
			},
			[]string{"b/kill: error: kill: kafka-1 is already down at 30s, since a at 20s"},
			func(b *builder) {
				b.when("w", low, act(plan.StartNode, broker(1)))
				b.at("a", "20s", kill1)
				b.at("b", "30s", act(plan.Kill, broker(1)))
			}},
		{"unknown time, wrong node",
			func(b *builder) { b.when("w", low, act(plan.Kill, broker(4))) },
			[]string{"w/kill: error: kill: got broker 4, want 1 to 3, the brokers of kafka"},
			func(b *builder) { b.when("w", low, undone(act(plan.Kill, broker(3)), "5s")) }},
	})
}
