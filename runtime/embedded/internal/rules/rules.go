// Package rules names rules of the protocol that the embedded Kafka keeps, one by one,
// so that a test can leave one out and see whether exploration notices. Being internal
// it cannot be reached from a scenario or a command: the only value of a Set outside
// of tests is the zero one, with which every rule is kept.
package rules

// Set is a set of rules that are left out.
type Set uint64

// The rules. The comment says what happens without it.
const (
	// MaximalISR: the high-water mark waits for the committed in-sync replicas only, not
	// for those that have been asked for (KIP-497).
	MaximalISR Set = 1 << iota
	// CaughtUpWait: the high-water mark does not wait for a follower that may join soon.
	CaughtUpWait
	// FetchEpoch: a leader answers followers of another leader epoch (KIP-101).
	FetchEpoch
	// Divergence: a leader does not compare the epoch of a follower's last batch (KIP-595).
	Divergence
	// MinISR: min.insync.replicas is not looked at.
	MinISR
	// PartitionEpoch: the controller takes changes of an old in-sync set.
	PartitionEpoch
	// AlterLeaderEpoch: the controller takes changes from a former leader.
	AlterLeaderEpoch
	// FencedJoin: a fenced broker may join the in-sync replicas (KIP-841).
	FencedJoin
	// JoinCaughtUp: a follower may join the in-sync replicas before it has everything.
	JoinCaughtUp
	// LeaderInSync: a broker outside the in-sync replicas may be elected.
	LeaderInSync
	// EpochBump: a new leader begins without a new leader epoch.
	EpochBump
	// HighWatermark: a record counts as committed as soon as the leader has it.
	HighWatermark
	// ReadBelowHighWatermark: clients read up to the log end instead of the high-water mark.
	ReadBelowHighWatermark
	// LostLeadership: a leader that is replaced acknowledges what waited.
	LostLeadership
	// Sequence: batches of an idempotent producer are appended without a look at their
	// sequence numbers (KIP-98).
	Sequence
	// VoteOnce: a voter grants its vote to several candidates of one epoch.
	VoteOnce
	// VoteUpToDate: a voter grants its vote to a candidate with a shorter log.
	VoteUpToDate
	// MetadataMajority: metadata is committed as soon as the active controller has it.
	MetadataMajority
	// AnswerCommitted: the controller answers AlterPartition before the change is committed.
	AnswerCommitted
	// FenceOnTimeout: a broker whose session is over stays a leader and in sync.
	FenceOnTimeout
	// Generation: the coordinator takes commits of an old generation.
	Generation
	// CommitStored: what the coordinator writes counts before it is replicated.
	CommitStored
	// StableOffset: readers of committed records read up to the high-water mark, whatever
	// transactions are open (KIP-98).
	StableOffset
	// AbortedKept: a log that is truncated forgets which transactions were aborted.
	AbortedKept
	// EveryMarker: only the first of a transaction's partitions gets its marker.
	EveryMarker
	// DecidedFirst: the markers do not wait for the decision to be committed to the
	// coordinator's log.
	DecidedFirst
	// FinishDecided: a new coordinator leaves alone what the one before had decided.
	FinishDecided
	// ProducerEpoch: leaders take batches of a producer that has been fenced.
	ProducerEpoch
	// FenceOnInit: InitProducerId does not raise the producer's epoch.
	FenceOnInit
	// TxnTimeout: transactions that nobody ends stay open.
	TxnTimeout
	// VerifyTxn: leaders do not ask whether a transaction is open before they write the
	// first batch of it (KIP-890).
	VerifyTxn
	// MarkerEpoch: leaders take markers of producers and coordinators that have been replaced.
	MarkerEpoch
	// PendingOffsets: offsets in a transaction hold before it is committed.
	PendingOffsets
	// LoadPending: a new group coordinator forgets the offsets of open transactions.
	LoadPending
	// KillKeeps: a process that is killed takes with it what the disk has not got yet.
	KillKeeps
	// RegisterFences: a broker that starts again takes the place of the process before, which
	// may still be in sync.
	RegisterFences
)

// Lacks reports whether a rule is left out.
func (s Set) Lacks(rule Set) bool { return s&rule != 0 }
