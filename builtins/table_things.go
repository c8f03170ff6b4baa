// This file defines the table's rows for things, selectors and units.

package builtins

import (
	"go.starlark.net/lib/json"
	"go.starlark.net/lib/math"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starfall/interp/plan"
)

// The largest numbers that a plan takes in.
const (
	maxBrokers    = plan.FirstControllerID - 1
	maxVoters     = 15
	maxPartitions = 10_000
	maxMembers    = 1_000
	maxRate       = 10_000_000
	maxKeys       = 100_000_000
	// A transaction is held in memory by its producer until it ends.
	maxTransaction = 100_000
)

func nameParam() Param {
	return Param{Name: "name", Type: TypeName, Help: "the name in tables; needed where no global holds the handle"}
}

func thingWords() []Word {
	return []Word{
		{
			Name: "scenario", Kind: Function, Family: Things, Returns: TypeNone, run: runScenario,
			Params: []Param{
				{Name: "run_for", Type: TypeDuration, Required: true, Help: "how long load runs"},
				{Name: "warmup", Type: TypeDuration, Default: "5s", Help: "the first part of run_for, which windows leave out"},
				{Name: "drain", Type: TypeDuration, Default: "60s", Help: "how long consumers may take afterwards to read to the end"},
				{Name: "seed", Type: TypeInt, Default: 1, Help: "source of every random choice"},
			},
			Help:    "Sets the lengths of the run. Said once; run_for starts when load starts.",
			Example: `scenario(run_for = "90s", warmup = "10s")`,
		},
		{
			Name: "param", Kind: Function, Family: Things, Position: 2, Returns: TypeAny, run: runParam,
			Params: []Param{
				{Name: "name", Type: TypeString, Required: true, Help: "what --set and --sweep call it"},
				{Name: "default", Type: TypeAny, Required: true, Help: "its value when nothing else is said: int, float, bool, string or duration; it fixes the type"},
				{Name: "help", Type: TypeString, Default: "", Help: "one line for people"},
				{Name: "choices", Type: TypeList, Help: "the legal values, of the default's type"},
			},
			Help:    "Declares a parameter and returns its value. --set name=value overrides it, --sweep name=a,b,c runs the scenario for each.",
			Example: `rate = param("rate", 1000, help = "unique messages per second")`,
		},
		{
			Name: "site", Kind: Function, Family: Things, Returns: TypeSite, run: runSite,
			Params:  []Param{nameParam()},
			Help:    "Declares a place: data centre, country, office. Brokers and clients stand in sites; where nothing is said, all stand in one.",
			Example: `dc1 = site()`,
		},
		{
			Name: "link", Kind: Function, Family: Things, Position: 2, Returns: TypeNone, run: runLink,
			Params: []Param{
				{Name: "a", Type: TypeSite, Required: true, Help: "one end"},
				{Name: "b", Type: TypeSite, Required: true, Help: "the other end"},
				{Name: "latency", Type: TypeDuration, Default: "0s", Help: "added to each packet, one way"},
				{Name: "jitter", Type: TypeDuration, Default: "0s", Help: "varies the latency evenly by up to this; order is kept"},
				{Name: "loss", Type: TypeNumber, Default: 0, In: between(0, 1), Help: "share of packets that are lost"},
				{Name: "bandwidth", Type: TypeBandwidth, Help: "bytes per second, such as \"10MB/s\"; None: no limit"},
			},
			Help:    "Sets the base condition of the path between two sites, the same each way.",
			Example: `link(dc1, dc2, latency = "20ms", jitter = "2ms")`,
		},
		{
			Name: "cluster", Kind: Function, Family: Things, Returns: TypeCluster, run: runCluster,
			Params: []Param{
				{Name: "brokers", Type: TypeInt, Default: 1, In: between(1, maxBrokers), Help: "number of brokers; their ids count from 1"},
				{Name: "controllers", Type: TypeInt, Default: 0, In: between(0, maxVoters), Help: "separate KRaft controllers; 0: the brokers are combined nodes, controllers too"},
				{Name: "zookeeper", Type: TypeInt, Default: 0, In: between(0, maxVoters), Help: "ZooKeeper nodes, for Kafka before 4: the cluster runs in ZooKeeper mode; 0: in KRaft mode"},
				{Name: "version", Type: TypeString, Help: "Kafka release, such as \"3.9.1\"; None: the engine's own"},
				{Name: "site", Type: TypeSite, Help: "where all nodes stand"},
				{Name: "spread", Type: TypeSites, Help: "sites among which the nodes are dealt in turn; one that comes twice gets two of each round"},
				{Name: "racks", Type: TypeStrings, Help: "broker.rack of the brokers, dealt in turn"},
				{Name: "config", Type: TypeConfig, Help: "broker settings by Kafka's own names"},
				{Name: "broker_config", Type: TypeBrokerConfig, Help: "settings of single brokers, over config"},
				{Name: "auth", Type: TypeString, Choices: []string{"plain", "scram-sha-256", "scram-sha-512"}, Help: "how clients log in (sasl.mechanism); None: plain when the cluster has users, else nobody has to"},
				{Name: "image", Type: TypeString, Help: "container image, for the Docker engine"},
				nameParam(),
			},
			Help:    "Declares a Kafka cluster: in KRaft mode, or with zookeeper in ZooKeeper mode.",
			Example: `kafka = cluster(brokers = 3, config = {"broker.session.timeout.ms": 3000})`,
		},
		{
			Name: "topic", Kind: Function, Family: Things, Position: 1, Returns: TypeTopic, run: runTopic,
			Params: []Param{
				{Name: "cluster", Type: TypeCluster, Required: true, Help: "where it is"},
				{Name: "partitions", Type: TypeInt, Default: 1, In: between(1, maxPartitions), Help: "number of partitions"},
				{Name: "replicas", Type: TypeInt, Default: 1, In: between(1, maxBrokers), Help: "replicas of each partition"},
				{Name: "min_insync", Type: TypeInt, Default: 1, In: between(1, maxBrokers), Help: "min.insync.replicas: below it, acks=all is refused"},
				{Name: "config", Type: TypeConfig, Help: "topic settings by Kafka's own names"},
				{Name: "placement", Type: TypePlacement, Help: "replicas of partitions by broker id, the preferred leader first: {0: [1, 2, 3]}"},
				nameParam(),
			},
			Help:    "Declares a topic, made before load starts.",
			Example: `orders = topic(kafka, partitions = 6, replicas = 3, min_insync = 2)`,
		},
		{
			Name: "producer", Kind: Function, Family: Things, Position: 1, Returns: TypeProducer, run: runProducer,
			Params: []Param{
				{Name: "topic", Type: TypeTopic, Required: true, Help: "where records go"},
				{Name: "rate", Type: TypeRate, Default: 100, In: between(0, maxRate), Help: "records per second over all members, or \"max\""},
				{Name: "members", Type: TypeInt, Default: 1, In: between(1, maxMembers), Help: "number of clients"},
				{Name: "acks", Type: TypeAcks, Default: "all", Choices: []string{"all", "1", "0"}, Help: "who must have a record before it counts as acknowledged; with 0 nothing is ever acknowledged"},
				{Name: "idempotent", Type: TypeBool, Default: false, Help: "enable.idempotence: retries write no duplicates and keep order"},
				{Name: "transaction", Type: TypeInt, In: between(1, maxTransaction), Help: "commit every so many records, all or none of which a reader of committed records sees; makes the producer idempotent. None: no transactions"},
				{Name: "keys", Type: TypeInt, In: between(1, maxKeys), Help: "number of distinct keys; None: records have no key"},
				{Name: "size", Type: TypeSize, Default: "100B", In: between(32, 8<<20), Help: "size of a record's value, part of which tells it apart from every other"},
				{Name: "partitioner", Type: TypeString, Default: "round_robin", Choices: []string{"round_robin", "hash", "random", "available"}, Help: "how a record gets its partition; available goes round too, but leaves out partitions that have not acknowledged for a while, as long as another does"},
				{Name: "owns", Type: TypeBool, Default: false, Help: "each member writes only to partitions of its own: partition p belongs to member p mod members + 1"},
				{Name: "timeout", Type: TypeDuration, Default: "2m", Help: "delivery.timeout.ms: retries go on until then, in scenario time"},
				{Name: "buffer", Type: TypeSize, Default: "32MB", In: between(1<<10, 1<<32), Help: "buffer.memory of each member; when it is full, sending waits"},
				{Name: "compression", Type: TypeString, Choices: []string{"none", "gzip", "snappy", "lz4", "zstd"}, Help: "compression.type"},
				{Name: "site", Type: TypeSite, Help: "where its members stand"},
				{Name: "user", Type: TypeUser, Help: "as whom it logs in, where the cluster has users"},
				{Name: "config", Type: TypeConfig, Help: "settings by the Java producer's names, as far as the load clients have them"},
				nameParam(),
			},
			Help:    "Declares load on a topic. Records are due on a schedule, whatever the cluster does; lateness is recorded. A restarted member sends again what was not acknowledged.",
			Example: `shop = producer(orders, rate = 1000, idempotent = True)`,
		},
		{
			Name: "consumer", Kind: Function, Family: Things, Position: 1, Returns: TypeConsumer, run: runConsumer,
			Params: []Param{
				{Name: "topic", Type: TypeTopics, Required: true, Help: "one topic or a list"},
				{Name: "group", Type: TypeString, Required: true, Help: "group.id"},
				{Name: "members", Type: TypeInt, Default: 1, In: between(1, maxMembers), Help: "number of clients"},
				{Name: "start", Type: TypeString, Default: "earliest", Choices: []string{"earliest", "latest"}, Help: "auto.offset.reset"},
				{Name: "commit", Type: TypeString, Default: "after", Choices: []string{"after", "before", "auto", "none"}, Help: "offsets are committed after the work (at least once), before it (at most once), by the client's timer, or never"},
				{Name: "commit_every", Type: TypeDuration, Default: "1s", Help: "how often offsets are committed"},
				{Name: "isolation", Type: TypeString, Default: "read_uncommitted", Choices: []string{"read_uncommitted", "read_committed"}, Help: "isolation.level: whether records of open and aborted transactions are read"},
				{Name: "assignor", Type: TypeString, Default: "range", Choices: []string{"range", "roundrobin", "sticky", "cooperative-sticky"}, Help: "partition.assignment.strategy"},
				{Name: "work", Type: TypeDuration, Default: "0s", Help: "time that a record takes to process"},
				{Name: "dedup", Type: TypeDedup, Help: "how it recognises records that it has had, and drops them; what it remembers is in the memory of each member, which a crash empties. None: it does not"},
				{Name: "session_timeout", Type: TypeDuration, Default: "45s", Help: "session.timeout.ms: how long a silent member keeps its partitions"},
				{Name: "site", Type: TypeSite, Help: "where its members stand"},
				{Name: "user", Type: TypeUser, Help: "as whom it logs in, where the cluster has users"},
				{Name: "config", Type: TypeConfig, Help: "settings by the Java consumer's names, as far as the load clients have them"},
				nameParam(),
			},
			Help:    "Declares a consumer group.",
			Example: `billing = consumer(orders, group = "billing", members = 2)`,
		},
		{
			Name: "alarm", Kind: Function, Family: Things, Position: 1, Returns: TypeAlarm, run: runAlarm,
			Params: []Param{
				{Name: "claim", Type: TypeClaim, Required: true, Help: "what must hold; the alarm looks at the last whole bucket or sample"},
				{Name: "lasting", Type: TypeDuration, Default: "1s", Help: "how long it must be broken before the alarm is raised, and hold before it is cleared"},
				{Name: "log", Type: TypeText, Default: "", Help: "the line that is logged at each raise"},
				nameParam(),
			},
			Help:    "Declares an alarm. It is armed after the warm-up; each raise is logged and on the timeline.",
			Example: `slow = alarm(shop.rate.never_below(800), lasting = "2s", log = "sending is slow")`,
		},
	}
}

func selectorWords() []Word {
	partition := Param{Name: "partition", Type: TypeInt, Default: 0, In: between(0, maxPartitions-1), Help: "number of the partition, from 0"}
	member := Param{Name: "number", Type: TypeInt, Required: true, In: between(1, maxMembers), Help: "number of the member, from 1"}
	return []Word{
		{
			On: "cluster", Name: "broker", Kind: Function, Family: Selectors, Position: 1, Returns: TypeNode,
			run:    selectIndex(plan.RefBroker, "id"),
			Params: []Param{{Name: "id", Type: TypeInt, Required: true, In: between(1, maxBrokers), Help: "broker id, from 1"}},
			Help:   "One broker.", Example: `kafka.broker(1)`,
		},
		{
			On: "cluster", Name: "brokers", Kind: Attribute, Family: Selectors, Returns: TypeNodes, value: brokersOf,
			Help: "All brokers. As of a list, there are its length, elements, slices and sums with lists; the first has the id 1.", Example: `at("30s", netsplit(kafka.brokers[:1], kafka.brokers[1:] + [shop], heal_after = "20s"))`,
		},
		{
			On: "cluster", Name: "controller", Kind: Function, Family: Selectors, Returns: TypeNode, run: selectPlain(plan.RefControl),
			Help: "The node that is the active controller when the event fires.", Example: `at("30s", kill(kafka.controller()))`,
		},
		{
			On: "cluster", Name: "controller_node", Kind: Function, Family: Selectors, Position: 1, Returns: TypeNode,
			run:    selectIndex(plan.RefCtlNode, "number"),
			Params: []Param{{Name: "number", Type: TypeInt, Required: true, In: between(1, maxVoters), Help: "number of the controller, from 1"}},
			Help:   "One separate controller, of a cluster that has controllers = 3.", Example: `kafka.controller_node(1)`,
		},
		{
			On: "cluster", Name: "zookeeper", Kind: Function, Family: Selectors, Position: 1, Returns: TypeNode,
			run:    selectIndex(plan.RefZooKeeper, "number"),
			Params: []Param{{Name: "number", Type: TypeInt, Required: true, In: between(1, maxVoters), Help: "number of the ZooKeeper node, from 1"}},
			Help:   "One ZooKeeper node, of a cluster that has zookeeper = 3.", Example: `kafka.zookeeper(1)`,
		},
		{
			On: "cluster", Name: "any_broker", Kind: Function, Family: Selectors, Returns: TypeNode, run: selectPlain(plan.RefAnyBroker),
			Help: "A broker chosen by the seed among those alive when the event fires.", Example: `at("30s", kill(kafka.any_broker()))`,
		},
		{
			On: "topic", Name: "leader", Kind: Function, Family: Selectors, Position: 1, Returns: TypeNode, run: selectIndex(plan.RefLeader, "partition"),
			Params: []Param{partition}, Help: "The broker that leads a partition when the event fires.", Example: `orders.leader(partition = 0)`,
		},
		{
			On: "topic", Name: "follower", Kind: Function, Family: Selectors, Position: 1, Returns: TypeNode, run: selectIndex(plan.RefFollower, "partition"),
			Params: []Param{partition}, Help: "The first in-sync follower of a partition when the event fires.", Example: `orders.follower(partition = 0)`,
		},
		{
			On: "topic", Name: "replicas", Kind: Function, Family: Selectors, Position: 1, Returns: TypeNodes, run: selectIndex(plan.RefReplicas, "partition"),
			Params: []Param{partition}, Help: "All brokers that hold a replica of a partition when the event fires.", Example: `orders.replicas(partition = 0)`,
		},
		{
			On: "consumer", Name: "coordinator", Kind: Function, Family: Selectors, Returns: TypeNode, run: selectPlain(plan.RefCoord),
			Help: "The broker that coordinates the group when the event fires.", Example: `at("30s", kill(billing.coordinator()))`,
		},
		{
			On: "consumer", Name: "member", Kind: Function, Family: Selectors, Position: 1, Returns: TypeMember, run: selectIndex(plan.RefMember, "number"),
			Params: []Param{member}, Help: "One client of the group.", Example: `billing.member(1)`,
		},
		{
			On: "producer", Name: "member", Kind: Function, Family: Selectors, Position: 1, Returns: TypeMember, run: selectIndex(plan.RefMember, "number"),
			Params: []Param{member}, Help: "One client of the producer.", Example: `shop.member(1)`,
		},
		{
			On: "event", Name: "start", Kind: Attribute, Family: Selectors, Returns: TypeInstant, value: edge(plan.Start),
			Help: "The moment at which the first effect is proved. A duration may be added or taken away.", Example: `at(outage.start + 5 * second, note("…"))`,
		},
		{
			On: "event", Name: "end", Kind: Attribute, Family: Selectors, Returns: TypeInstant, value: edge(plan.End),
			Help: "The moment at which the undo is proved; for what ends by itself, when its effect is complete; for what is never undone, run_for. A duration may be added or taken away.", Example: `at(outage.end + "10s", resize(orders, partitions = 12))`,
		},
	}
}

func unitWords() []Word {
	library := func(name, help string, v starlark.Value) Word {
		return Word{Name: name, Kind: Constant, Family: Libraries, Help: help, Returns: TypeAny,
			value: func(*Env, starlark.Value) starlark.Value { return v }}
	}
	constant := func(name, help string, v starlark.Value) Word {
		return Word{Name: name, Kind: Constant, Family: Units, Help: help, Returns: TypeOf(v),
			value: func(*Env, starlark.Value) starlark.Value { return v }}
	}
	return []Word{
		constant("ms", "A millisecond: 250 * ms.", Duration(plan.Duration(1e6))),
		constant("second", "A second: 30 * second.", Duration(plan.Duration(1e9))),
		constant("minute", "A minute: 2 * minute.", Duration(plan.Duration(60e9))),
		constant("KB", "1024 bytes: 4 * KB.", starlark.MakeInt(1<<10)),
		constant("MB", "1024 KB: 32 * MB.", starlark.MakeInt(1<<20)),
		library("json", "Starlark's json module: encode, decode, indent.", json.Module),
		library("math", "Starlark's math module: ceil, floor, sqrt, pi and so on.", math.Module),
		library("struct", "Makes a value with named fields: struct(a = 1).a is 1.", starlark.NewBuiltin("struct", starlarkstruct.Make)),
	}
}
