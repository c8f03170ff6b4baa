// Package runtime carries out a plan: it brings a cluster up on an engine,
// puts load on it, fires the timeline, records what happens and takes
// everything down. It knows no Starlark, no Docker and no Kafka client.
//
// This file defines what the runtime needs from an engine. Powers beyond
// Engine and World are one-method interfaces found by assertion; a plan that
// needs a power which the engine lacks is refused before anything starts.
package runtime

import (
	"context"
	"time"

	"starfall/interp/plan"
)

// Engine brings up the clusters of a plan.
type Engine interface {
	// Name is how tables and flags call the engine: embedded or docker.
	Name() string
	// Refuse names everything in the plan that this engine cannot do.
	Refuse(p *plan.Plan) []Refusal
	// Up brings up every cluster of the plan, without topics, and returns
	// once all brokers are registered. On error nothing is left behind.
	Up(ctx context.Context, p *plan.Plan, o UpOptions) (World, error)
}

// Observant is the power of an Engine that reports each leader election to
// UpOptions.Observe as it happens. Without it elections are inferred from
// samples, which cannot see two of them between two samples.
type Observant interface {
	ReportsElections() bool
}

// Refusal is one thing that an engine cannot do, where the plan asks for it,
// and the engine that can ("" when none does).
type Refusal struct {
	Pos     plan.Pos
	Message string
	Engine  string
}

// UpOptions are what Up needs beside the plan.
type UpOptions struct {
	// Speed divides every duration of the brokers: at 10, nine seconds of
	// scenario take 0.9 s. 0 means 1.
	Speed float64
	// Folder is where the engine may write logs; "" for nowhere.
	Folder string
	// Observe, when set, is called for each change that the engine sees by
	// itself, in order, never concurrently. It must not block.
	Observe func(Change)
	// FixedPorts, when set, gives the first port of the listeners on
	// loopback, so that addresses are the same at each start.
	FixedPorts int
	// Operators are the super users of clusters with authentication, by
	// cluster, whom the engine makes beside the users of the plan.
	Operators map[string]Login
}

// Login is how somebody says who he is to a cluster. The zero value says
// nothing.
type Login struct {
	Mechanism string // Kafka's name: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string
	Password  string
}

// Clock tells scenario time. Before Start it is not running and Now is
// negative or zero.
type Clock interface {
	// Now is the scenario time since load started.
	Now() time.Duration
}

// Zeroed is the power of a Clock to tell when its zero is, which a clock in
// another process needs to go alike. The clock of a run has it.
type Zeroed interface {
	// Zero waits until the moment is fixed, which may then lie ahead. It fails
	// with the cause of ctx when that ends first.
	Zero(ctx context.Context) (time.Time, error)
}

// Change is something that a cluster did by itself.
type Change struct {
	At      time.Time // when, by the wall clock with its monotonic reading
	Cluster string
	Kind    ChangeKind
	Node    int32  // the broker fenced or registered, the new leader or controller; 0: none
	Topic   string // for leaders and in-sync replicas
	Part    int32
	Epoch   int32  // the leader epoch, for leaders; 0: not known
	Text    string // for people: "kafka-2 fenced"
}

// ChangeKind says what changed.
type ChangeKind string

// The kinds of Change.
const (
	ChangeFenced     ChangeKind = "fenced"
	ChangeUnfenced   ChangeKind = "unfenced"
	ChangeController ChangeKind = "controller" // another node became the active controller
	ChangeLeader     ChangeKind = "leader"     // a partition got another leader, or none (Node 0)
	ChangeUnclean    ChangeKind = "unclean"    // the same, from outside the in-sync set
	ChangeISR        ChangeKind = "isr"
	ChangeTruncated  ChangeKind = "truncated" // a replica dropped records behind the high-water mark's epoch
)

// Place is where a connection starts: a client member or a site. The zero
// Place is the control side, which no fault ever touches.
type Place struct {
	Client string // name of a producer or consumer
	Member int    // 1…
	Site   string // for a client: where it stands; alone: a stranger there
}

// World is the running clusters of one plan.
type World interface {
	// Bootstrap gives the host:port of each broker of a cluster as dialled
	// from a place. Places may be new at any time (a client that grows).
	Bootstrap(cluster string, from Place) ([]string, error)
	// Inspect tells the true state of a cluster, as the active controller
	// has it, beside what each process does.
	Inspect(ctx context.Context, cluster string) (State, error)
	// Close takes everything down. It is safe to call twice.
	Close(ctx context.Context) error
}

// NodeKey names a node of a cluster.
type NodeKey struct {
	Cluster string
	ID      int32
}

// Signal is what happens to a process or its host.
type Signal string

// The signals (language.md, verbs on nodes).
const (
	SignalKill     Signal = "kill"      // SIGKILL: peers see resets at once
	SignalStop     Signal = "stop"      // SIGTERM: controlled shutdown
	SignalPause    Signal = "pause"     // SIGSTOP
	SignalResume   Signal = "resume"    // SIGCONT
	SignalPowerOff Signal = "power_off" // the host vanishes: no resets
	SignalStart    Signal = "start"     // start the process; proved once the broker is registered and unfenced
)

// Processes is the power over nodes. Signal returns once the effect is
// proved, or with Proof.OK false when it could not be proved before ctx ended.
type Processes interface {
	Signal(ctx context.Context, node NodeKey, s Signal) (Proof, error)
}

// Endpoint is one end of a network path: a node, or a client member.
type Endpoint struct {
	Node  NodeKey // when Node.ID is not 0
	Place Place
}

// Path is the condition of the packets from one endpoint to another.
type Path struct {
	From, To  Endpoint
	Condition plan.Condition
}

// Network is the power over paths. Shape replaces the whole state of the
// network at once: every path that is not listed is whole. Each direction is
// its own path. The proof tells, by probes from inside, that the listed cuts
// cut and that paths which are whole again pass.
type Network interface {
	Shape(ctx context.Context, paths []Path) (Proof, error)
}

// Reacher is the power of a World to tell whether a packet from a place comes
// through to a broker, named by its address for that place, and an answer back.
// A world whose listeners are on loopback needs it: there every dial succeeds,
// cut or not, so its clients ask first, and wait as TCP would.
type Reacher interface {
	Reaches(from Place, addr string) bool
}

// Mirrorer is the power to run mirrors. A World that has MirrorMaker has it;
// elsewhere the clients of the run have it.
type Mirrorer interface {
	// Mirror starts a mirror and returns once each of its topics has its copy
	// and records pass.
	Mirror(ctx context.Context, s MirrorSpec) (Member, error)
}

// MirrorSpec is one mirror with all it needs to run.
type MirrorSpec struct {
	Env
	Mirror   plan.Mirror
	Topics   []plan.Topic // of the source
	Copies   []plan.Topic // of origin mirrored, in the order of Topics
	Place    Place        // where it stands: Client is the mirror's name, Member 1
	From, To []string     // bootstrap addresses of the source and the target, as dialled from Place
}

// Toolbox is the power of a World to run Kafka's own tools.
type Toolbox interface {
	// Tool runs a tool by its usual name, such as kafka-topics, on the control
	// side of a cluster. Where args name no server, the cluster's is put in. An
	// error means that it did not run to its end, which is not what its exit
	// code says.
	Tool(ctx context.Context, cluster, name string, args []string) (ToolResult, error)
}

// ToolResult is what a tool printed, both streams in the order in which they
// came, and its exit code. Beside an error it is what the tool had printed when
// it was ended, without a code.
type ToolResult struct {
	Output []byte
	Cut    bool // Output was longer than what is kept
	Code   int
}

// Relayer is the power of a World to send a client's traffic through a relay
// in a site: connections that stand are reset, and new ones go to the relay,
// which dials the broker from where it stands. Where a World lacks it, the
// network lets the client's packets take the conditions of both ways.
type Relayer interface {
	// Relay sends all members of a client through a site, or, with via "",
	// straight again.
	Relay(ctx context.Context, client, via string) (Proof, error)
}

// Disconnecter is the power of a World to reset the connections that stand
// between a place and the brokers, as a client's are that is pointed elsewhere.
// A World that is no Relayer has it, for reroute.
type Disconnecter interface {
	Disconnect(place Place)
}

// RelayPlace is where the relay of a site stands, as an end of paths.
func RelayPlace(site string) Place { return Place{Client: "relay/" + site, Member: 1, Site: site} }

// Proof is the evidence that something took effect.
type Proof struct {
	OK   bool
	At   time.Time // when the effect was seen, by the monotonic clock
	Text string    // for people: "process gone, port closed"
	// Wrote is where the record of send landed; nil for every other verb.
	Wrote *Written
	// Deleted are what delete_records and delete took away, by plan topic: the
	// records before Offset of a partition, or, with Partition -1, the topic.
	Deleted []Written
}

// Written is the place of one record in a log.
type Written struct {
	Topic     string
	Partition int32
	Offset    int64
}

// State is a cluster at one moment.
type State struct {
	Nodes       []NodeState
	Controllers []int32 // nodes that consider themselves the active controller, the newest quorum epoch first
	Partitions  []PartitionState
	Memory      int64   // bytes held by the brokers; 0: not known
	CPU         float64 // processor seconds used so far; 0: not known
}

// NodeState is one node. Process is what its process does; Alive is true for
// a broker that is registered and not fenced.
type NodeState struct {
	ID      int32
	Process string // running, stopped or paused
	Alive   bool
	Memory  int64   // bytes that this node holds; 0: not known
	CPU     float64 // processor seconds this node used so far; 0: not known
}

// PartitionState is one partition of a topic. Leader is -1 for none.
type PartitionState struct {
	Topic     string
	Partition int32
	Leader    int32
	Epoch     int32
	Replicas  []int32
	ISR       []int32
	Start     int64 // log start offset of the leader; -1: not known
	HighWater int64
	Stable    int64 // last stable offset: where a reader of committed records stops
	End       int64
	Size      int64 // bytes in the leader's log
}
