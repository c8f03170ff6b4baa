package core

// This file defines what an explorer needs on top of the World's other methods: what
// an event may have changed, and the logs as they lie on disks.

import "encoding/binary"

// touched tells the explorer that a replica has changed.
func (n *node) touched(key partitionKey) {
	if n.w.opts.OnReplica != nil {
		n.w.opts.OnReplica(n.id, key.topic, key.partition)
	}
}

func (r *replica) touched() {
	if r.b.n.w.opts.OnReplica != nil {
		r.b.n.touched(r.key)
	}
}

// Replica is one of Replicas; ok is false when the broker has no process or no such replica.
func (w *World) Replica(broker int32, topic string, partition int32) (s ReplicaState, ok bool) {
	n := w.byID[broker]
	if n == nil || n.broker == nil {
		return s, false
	}
	r := n.broker.replicas[partitionKey{topic, partition}]
	if r == nil {
		return s, false
	}
	return r.observed(), true
}

func (r *replica) observed() ReplicaState {
	return ReplicaState{
		Broker: r.b.n.id, Topic: r.key.topic, Partition: r.key.partition, Leader: r.leading, LeaderEpoch: r.epoch,
		LogStart: r.log.start, LogEnd: r.log.next, HighWatermark: r.hw, LastStable: r.stable(), Size: r.log.size(),
	}
}

// DiskLog is a look at a replica's log on its broker's disk, whether the broker has a
// process or not.
type DiskLog struct{ l *partitionLog }

// DiskLog finds the log of a replica; ok is false when the broker has none.
func (w *World) DiskLog(broker int32, topic string, partition int32) (log DiskLog, ok bool) {
	n := w.byID[broker]
	if n == nil {
		return DiskLog{}, false
	}
	l := n.disk.logs[partitionKey{topic, partition}]
	return DiskLog{l}, l != nil
}

// Start is the log start offset.
func (d DiskLog) Start() int64 { return d.l.start }

// End is the log end offset.
func (d DiskLog) End() int64 { return d.l.next }

// DiskBatch is one record batch of a log.
type DiskBatch struct {
	Base, Last int64
	Epoch      int32
	// Sum is the batch's checksum; it does not cover offset and epoch.
	Sum uint32
	// Data is the whole batch; it must not be changed.
	Data []byte
}

// At is the batch that contains an offset.
func (d DiskLog) At(offset int64) (DiskBatch, bool) {
	i := d.l.find(offset)
	if offset < d.l.start || i == len(d.l.entries) || d.l.entries[i].b.base > offset {
		return DiskBatch{}, false
	}
	b := d.l.entries[i].b
	return DiskBatch{Base: b.base, Last: b.last, Epoch: b.epoch, Sum: binary.BigEndian.Uint32(b.data[batchCRC:]), Data: b.data}, true
}
