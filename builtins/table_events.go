// This file defines the table's rows for happenings and verbs.

package builtins

import "starfall/interp/plan"

func happeningWords() []Word {
	actions := Param{Name: "actions", Type: TypeAction, Star: true, Required: true, Help: "what is done, all at once"}
	return []Word{
		{
			Name: "at", Kind: Function, Family: Happenings, Position: 2, Returns: TypeEvent, run: runAt,
			Params: []Param{
				{Name: "when", Type: TypeInstant, Required: true, Help: "a duration after the start of load, or an instant such as outage.end + 10 * second"},
				actions, nameParam(),
			},
			Help:    "Does something once. Its handle can be used as a window.",
			Example: `outage = at("30s", kill(orders.leader(partition = 0), restart_after = "30s"))`,
		},
		{
			Name: "every", Kind: Function, Family: Happenings, Position: 2, Returns: TypeEvent, run: runEvery,
			Params: []Param{
				{Name: "interval", Type: TypeDuration, Required: true, Help: "from one firing to the next"},
				actions,
				{Name: "first", Type: TypeInstant, Help: "the first firing; None: after one interval"},
				{Name: "until", Type: TypeDuration, Help: "no firing at or after this; None: run_for"},
				nameParam(),
			},
			Help:    "Does something again and again.",
			Example: `every("10s", restart(kafka.any_broker(), down_for = "2s"), first = "30s", until = "60s")`,
		},
		{
			Name: "when", Kind: Function, Family: Happenings, Position: 2, Returns: TypeEvent, run: runWhen,
			Params: []Param{
				{Name: "claim", Type: TypeClaim, Required: true, Help: "what must come to hold; no(claim): be broken"},
				actions,
				{Name: "within", Type: TypeDuration, Required: true, Help: "if it has not fired by then, the run is INCONCLUSIVE"},
				nameParam(),
			},
			Help:    "Does something once, the first time a claim holds on the last whole bucket or sample.",
			Example: `when(billing.lag.at_least(5000), scale(billing, members = 4), within = "60s")`,
		},
	}
}

func verbWords() []Word {
	node := Param{Name: "node", Type: TypeNodes, Required: true, Help: "a node, or a list of them"}
	after := func(name, what string) Param {
		return Param{Name: name, Type: TypeDuration, Help: what + " after this long; None: not by itself"}
	}
	restart, heal := after("restart_after", "start it again"), after("heal_after", "heal it")
	path := []Param{
		{Name: "a", Type: TypePlaces, Required: true, Help: "one end: a place or a list"},
		{Name: "b", Type: TypePlaces, Required: true, Help: "the other end"},
	}
	onPath := func(ps ...Param) []Param { return append(append(path[:2:2], ps...), heal) }
	handle := Param{Name: "handle", Type: TypeEvent, Required: true, Help: "the event to undo"}
	return []Word{
		{
			Name: "kill", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: onNodes(plan.Kill, "restart_after"),
			Params: []Param{node, restart}, Help: "Ends the process as SIGKILL does. Host and addresses stay, so peers see resets at once. Undone by start or restart_after.",
			Example: `at("30s", kill(kafka.broker(1), restart_after = "30s"))`,
		},
		{
			Name: "stop", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: onNodes(plan.Stop, "restart_after"),
			Params: []Param{node, restart}, Help: "Shuts the process down in order, as SIGTERM does. Undone by start or restart_after.",
			Example: `at("30s", stop(kafka.broker(1), restart_after = "30s"))`,
		},
		{
			Name: "pause", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: onNodes(plan.Pause, "resume_after"),
			Params: []Param{node, after("resume_after", "let it go on")}, Help: "Freezes the process as SIGSTOP does. Undone by resume or resume_after.",
			Example: `at("30s", pause(kafka.broker(1), resume_after = "10s"))`,
		},
		{
			Name: "power_off", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: onNodes(plan.PowerOff, "restart_after"),
			Params: []Param{node, restart}, Help: "The host vanishes: no resets, packets go nowhere, and what was not yet on disk is lost where the engine can show it. Undone by start or restart_after.",
			Example: `at("30s", power_off(kafka.broker(1), restart_after = "30s"))`,
		},
		{
			Name: "restart", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runRestart,
			Params: []Param{node, {Name: "down_for", Type: TypeDuration, Required: true, Help: "how long it stays down"}}, Help: "Stops a node in order, waits and starts it again.",
			Example: `at("30s", restart(kafka.broker(1), down_for = "10s"))`,
		},
		{
			Name: "start", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: onHit(plan.StartNode),
			Params: []Param{{Name: "node", Type: TypeNodesOrHit, Required: true, Help: "a node, a list, or the handle of the event that took it down"}}, Help: "Starts what kill, stop or power_off took down.",
			Example: `at("60s", start(outage))`,
		},
		{
			Name: "resume", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: onHit(plan.Resume),
			Params: []Param{{Name: "node", Type: TypeNodesOrHit, Required: true, Help: "a node, a list, or the handle of the event that paused it"}}, Help: "Lets a paused process go on.",
			Example: `at("60s", resume(frozen))`,
		},
		{
			Name: "netsplit", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runNetsplit,
			Params: []Param{
				{Name: "groups", Type: TypePlaces, Star: true, Required: true, Help: "two or more places, each a place or a list; one: it against all others"},
				{Name: "one_way", Type: TypeBool, Default: false, Help: "drop only packets from the first group to the others"},
				heal,
			},
			Help:    "No packet passes between the named places. Undone by heal or heal_after.",
			Example: `at("30s", netsplit(kafka.broker(1), [kafka.broker(2), shop], heal_after = "20s"))`,
		},
		{
			Name: "slow", Kind: Function, Family: Verbs, Position: 3, Returns: TypeAction, run: onPathTo(plan.Slow),
			Params: onPath(
				Param{Name: "latency", Type: TypeDuration, Required: true, Help: "added to each packet, each way"},
				Param{Name: "jitter", Type: TypeDuration, Default: "0s", Help: "varies the latency by up to this"},
			),
			Help: "Adds latency to the path between two places. Undone by heal or heal_after.", Example: `at("30s", slow(dc1, dc2, latency = "200ms", heal_after = "20s"))`,
		},
		{
			Name: "lose", Kind: Function, Family: Verbs, Position: 3, Returns: TypeAction, run: onPathTo(plan.Lose),
			Params: onPath(Param{Name: "loss", Type: TypeNumber, Required: true, In: between(0, 1), Help: "share of packets that are lost"}),
			Help:   "Loses packets on the path between two places. Undone by heal or heal_after.", Example: `at("30s", lose(dc1, dc2, loss = 0.05, heal_after = "20s"))`,
		},
		{
			Name: "throttle", Kind: Function, Family: Verbs, Position: 3, Returns: TypeAction, run: onPathTo(plan.Throttle),
			Params: onPath(Param{Name: "bandwidth", Type: TypeBandwidth, Required: true, Help: "bytes per second, such as \"1MB/s\""}),
			Help:   "Limits the bandwidth of the path between two places. Undone by heal or heal_after.", Example: `at("30s", throttle(dc1, dc2, bandwidth = "1MB/s", heal_after = "20s"))`,
		},
		{
			Name: "heal", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runHeal,
			Params: []Param{handle}, Help: "Undoes a netsplit, slow, lose or throttle by its event's handle.", Example: `at("60s", heal(cut))`,
		},
		{
			Name: "heal_all", Kind: Function, Family: Verbs, Returns: TypeAction, run: runHealAll,
			Help: "Undoes everything that was done to paths.", Example: `at("60s", heal_all())`,
		},
		{
			Name: "resize", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runResize,
			Params: []Param{
				{Name: "topic", Type: TypeTopic, Required: true, Help: "the topic to grow"},
				{Name: "partitions", Type: TypeInt, Required: true, In: between(1, maxPartitions), Help: "how many it has then; Kafka cannot take partitions away"},
			},
			Help: "Adds partitions to a topic.", Example: `at("30s", resize(orders, partitions = 12))`,
		},
		{
			Name: "scale", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runScale,
			Params: []Param{
				{Name: "client", Type: TypeClient, Required: true, Help: "a producer or consumer"},
				{Name: "members", Type: TypeInt, Required: true, In: between(0, maxMembers), Help: "how many members it has then; 0 stops it"},
			},
			Help: "Gives a producer or group more or fewer members.", Example: `at("30s", scale(billing, members = 4))`,
		},
		{
			Name: "set_rate", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runSetRate,
			Params: []Param{
				{Name: "producer", Type: TypeProducer, Required: true, Help: "whose load changes"},
				{Name: "rate", Type: TypeNumber, Required: true, In: between(0, maxRate), Help: "records per second over all members"},
			},
			Help: "Changes a producer's load.", Example: `at("30s", set_rate(shop, 5000))`,
		},
		{
			Name: "crash", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runCrash,
			Params: []Param{
				{Name: "member", Type: TypeMembers, Required: true, Help: "a client member, or a list of them"},
				restart,
			},
			Help: "Ends a client without goodbye. Undone by restart_after.", Example: `at("30s", crash(billing.member(1), restart_after = "10s"))`,
		},
		{
			Name: "configure", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runConfigure,
			Params: []Param{
				{Name: "target", Type: TypeConfigurable, Required: true, Help: "a topic, a broker or brokers, or a cluster (all its brokers)"},
				{Name: "config", Type: TypeConfig, Required: true, Help: "settings by Kafka's own names"},
				after("revert_after", "set them back"),
			},
			Help: "Changes topic or broker settings while they run.", Example: `at("30s", configure(orders, {"min.insync.replicas": 1}, revert_after = "20s"))`,
		},
		{
			Name: "elect", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runElect,
			Params: []Param{
				{Name: "topic", Type: TypeTopic, Required: true, Help: "whose partitions"},
				{Name: "kind", Type: TypeString, Default: "preferred", Choices: []string{"preferred", "unclean"}, Help: "preferred: back to the first replica; unclean: anyone, even out of sync"},
				{Name: "partition", Type: TypeInt, In: between(0, maxPartitions-1), Help: "one partition; None: all"},
			},
			Help: "Holds a leader election.", Example: `at("60s", elect(orders))`,
		},
		{
			Name: "move", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runMove,
			Params: []Param{
				{Name: "topic", Type: TypeTopic, Required: true, Help: "whose replicas"},
				{Name: "placement", Type: TypePlacement, Help: "the new replicas of partitions: {0: [2, 3, 4]}"},
				{Name: "off", Type: TypeNode, Help: "the broker that shall hold none of them any more"},
				{Name: "throttle", Type: TypeBandwidth, Help: "limit of replication traffic; None: none"},
			},
			Help: "Reassigns partitions to other brokers: by placement, or off one broker.", Example: `at("30s", move(orders, off = kafka.broker(1), throttle = "1MB/s"))`,
		},
		{
			Name: "note", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runNote,
			Params: []Param{{Name: "text", Type: TypeText, Required: true, Help: "what it says"}},
			Help:   "Puts a line on the timeline.", Example: `at("30s", note("here the deployment starts"))`,
		},
		{
			Name: "send", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runSend,
			Params: []Param{
				{Name: "topic", Type: TypeTopic, Required: true, Help: "where to"},
				{Name: "text", Type: TypeText, Required: true, Help: "the record's value"},
				{Name: "key", Type: TypeText, Default: "", Help: "its key; empty: none"},
			},
			Help: "Sends one record by hand.", Example: `at("30s", send(orders, "hello", key = "greeting"))`,
		},
	}
}
