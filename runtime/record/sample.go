// This file defines samples: what a cluster looked like at a moment.

package record

import "time"

// Sample is one look at one cluster. The sampler takes five a wall second or
// more. A sampler that cannot reach the cluster sends no Sample: gaps are not
// filled in.
type Sample struct {
	At      time.Duration
	Cluster string
	// ActiveControllers is how many nodes consider themselves the active
	// controller; Controller is the id of one of them, -1 without any.
	ActiveControllers int
	Controller        int32
	Brokers           []BrokerState
	Partitions        []PartitionState // sorted by topic, partition
	Groups            []GroupState
}

// BrokerState is one broker in a Sample. Alive: registered and not fenced.
// Without Usage, CPU and Memory are not known.
type BrokerState struct {
	ID     int32
	Alive  bool
	Usage  bool
	CPU    float64 // cores
	Memory int64   // bytes
}

// PartitionState is one partition in a Sample, as the controller sees it
// (Leader, Epoch, ISR, Replicas) and as its leader sees it (LogStart, LogEnd,
// HighWater, Size). What is not known is -1; Leader -1 is no leader.
type PartitionState struct {
	Topic     string
	Partition int32
	Leader    int32
	Epoch     int32
	ISR       []int32
	Replicas  []int32
	MinInsync int
	LogStart  int64
	LogEnd    int64
	HighWater int64
	Size      int64 // bytes
}

// GroupState is a group as its coordinator describes it.
type GroupState struct {
	Group       string
	State       string // Kafka's name: Stable, PreparingRebalance …
	Members     int
	Coordinator int32
}

// GroupChange is what a consumer saw of its group: a new assignment, or its
// own orderly leave (Left).
type GroupChange struct {
	At         time.Duration
	Consumer   int // index in plan.Consumers
	Member     int // from 1
	Generation int32
	Left       bool
	Assigned   []TopicPartition
}

// StateNote is how much memory a member's dedup takes at a moment.
type StateNote struct {
	At       time.Duration
	Consumer int // index in plan.Consumers
	Member   int // from 1
	Bytes    int64
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// AuditMark says that a partition was read by the audit: every offset from
// LogStart to HighWater that stood in the log has its span. Complete is false
// when the reader gave up.
type AuditMark struct {
	Topic     int // index in plan.Topics
	Partition int32
	LogStart  int64
	HighWater int64
	Complete  bool
	Error     string
}
