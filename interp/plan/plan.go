// Package plan defines the contract between the language and everything
// behind it: a Plan is what a scenario says, as data. It can be checked,
// printed, hashed, compared and shared without starting anything.
//
// A Plan holds names and numbers only. Whatever depends on the running
// cluster (who leads partition 0?) stays a Ref and is resolved when its event
// fires.
package plan

import "fmt"

// Format is the version of the canonical JSON of a Plan. A reader refuses a
// newer one.
const Format = 1

// Plan is one evaluated scenario. Slices are in the order of declaration,
// except where a field says otherwise.
type Plan struct {
	Format    int        `json:"format"`
	Name      string     `json:"name"`            // base name of the file, without .star
	Title     string     `json:"title,omitempty"` // first line of the docstring
	Doc       string     `json:"doc,omitempty"`   // the rest of the docstring
	Files     []File     `json:"files"`           // the scenario first, then each loaded module, by path
	Scenario  Scenario   `json:"scenario"`
	Params    []Param    `json:"params,omitempty"`
	Sites     []Site     `json:"sites"`
	Links     []Link     `json:"links,omitempty"`
	Clusters  []Cluster  `json:"clusters"`
	Topics    []Topic    `json:"topics,omitempty"`
	Producers []Producer `json:"producers,omitempty"`
	Consumers []Consumer `json:"consumers,omitempty"` // the observers of mirrors last
	Mirrors   []Mirror   `json:"mirrors,omitempty"`
	Users     []User     `json:"users,omitempty"`
	Alarms    []Alarm    `json:"alarms,omitempty"`
	Events    []Event    `json:"events,omitempty"`
	Claims    []Claim    `json:"claims,omitempty"`
}

// File is a source file that went into the plan. Path is relative to the root
// of the scenario, or begins with "@std//".
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Text   string `json:"text"`
}

// Pos is a place in a source file. Line and Col count from 1; Col counts
// characters. Via is the position of the call in the scenario when the
// declaration happened inside a loaded module or a helper function.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
	Via  *Pos   `json:"via,omitempty"`
}

// String gives file:line:col.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Short gives file:line, as tables show it.
func (p Pos) Short() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Scenario holds the lengths of a run. RunFor counts from the start of load;
// Warmup is its first part, which windows leave out; Drain limits the wait for
// consumers afterwards.
type Scenario struct {
	Pos    Pos      `json:"pos"`
	RunFor Duration `json:"run_for"`
	Warmup Duration `json:"warmup"`
	Drain  Duration `json:"drain"`
	Seed   int64    `json:"seed"`
}

// Param is a declared parameter with the value it had in this evaluation.
// Values are written as Starlark literals.
type Param struct {
	Pos     Pos      `json:"pos"`
	Name    string   `json:"name"`
	Default string   `json:"default"`
	Value   string   `json:"value"`
	Help    string   `json:"help,omitempty"`
	Choices []string `json:"choices,omitempty"`
}

// ImpliedSite is the name of the site in which everything stands that says
// nothing else.
const ImpliedSite = "default"

// Site is a place: data centre, country, office. The implied site is always
// first when something stands in it.
type Site struct {
	Pos     Pos    `json:"pos"`
	Name    string `json:"name"`
	Implied bool   `json:"implied,omitempty"`
}

// Link is the base condition of the path between two sites, the same each way.
type Link struct {
	Pos       Pos       `json:"pos"`
	A         string    `json:"a"`
	B         string    `json:"b"`
	Condition Condition `json:"condition"`
}

// Condition says what a path does to traffic in one direction. The zero value
// is an unimpaired path.
type Condition struct {
	Cut       bool     `json:"cut,omitempty"`
	Latency   Duration `json:"latency,omitempty"`   // added, one way
	Jitter    Duration `json:"jitter,omitempty"`    // uniform, ± this, order is kept
	Loss      float64  `json:"loss,omitempty"`      // share of packets, 0 to 1
	Bandwidth float64  `json:"bandwidth,omitempty"` // bytes a second; 0: unlimited
}

// Role is what a node of a cluster does.
type Role string

// The roles of nodes. A combined node is a broker and a KRaft voter.
const (
	RoleCombined   Role = "combined"
	RoleBroker     Role = "broker"
	RoleController Role = "controller"
	RoleZooKeeper  Role = "zookeeper"
)

// FirstControllerID and FirstZooKeeperID are the node ids of the first
// separate controller and ZooKeeper node; brokers count from 1.
const (
	FirstControllerID = 101
	FirstZooKeeperID  = 201
)

// Node is one process of a cluster.
type Node struct {
	ID   int32  `json:"id"`
	Role Role   `json:"role"`
	Site string `json:"site"`
	Rack string `json:"rack,omitempty"` // broker.rack
	// Config is what this broker alone has, over its cluster's.
	Config map[string]string `json:"config,omitempty"`
}

// Cluster is one Kafka cluster. Nodes are sorted by id: brokers, then
// separate controllers, then ZooKeeper nodes.
type Cluster struct {
	Pos     Pos               `json:"pos"`
	Name    string            `json:"name"`
	Version string            `json:"version,omitempty"` // "" is the engine's default
	Image   string            `json:"image,omitempty"`
	Config  map[string]string `json:"config,omitempty"` // Kafka's broker config names
	Auth    string            `json:"auth,omitempty"`   // plain, scram-sha-256 or scram-sha-512 (sasl.mechanism); "": nobody has to say who he is
	Nodes   []Node            `json:"nodes"`
}

// Origin says how a topic of the plan comes to be.
type Origin string

// The origins of topics.
//
//	origin     made by                                   filled by
//	""         the run, as the scenario declares it      its producers
//	mirrored   the mirror, as soon as it sees Of         the mirror
//	fail_over  the run, like Of, on the mirror's cluster producers that have failed over
//
// Under identity naming (Mirror.Rename "{topic}") a mirror's copy is what
// producers fail over to, and there is no topic of origin fail_over.
const (
	Declared Origin = ""
	Mirrored Origin = "mirrored"
	FailedTo Origin = "fail_over"
)

// Topic is a topic made before load starts. MinInsync is min.insync.replicas.
// Placement fixes the replicas of partitions, the preferred leader first.
//
// Name is unique in the plan, and is what everything else calls the topic. Its
// cluster calls it KafkaName, which differs for the topics that a mirror brings
// with it: these are named cluster/topic, such as west/east.orders, and stand
// behind those that the scenario declares.
type Topic struct {
	Pos        Pos               `json:"pos"`
	Name       string            `json:"name"`
	Kafka      string            `json:"kafka,omitempty"` // its name on its cluster; "": Name
	Origin     Origin            `json:"origin,omitempty"`
	Of         string            `json:"of,omitempty"`     // the topic whose records it takes, when it has an origin
	Mirror     string            `json:"mirror,omitempty"` // the mirror that it belongs to
	Cluster    string            `json:"cluster"`
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicas"`
	MinInsync  int               `json:"min_insync"`
	Config     map[string]string `json:"config,omitempty"` // Kafka's topic config names
	Placement  map[int][]int32   `json:"placement,omitempty"`
}

// Producer is an open-model load of one topic. Rate is records a second over
// all members; MaxRate asks for as much as the cluster takes.
type Producer struct {
	Pos         Pos               `json:"pos"`
	Name        string            `json:"name"`
	Topic       string            `json:"topic"`
	Rate        float64           `json:"rate,omitempty"`
	MaxRate     bool              `json:"max_rate,omitempty"`
	Members     int               `json:"members"`
	Acks        string            `json:"acks"` // "all", "1" or "0"
	Idempotent  bool              `json:"idempotent,omitempty"`
	Transaction int               `json:"transaction,omitempty"` // records in a transaction of a member; 0: none
	Keys        int               `json:"keys,omitempty"`        // number of distinct keys; 0: no key
	Size        int               `json:"size"`                  // bytes of a record's value
	Partitioner string            `json:"partitioner"`           // round_robin, hash, random or available
	Owns        bool              `json:"owns,omitempty"`        // each member writes only to partitions of its own: p belongs to member p mod Members + 1
	Timeout     Duration          `json:"timeout"`               // after which a record is given up (delivery.timeout.ms)
	Buffer      int64             `json:"buffer"`                // bytes (buffer.memory), each member
	Compression string            `json:"compression,omitempty"`
	Site        string            `json:"site"`
	User        string            `json:"user,omitempty"`   // name of a User
	Config      map[string]string `json:"config,omitempty"` // the Java producer's config names
}

// Consumer is a consumer group with its members. Commit says when offsets are
// committed: after the work, before it, auto, or none.
type Consumer struct {
	Pos            Pos      `json:"pos"`
	Name           string   `json:"name"`
	Topics         []string `json:"topics"`
	Group          string   `json:"group"`
	Members        int      `json:"members"`
	Start          string   `json:"start"` // earliest or latest (auto.offset.reset)
	Commit         string   `json:"commit"`
	CommitEvery    Duration `json:"commit_every"`
	Isolation      string   `json:"isolation,omitempty"` // "" is read_uncommitted, else read_committed
	Assignor       string   `json:"assignor"`            // range, roundrobin, sticky or cooperative-sticky
	Work           Duration `json:"work,omitempty"`
	SessionTimeout Duration `json:"session_timeout"`
	Site           string   `json:"site"`
	User           string   `json:"user,omitempty"` // name of a User
	Dedup          *Dedup   `json:"dedup,omitempty"`
	// Observes names the mirror whose copies this consumer reads on the control
	// side, which no fault touches: without a group, from the start, committing
	// nothing. It has the mirror's name, and no word of the language makes one.
	Observes string            `json:"observes,omitempty"`
	Config   map[string]string `json:"config,omitempty"` // the Java consumer's config names
}

// Dedup says how a consumer recognises records that it has had before, and
// drops. What it remembers is in the memory of each member.
//
//	kind        remembers                                    drops
//	id_set      the identity of every record, in a B-tree    what it has seen
//	high_water  one sequence number, the highest it had, in  what is not beyond it
//	            each partition, in each topic, or of each
//	            producer member (Per)
//
// A record's sequence number is its producer member's own count. So a mark for
// a partition is right only where one member writes that partition, and one for
// a producer only where its records come in one order.
type Dedup struct {
	Kind string `json:"kind"`          // id_set or high_water
	Per  string `json:"per,omitempty"` // of high_water: partition, topic or producer
}

// Mirror copies topics of one cluster to another, asynchronously: MirrorMaker 2
// on real Kafka. Each of Topics has a topic of origin mirrored in the plan.
type Mirror struct {
	Pos    Pos      `json:"pos"`
	Name   string   `json:"name"`
	Topics []string `json:"topics"` // of one cluster
	From   string   `json:"from"`   // that cluster
	To     string   `json:"to"`     // the target cluster
	Site   string   `json:"site"`   // where it runs
	Rename string   `json:"rename"` // "{cluster}.{topic}" (DefaultReplicationPolicy) or "{topic}" (IdentityReplicationPolicy)
	// SyncOffsetsEvery is how often the positions of groups are translated and
	// written to the target (sync.group.offsets.interval.seconds); 0: never.
	SyncOffsetsEvery Duration `json:"sync_offsets_every,omitempty"`
}

// The values of Mirror.Rename.
const (
	RenameDefault  = "{cluster}.{topic}"
	RenameIdentity = "{topic}"
)

// User is a principal of a cluster with authentication. He may do only what
// allow says.
type User struct {
	Pos      Pos    `json:"pos"`
	Name     string `json:"name"`
	Cluster  string `json:"cluster"`
	Password string `json:"password"`
	Rights   []ACL  `json:"rights,omitempty"` // held before the clients start
}

// Alarm is raised when its claim has been broken for Lasting and cleared when
// it has held that long. It is armed after the warm-up.
type Alarm struct {
	Pos     Pos      `json:"pos"`
	Text    string   `json:"text"` // the claim as written
	Name    string   `json:"name"`
	Claim   Expr     `json:"claim"`
	Lasting Duration `json:"lasting"`
	Log     string   `json:"log,omitempty"`
}

// RefKind says what a Ref points at.
type RefKind string

// The kinds of Ref. The second group is resolved when its event fires.
const (
	RefSite      RefKind = "site"       // Name
	RefCluster   RefKind = "cluster"    // Name; as a target of configure or measures
	RefBroker    RefKind = "broker"     // Name (cluster), Index (broker id)
	RefBrokers   RefKind = "brokers"    // Name (cluster): all of them
	RefZooKeeper RefKind = "zookeeper"  // Name (cluster), Index (1…)
	RefCtlNode   RefKind = "ctl_node"   // Name (cluster), Index (1…): a separate controller by number
	RefTopic     RefKind = "topic"      // Name
	RefProducer  RefKind = "producer"   // Name
	RefConsumer  RefKind = "consumer"   // Name
	RefMember    RefKind = "member"     // Name (producer or consumer), Index (1…)
	RefMirror    RefKind = "mirror"     // Name
	RefUser      RefKind = "user"       // Name
	RefAlarm     RefKind = "alarm"      // Name
	RefEvent     RefKind = "event"      // Name (event): as a subject of took and recovered
	RefHit       RefKind = "hit"        // Name (event): whatever that event's action hit
	RefControl   RefKind = "controller" // Name (cluster): the active controller
	RefAnyBroker RefKind = "any_broker" // Name (cluster): a seeded choice among the living
	RefLeader    RefKind = "leader"     // Name (topic), Index (partition)
	RefFollower  RefKind = "follower"   // Name (topic), Index (partition): the first in-sync one
	RefReplicas  RefKind = "replicas"   // Name (topic), Index (partition): all of them
	RefCoord     RefKind = "coordinator"
)

// Ref names a thing, or selects one at run time.
type Ref struct {
	Kind  RefKind `json:"kind"`
	Name  string  `json:"name"`
	Index int     `json:"index,omitempty"`
}

// Edge is the start or the end of an event.
type Edge string

// The edges of an event: the first effect proved, and the undo proved.
const (
	Start Edge = "start"
	End   Edge = "end"
)

// Instant is a moment: Offset after the start of load, or after an edge of an
// event.
type Instant struct {
	Event  string   `json:"event,omitempty"`
	Edge   Edge     `json:"edge,omitempty"`
	Offset Duration `json:"offset"`
}

// TriggerKind says how an event comes about.
type TriggerKind string

// The kinds of Trigger.
const (
	TriggerAt    TriggerKind = "at"
	TriggerEvery TriggerKind = "every"
	TriggerWhen  TriggerKind = "when"
)

// Trigger says when an event fires. at: At. every: At is the first time, then
// each Interval while before Until. when: once, the first time Claim holds on
// the last whole bucket or sample; not within Within: the run is INCONCLUSIVE.
type Trigger struct {
	Kind     TriggerKind `json:"kind"`
	At       Instant     `json:"at"`
	Interval Duration    `json:"interval,omitempty"`
	Until    Duration    `json:"until,omitempty"`
	Claim    *Expr       `json:"claim,omitempty"`
	Within   Duration    `json:"within,omitempty"`
}

// Event is one happening on the timeline. Name is the global that holds its
// handle, or "event-N". Text is the source from at to its closing parenthesis
// on one line.
type Event struct {
	Pos     Pos      `json:"pos"`
	Name    string   `json:"name"`
	Text    string   `json:"text"`
	Trigger Trigger  `json:"trigger"`
	Actions []Action `json:"actions"`
}

// Verb is what an action does.
type Verb string

// The verbs. The table in actions.go says which fields of Action each uses.
const (
	Kill      Verb = "kill"
	Stop      Verb = "stop"
	Pause     Verb = "pause"
	Resume    Verb = "resume"
	Restart   Verb = "restart"
	PowerOff  Verb = "power_off"
	StartNode Verb = "start"
	Netsplit  Verb = "netsplit"
	Slow      Verb = "slow"
	Lose      Verb = "lose"
	Throttle  Verb = "throttle"
	Heal      Verb = "heal"
	HealAll   Verb = "heal_all"
	Resize    Verb = "resize"
	Scale     Verb = "scale"
	SetRate   Verb = "set_rate"
	Crash     Verb = "crash"
	Configure Verb = "configure"
	Elect     Verb = "elect"
	Move      Verb = "move"
	Note      Verb = "note"
	Send      Verb = "send"

	FailOver      Verb = "fail_over"
	FailBack      Verb = "fail_back"
	Reroute       Verb = "reroute"
	Replay        Verb = "replay"
	ResetOffsets  Verb = "reset_offsets"
	Allow         Verb = "allow"
	Deny          Verb = "deny"
	Revoke        Verb = "revoke"
	DeleteRecords Verb = "delete_records"
	Delete        Verb = "delete"
	Tool          Verb = "tool"
)

// Action is one effect of an event. Only the fields that its verb uses are
// set.
//
//	verb                          fields
//	kill stop pause power_off     Targets, UndoAfter (start; resume for pause)
//	restart                       Targets, DownFor
//	start resume                  Targets (nodes, or RefHit)
//	netsplit                      Groups (two or more; one: it against all others), OneWay, UndoAfter
//	slow lose throttle            Groups (two), Condition, UndoAfter
//	heal                          Targets (RefHit)
//	heal_all                      –
//	resize                        Targets (topic), Partitions
//	scale                         Targets (producer or consumer), Members
//	set_rate                      Targets (producer), Rate
//	crash                         Targets (members), UndoAfter (restart)
//	configure                     Targets (topic, cluster or brokers), Config, UndoAfter (revert)
//	elect                         Targets (topic), Elect, Partition (-1: all)
//	move                          Targets (topic), Placement or Off, Bandwidth (throttle, bytes a second; 0: none)
//	note                          Text
//	send                          Targets (topic), Text, Key
//	fail_over                     Targets (producers, consumers), To (mirror)
//	fail_back                     Targets (producers, consumers)
//	reroute                       Targets (producers, consumers), Via (site), UndoAfter (restore)
//	replay                        Targets (topic), To (topic), Since, Until (since the start of load; Until 0: up to the end)
//	reset_offsets                 Targets (consumer), Offsets
//	allow deny revoke             Targets (user), ACL
//	delete_records                Targets (topic), Offsets
//	delete                        Targets (topic)
//	tool                          Targets (cluster), Tool, Args
//
// allow, deny and revoke at 0 s are carried out before the clients start.
type Action struct {
	Pos        Pos               `json:"pos"`
	Verb       Verb              `json:"verb"`
	Source     string            `json:"source"` // the call as written, on one line
	Targets    []Ref             `json:"targets,omitempty"`
	Groups     [][]Ref           `json:"groups,omitempty"`
	OneWay     bool              `json:"one_way,omitempty"` // only packets from the first group are dropped
	Condition  Condition         `json:"condition,omitzero"`
	Partitions int               `json:"partitions,omitempty"`
	Members    int               `json:"members,omitempty"`
	Rate       float64           `json:"rate,omitempty"`
	Config     map[string]string `json:"config,omitempty"`
	Elect      string            `json:"elect,omitempty"` // preferred or unclean
	Partition  int               `json:"partition,omitempty"`
	Placement  map[int][]int32   `json:"placement,omitempty"`
	Off        *Ref              `json:"off,omitempty"`
	Bandwidth  float64           `json:"bandwidth,omitempty"`
	Text       string            `json:"text,omitempty"`
	Key        string            `json:"key,omitempty"`
	DownFor    Duration          `json:"down_for,omitempty"`
	UndoAfter  *Duration         `json:"undo_after,omitempty"`
	To         *Ref              `json:"to,omitempty"`
	Via        string            `json:"via,omitempty"`
	Since      Duration          `json:"since,omitempty"`
	Until      Duration          `json:"until,omitempty"`
	Offsets    *Offsets          `json:"offsets,omitempty"`
	ACL        *ACL              `json:"acl,omitempty"`
	Tool       string            `json:"tool,omitempty"` // its usual name: kafka-topics
	Args       []string          `json:"args,omitempty"`
}

// Offsets is a position in the partitions of a topic.
type Offsets struct {
	Kind        OffsetKind    `json:"kind"`
	Ago         Duration      `json:"ago,omitempty"`          // of ago: before the moment the event fires
	ByPartition map[int]int64 `json:"by_partition,omitempty"` // of given; other partitions stay as they are
}

// OffsetKind says how a position is given.
type OffsetKind string

// The kinds of Offsets.
const (
	OffsetsEarliest OffsetKind = "earliest"
	OffsetsLatest   OffsetKind = "latest"
	OffsetsAgo      OffsetKind = "ago"
	OffsetsGiven    OffsetKind = "given"
)

// ACL is one right, in Kafka's own terms.
type ACL struct {
	Operation string `json:"operation"`        // Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite or All
	Resource  string `json:"resource"`         // topic, group, cluster or transactional_id
	Name      string `json:"name"`             // of the resource on its cluster; "*" is any; of cluster: kafka-cluster
	Prefix    bool   `json:"prefix,omitempty"` // Name is the beginning of names (PREFIXED)
	Host      string `json:"host"`             // "*": any
}

// ClaimKind says what a claim is for.
type ClaimKind string

// The kinds of Claim.
const (
	Expect ClaimKind = "expect" // broken: FAIL
	Assume ClaimKind = "assume" // broken: INCONCLUSIVE
	Rule   ClaimKind = "rule"   // broken: VOID
	Report ClaimKind = "report" // only tabulated; its term has no bound
)

// Claim is one sentence that is judged. Text is the sentence as written, on
// one line.
type Claim struct {
	Pos    Pos       `json:"pos"`
	Kind   ClaimKind `json:"kind"`
	ID     string    `json:"id,omitempty"`
	Text   string    `json:"text"`
	Points int       `json:"points,omitempty"`
	Hint   string    `json:"hint,omitempty"`
	Why    string    `json:"why,omitempty"`
	Expr   Expr      `json:"expr"`
}

// ExprOp combines terms.
type ExprOp string

// The operators of Expr. A term stands alone; no has one argument, both and
// either two or more.
const (
	OpTerm   ExprOp = "term"
	OpNo     ExprOp = "no"
	OpBoth   ExprOp = "both"
	OpEither ExprOp = "either"
)

// Expr is a claim's sentence: a term, or terms combined.
type Expr struct {
	Op   ExprOp `json:"op"`
	Term *Term  `json:"term,omitempty"`
	Args []Expr `json:"args,omitempty"`
}

// Term is subject . measure . window . bound.
type Term struct {
	Pos     Pos      `json:"pos"`
	Text    string   `json:"text"`
	Subject Ref      `json:"subject"`
	Measure string   `json:"measure"`          // a name in Measures
	Aspect  string   `json:"aspect,omitempty"` // of identical: one of Aspects
	Windows []Window `json:"windows,omitempty"`
	By      string   `json:"by,omitempty"`   // partition, key, member or all; "" is the measure's own
	Per     Duration `json:"per,omitempty"`  // bucket length; 0: one second
	Stat    string   `json:"stat,omitempty"` // p50 p90 p99 p999 max; "" is the measure's own
	Bound   *Bound   `json:"bound,omitempty"`
}

// WindowKind is the word that made a window.
type WindowKind string

// The kinds of Window. Several windows of a term are intersected.
const (
	Before  WindowKind = "before"  // A (of a handle: its start)
	After   WindowKind = "after"   // A (of a handle: its end)
	During  WindowKind = "during"  // Event, or A to B
	Outside WindowKind = "outside" // not during Event
	At      WindowKind = "at"      // A: the last whole bucket or sample before it; fates due or done by it
	AtEnd   WindowKind = "at_end"
)

// Window limits a term to a part of the run. Explicit is true for at and
// during(a, b), which may reach into the warm-up.
type Window struct {
	Kind     WindowKind `json:"kind"`
	Event    string     `json:"event,omitempty"`
	A        *Instant   `json:"a,omitempty"`
	B        *Instant   `json:"b,omitempty"`
	Explicit bool       `json:"explicit,omitempty"`
}

// BoundOp is the word that made a bound.
type BoundOp string

// The kinds of Bound.
const (
	NeverBelow BoundOp = "never_below"
	NeverAbove BoundOp = "never_above"
	AtLeast    BoundOp = "at_least"
	AtMost     BoundOp = "at_most"
	Equals     BoundOp = "equals"
	None       BoundOp = "none" // equals 0
	Balanced   BoundOp = "balanced"
	Eventually BoundOp = "eventually" // at_least Value, reached Within the window's start
)

// Bound is what a term must keep to. Value is in the measure's unit: records
// a second, seconds, a share, bytes or a count. Text is how the bound was
// written ("5s", 800).
type Bound struct {
	Op     BoundOp  `json:"op"`
	Value  float64  `json:"value"`
	Within Duration `json:"within,omitempty"`
	Text   string   `json:"text,omitempty"`
}
