// Package core is the pure part of the embedded Kafka: every node of one
// cluster (brokers, KRaft controllers, or both in one process) as state machines
// that are stepped by time and messages. It opens no socket, starts no goroutine
// and reads no clock: the same World runs under a real clock behind the TCP shell
// and under a virtual one in tests.
//
// This file defines what the shell, the group coordinator and the engine see.
package core

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/internal/rules"
)

// ConnID names a client's connection. The shell chooses it; it is unique in a World.
type ConnID uint64

// ClientConn says who sent a request.
type ClientConn struct {
	ID       ConnID
	ClientID string
	// ClientHost is what DescribeGroups shows as the member's host, such as "/127.0.0.1".
	ClientHost string
	// Listener is the place that the client dialled, an opaque key of the shell.
	// Answers carry the addresses that Options.Address gives for this key.
	Listener string

	principal string // who it is; set by the broker before it acts
}

// Options describe a cluster. The zero value is one combined node.
type Options struct {
	// Brokers is the number of brokers, ids 1 to Brokers. 0 means 1.
	Brokers int
	// Controllers is the number of separate KRaft controllers, with the ids that
	// ControllerID gives. With 0 every broker is also a voter of the quorum.
	Controllers int
	// Seed drives every random choice of the World.
	Seed uint64
	// ClusterID is what DescribeCluster and Metadata answer. "" means a fixed one.
	ClusterID string
	// Config holds node configs by Kafka's names, PerBroker those of one broker.
	Config    map[string]string
	PerBroker map[int32]map[string]string
	Racks     map[int32]string
	// Epoch is the wall-clock time of scenario time zero; it only fills in
	// timestamps (LogAppendTime, group commits). Zero means 2026-01-01 UTC.
	Epoch time.Time
	// StartDelay is the time from Start to a process that takes part: a Kafka broker
	// was measured to be registered again 1.9 s after its start. 0 means
	// DefaultStartDelay; negative means none. The first start of a World has none.
	StartDelay time.Duration

	// Address gives the address of a broker on the listener that a client dialled.
	// nil means "localhost" and port 9092.
	Address func(listener string, broker int32) (host string, port int32)
	// OnDown is called when a node's process ends: abrupt for Kill (its sockets
	// reset) and not for Stop (its sockets close). It is not called for PowerOff
	// and Pause: there the sockets stay and nobody answers.
	OnDown func(node int32, abrupt bool)
	// OnUp is called when a started process listens: a controller at once, a broker when
	// it has registered and caught up, as Kafka opens its port only then. It is called
	// for the first start too, from Advance.
	OnUp func(node int32)
	// CloseConn asks the shell to close a client's connection, as Kafka does when a
	// produce request with acks=0 cannot be carried out.
	CloseConn func(broker int32, conn ConnID)
	// OnEvent is told what happens inside, in order. See Event.
	OnEvent func(Event)
	// OnReplica is told, in the middle of a step, that a replica's log, high-water mark or
	// role has changed; OnCommitted that the active controller has committed a partition's
	// state, sometimes again and after later ones; active tells whether the metadata that
	// goes with it allows a broker to lead. Both are for exploration and may be nil.
	OnReplica   func(broker int32, topic string, partition int32)
	OnCommitted func(p PartitionState, active func(broker int32) bool)
	// Without leaves rules of the protocol out, for tests of what notices.
	Without rules.Set
	// Groups makes the group coordinator of a broker each time its process starts.
	// nil: group requests are not advertised, and answered with UNSUPPORTED_VERSION.
	Groups func(GroupEnv) GroupCoordinator
	// Store takes the bytes of record batches beyond Memory bytes (0: DefaultMemory). nil
	// keeps everything in memory.
	Store  Store
	Memory int64
	// ClientSpeed is how much faster than the clients' clocks scenario time goes, so that
	// retention knows the age of what they stamp. 0 means 1.
	ClientSpeed float64
	// Security is who clients have to be and what they may do. nil: nobody logs in and
	// everybody may do everything.
	Security *Security
}

// DefaultStartDelay is the time a restarted process takes until it talks to the
// quorum; with registration it gives the 1.9 s measured for Kafka 3.9.1 on the JVM.
const DefaultStartDelay = 1800 * time.Millisecond

// ControllerID is the node id of the n-th (from 1) separate controller.
func ControllerID(n int) int32 { return 1000 + int32(n) }

// Path is the state of the network from one node to another, one way. The zero
// value is a healthy path of a local network.
type Path struct {
	// Cut: no packet passes. Nothing is reset; senders retransmit.
	Cut bool
	// Latency is one way, Jitter the most that is added to it. Order is kept.
	Latency, Jitter time.Duration
	// Loss is the share of packets lost, 0 to 1. TCP turns it into delay.
	Loss float64
	// Bandwidth is in bytes a second; 0 means unlimited.
	Bandwidth float64
}

// Process is the state of a node's process.
type Process int8

// The states of a process. Kill and PowerOff lead to different ones: what peers see differs.
const (
	Running Process = iota
	Starting
	Stopping
	Stopped
	Killed
	Paused
	PoweredOff
)

// String gives the state in lower case words.
func (p Process) String() string {
	return [...]string{"running", "starting", "stopping", "stopped", "killed", "paused", "powered off"}[p]
}

// NodeState is what can be observed of a node from outside.
type NodeState struct {
	ID                 int32
	Broker, Controller bool // its roles
	Process            Process
	// Registered, Fenced and InControlledShutdown are as the active controller has
	// them, or, without one, as the most advanced controller has them.
	Registered, Fenced   bool
	InControlledShutdown bool
	Active               bool  // believes to be the active controller
	QuorumEpoch          int32 // the node's own
	QuorumLeader         int32 // whom the node believes to lead the quorum, -1 for nobody
	MetadataOffset       int64 // last applied offset of the metadata log
}

// PartitionState is a partition as metadata describes it. Leader is -1 when there is none.
type PartitionState struct {
	Topic                               string
	TopicID                             [16]byte
	Partition                           int32
	Replicas, ISR, Adding, Removing     []int32
	Leader, LeaderEpoch, PartitionEpoch int32
}

// ReplicaState is a broker's own view of one replica that it hosts.
type ReplicaState struct {
	Broker      int32
	Topic       string
	Partition   int32
	Leader      bool
	LeaderEpoch int32
	// LogStart, LogEnd, HighWatermark and LastStable are offsets; Size is in bytes.
	LogStart, LogEnd, HighWatermark, LastStable, Size int64
}

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	EventActiveController EventKind = "active controller" // Node became it, Epoch is the quorum's
	EventResigned         EventKind = "controller resigned"
	EventRegistered       EventKind = "broker registered"
	EventFenced           EventKind = "broker fenced"
	EventUnfenced         EventKind = "broker unfenced"
	EventLeader           EventKind = "leader elected" // Node is the new leader, -1 for none
	EventUnclean          EventKind = "unclean leader elected"
	EventISR              EventKind = "in-sync replicas changed"
	EventTruncated        EventKind = "log truncated" // by Node, from offset From to To
	EventProcess          EventKind = "process"       // Node's process changed, see Text
)

// Event is something that happened inside. Fields that do not apply are zero.
type Event struct {
	At        time.Duration
	Kind      EventKind
	Node      int32
	Topic     string
	Partition int32
	Epoch     int32
	ISR       []int32
	From, To  int64
	Text      string
}

// GroupRecord is one record of __consumer_offsets. A nil Value is a tombstone.
type GroupRecord struct {
	Key, Value []byte
	// Timestamp is in milliseconds since the Unix epoch; set when loaded.
	Timestamp int64
	// Txn says by which transaction the record was written; nil for none. Set when loaded.
	Txn *GroupTxn
}

// GroupTxn is the part that a transaction has in a partition of __consumer_offsets. Among
// loaded records, one with End set stands where the marker is and has neither key nor value.
type GroupTxn struct {
	ProducerID    int64
	ProducerEpoch int16
	End           TxnEnd
}

// TxnEnd is how a transaction ended.
type TxnEnd int8

// The ends of a transaction.
const (
	TxnOpen TxnEnd = iota
	TxnCommitted
	TxnAborted
)

// GroupStorage appends to __consumer_offsets on this broker, as a producer with
// acks=all and offsets.commit.timeout.ms would. done is called exactly once, later
// or at once, with a Kafka error code: 0 when committed, NOT_LEADER_OR_FOLLOWER (6),
// NOT_ENOUGH_REPLICAS (19), NOT_ENOUGH_REPLICAS_AFTER_APPEND (20), REQUEST_TIMED_OUT
// (7). It is not called after the broker's process has ended.
type GroupStorage interface {
	Append(partition int32, records []GroupRecord, done func(errorCode int16))
	// AppendTxn is Append in a transaction, after its coordinator has said that the
	// transaction is open and has this partition (KIP-890). Further codes:
	// INVALID_PRODUCER_EPOCH (47), INVALID_TXN_STATE (48), INVALID_PRODUCER_ID_MAPPING (49).
	AppendTxn(partition int32, transactionalID string, txn GroupTxn, records []GroupRecord, done func(errorCode int16))
}

// GroupEnv is what a broker gives its group coordinator.
type GroupEnv struct {
	Broker  int32
	Storage GroupStorage
	// Partition is the partition of __consumer_offsets that holds a group.
	Partition func(group string) int32
	// Config reads a broker config by Kafka's name, defaults included, in Kafka's own
	// units; "" when this World does not know the name.
	Config func(name string) string
	// TopicExists tells whether a topic and partition are in the broker's metadata.
	TopicExists func(topic string, partition int32) bool
	// TopicName and TopicID translate ids for requests that carry topic ids.
	TopicName func(id [16]byte) (string, bool)
	TopicID   func(name string) ([16]byte, bool)
	// WallMillis is the wall time at a scenario time, in milliseconds since the Unix epoch.
	WallMillis func(now time.Duration) int64
	// Rand is the broker's seeded source; member ids come from it.
	Rand *rand.Rand
	// Without leaves rules of the protocol out, for tests of what notices.
	Without rules.Set
}

// GroupCoordinator coordinates the groups of one broker. Its methods are called from
// the World's loop only. A coordinator leads the partitions between Load and Unload;
// requests of groups elsewhere it answers with NOT_COORDINATOR.
type GroupCoordinator interface {
	// Handle answers JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit,
	// TxnOffsetCommit, OffsetFetch, DescribeGroups, ListGroups, DeleteGroups and OffsetDelete. reply is
	// called exactly once, at once or later.
	Handle(now time.Duration, from ClientConn, req kmsg.Request, reply func(kmsg.Response))
	// Load: this broker became the leader of the partition; records is its whole log.
	Load(now time.Duration, partition int32, records []GroupRecord)
	// Unload: it lost the leadership, with waiting members to be answered NOT_COORDINATOR.
	Unload(now time.Duration, partition int32)
}

// GroupTransactions is implemented by coordinators that take offsets in transactions.
// Without it TxnOffsetCommit is not advertised. EndTxn is called for each marker that has
// been committed to a partition of __consumer_offsets that this broker leads.
type GroupTransactions interface {
	EndTxn(now time.Duration, partition int32, txn GroupTxn)
}

// GroupTimers is implemented by coordinators that have something to do as time
// passes. Tick is called when the time that Next gave has come; Next is asked after
// every call of the coordinator.
type GroupTimers interface {
	Tick(now time.Duration)
	Next() (at time.Duration, ok bool)
}

// The methods of World, in world.go, observe.go and versions.go. All of them are
// called from one goroutine; times are scenario time since the World began.
//
//	New(Options) (*World, error)               nodes start at once, at time 0
//	Advance(now)                               process everything due up to now
//	Next() (time.Duration, bool)               when Advance is needed next; ask after every other call
//	Now() time.Duration
//	Request(broker, from, req, reply)          a client's request reaches a broker's socket (after Advance(now))
//	Disconnected(broker, conn)                 the client went away: its parked requests are dropped
//	Kill PowerOff Pause Resume (node)          at once
//	Stop(node, done func())                    controlled shutdown; done when the process has ended
//	Start(node)                                OnUp is called when it listens
//	SetPaths(func(from, to int32) Path)        state of the network between nodes, replaced whole
//	Passes(from, to) bool                      whether a packet sent now would reach the other's host
//	Nodes() []NodeState
//	ActiveController() (int32, bool)
//	Partitions(viewer int32) []PartitionState  as a node's metadata has them; 0: the most advanced controller's
//	Replicas(broker int32) []ReplicaState
//	Step(limit), Replica, DiskLog              for exploration, in steps.go
//	Settled() error                            nil when every broker that should run is unfenced and every one's metadata shows every leader and full ISR
//	Supported(key int16) (min, max int16, ok bool)  versions of requests, as ApiVersions advertises them
//
// The shell ends a connection behind an answer that refuses a login: SaslAuthenticate with
// SASL_AUTHENTICATION_FAILED, SaslHandshake with UNSUPPORTED_SASL_MECHANISM.
//
// reply is called exactly once for each request, from inside the loop, at once or
// later; with nil for a produce request with acks=0, which has no answer; never when
// the node's process ends first. The record bytes of a produce request belong to the
// World afterwards.
