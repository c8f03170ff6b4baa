// This file defines the table's rows for mirrors, users, deduplication, and the
// verbs that belong to them or do what Kafka's own tools do.

package builtins

import (
	"starfall/interp/plan"
)

func mirrorWords() []Word {
	return []Word{
		{
			Name: "mirror", Kind: Function, Family: Things, Position: 1, Returns: TypeMirror, run: runMirror,
			Params: []Param{
				{Name: "topic", Type: TypeTopics, Required: true, Help: "what is copied: one topic, or a list of topics of one cluster"},
				{Name: "to", Type: TypeCluster, Required: true, Help: "the cluster that gets the copies"},
				{Name: "site", Type: TypeSite, Help: "where the mirror runs; near the target is best"},
				{Name: "rename", Type: TypeString, Default: plan.RenameDefault, Choices: []string{plan.RenameDefault, plan.RenameIdentity}, Help: "what a copy is called: \"{cluster}.{topic}\" is Kafka's DefaultReplicationPolicy, \"{topic}\" its IdentityReplicationPolicy"},
				{Name: "sync_offsets_every", Type: TypeDuration, Help: "how often the positions of groups are translated and written to the target, for groups without a member there (sync.group.offsets.interval.seconds); None: never"},
				nameParam(),
			},
			Help:    "Copies topics to another cluster, asynchronously: MirrorMaker 2 on Docker, a copier of the same rules on the embedded engine. It makes the copies itself and adds partitions when the source grows; a copy has its own offsets.",
			Example: `copy = mirror(orders, to = west, site = dc2, sync_offsets_every = "5s")`,
		},
		{
			Name: "user", Kind: Function, Family: Things, Position: 1, Returns: TypeUser, run: runUser,
			Params: []Param{
				{Name: "cluster", Type: TypeCluster, Required: true, Help: "who knows the user"},
				{Name: "password", Type: TypeString, Default: "secret", Help: "what the user logs in with"},
				{Name: "produces", Type: TypeTopics, Help: "topics that the user may write, as kafka-acls --producer grants it: Write, Describe and Create"},
				{Name: "consumes", Type: TypeTopics, Help: "topics that the user may read with any group, as kafka-acls --consumer grants it: Read and Describe, and Read on the groups"},
				nameParam(),
			},
			Help:    "Declares a principal. A cluster that has users knows everybody by name and denies by default, so each of its clients names a user; who may do what is said here and by allow. Mirrors and the run itself act as a super user.",
			Example: `alice = user(secure, produces = events)`,
		},
		{
			Name: "id_set", Kind: Function, Family: Things, Returns: TypeDedup, run: runIDSet,
			Help:    "For dedup: each member keeps the identity of every record that it has had, in a B-tree, and drops what is in it.",
			Example: `ledger = consumer(orders, group = "ledger", dedup = id_set())`,
		},
		{
			Name: "high_water", Kind: Function, Family: Things, Position: 1, Returns: TypeDedup, run: runHighWater,
			Params: []Param{
				{Name: "per", Type: TypeString, Default: "partition", Choices: []string{"partition", "topic", "producer"}, Help: "what has a mark of its own: each partition, each topic, or each member of a producer"},
			},
			Help:    "For dedup: each member keeps the highest sequence number that it has had and drops what is not beyond it. A record's sequence number is the count of the producer member that sent it, so one mark for several members drops good records.",
			Example: `ledger = consumer(orders, group = "ledger", dedup = high_water(per = "producer"))`,
		},
	}
}

func mirrorVerbs() []Word {
	clients := Param{Name: "clients", Type: TypeClients, Star: true, Required: true, Help: "producers and consumers"}
	return []Word{
		{
			Name: "fail_over", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runFailOver,
			Params: []Param{
				clients,
				{Name: "to", Type: TypeMirror, Required: true, Help: "the mirror whose target the clients go to"},
			},
			Help:    "Points clients at a mirror's cluster. Producers write the topic of the same name there, which is made like the source; consumers read that and the mirrored one, from their group's positions there. What is not acknowledged is sent again. A record is lost then when it is in neither log. Undone by fail_back.",
			Example: `at("70s", fail_over(shop, billing, to = copy))`,
		},
		{
			Name: "fail_back", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runFailBack,
			Params:  []Param{clients},
			Help:    "Points clients back at their own cluster and topic. Consumers first read to the end what they read now.",
			Example: `at("2m", fail_back(shop, billing))`,
		},
		{
			Name: "reroute", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runReroute,
			Params: []Param{
				clients,
				{Name: "via", Type: TypeSite, Required: true, Help: "the site in which the relay stands"},
				{Name: "restore_after", Type: TypeDuration, Help: "go straight again after this long; None: not by itself"},
			},
			Help:    "Sends the traffic of clients through a relay in a site: they connect anew, and what lies between client and site and between site and brokers holds for them. Undone by restore_after.",
			Example: `at("30s", reroute(shop, via = london, restore_after = "60s"))`,
		},
	}
}

func adminVerbs() []Word {
	user := Param{Name: "user", Type: TypeUser, Required: true, Help: "the principal"}
	acl := func(verb plan.Verb, help, example string) Word {
		return Word{
			Name: string(verb), Kind: Function, Family: Verbs, Position: 3, Returns: TypeAction, run: runACL(verb),
			Params: []Param{
				user,
				{Name: "operation", Type: TypeOperation, Required: true, Help: "one of Kafka's operations"},
				{Name: "resource", Type: TypeResource, Required: true, Help: "on what; a consumer stands for its group, and a name that ends in * for all names that begin so"},
				{Name: "host", Type: TypeString, Default: "*", Help: "the address from which it holds; *: any"},
			},
			Help: help, Example: example,
		}
	}
	topic := Param{Name: "topic", Type: TypeTopic, Required: true, Help: "whose records"}
	return []Word{
		acl(plan.Allow, "Gives a user a right (an ACL with permission type ALLOW). At 0s it holds before the clients start.", `at("30s", allow(reader, "Read", events))`),
		acl(plan.Deny, "Denies a user a right (an ACL with permission type DENY). It beats every allow, at once, on connections that stand. At 0s it holds before the clients start.", `at("30s", deny(writer, "Write", events))`),
		acl(plan.Revoke, "Takes an allow and a deny of a user away.", `at("40s", revoke(writer, "Write", events))`),
		{
			Name: "replay", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runReplay,
			Params: []Param{
				topic,
				{Name: "to", Type: TypeTopic, Required: true, Help: "the topic that gets them again, of this or another cluster"},
				{Name: "since", Type: TypeDuration, Default: "0s", Help: "the first of them, by timestamp, after the start of load"},
				{Name: "until", Type: TypeDuration, Help: "none at or after this; None: all that there are"},
			},
			Help:    "Reads the records of a time and produces them again, with the same key, value and headers, to the partition of the same number.",
			Example: `at("60s", replay(orders, to = copies, since = "20s", until = "40s"))`,
		},
		{
			Name: "reset_offsets", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runResetOffsets,
			Params: []Param{
				{Name: "consumer", Type: TypeConsumer, Required: true, Help: "whose group; it must have no members at that time: scale(…, members = 0) before"},
				{Name: "to", Type: TypeOffsets, Required: true, Help: "the new position"},
			},
			Help:    "Moves the committed offsets of a group that is stopped.",
			Example: `at("60s", reset_offsets(resting, to = "30s ago"))`,
		},
		{
			Name: "delete_records", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runDeleteRecords,
			Params: []Param{
				topic,
				{Name: "before", Type: TypeCut, Required: true, Help: "the first offset that is kept: of each partition that the topic is declared with, or of those that a dict names"},
			},
			Help:    "Deletes the records before an offset, as kafka-delete-records does. What is deleted so is not lost.",
			Example: `at("60s", delete_records(orders, before = {0: 1000}))`,
		},
		{
			Name: "delete", Kind: Function, Family: Verbs, Position: 1, Returns: TypeAction, run: runDelete,
			Params:  []Param{{Name: "topic", Type: TypeTopic, Required: true, Help: "which"}},
			Help:    "Deletes a topic with all its records, as kafka-topics --delete does. What is deleted so is not lost.",
			Example: `at("60s", delete(copies))`,
		},
		{
			Name: "tool", Kind: Function, Family: Verbs, Position: 2, Returns: TypeAction, run: runTool,
			Params: []Param{
				{Name: "name", Type: TypeString, Required: true, Help: "its usual name, such as kafka-topics; starfall doc tool lists them"},
				{Name: "args", Type: TypeArg, Star: true, Help: "its arguments; a topic stands for its name and a consumer for its group. Where they name no server, the cluster's is put in"},
				{Name: "on", Type: TypeCluster, Help: "the cluster; None: the only one that there is"},
			},
			Help:    "Runs one of Kafka's own tools inside the cluster, on the Docker engine. Its output is kept in the run; its exit code is a result that exit_code claims something of.",
			Example: `groups = at("30s", tool("kafka-consumer-groups", "--describe", "--group", billing, on = kafka))`,
		},
	}
}
