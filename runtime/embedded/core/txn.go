package core

// This file defines the state of a transaction as its coordinator keeps it, how it is
// written to __transaction_state, and how that is read back (KIP-98, in Kafka's format).

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnTopic holds the transactional ids and their transactions.
const txnTopic = "__transaction_state"

// txnState is the state of a transactional id, with the number that Kafka writes.
//
//	state              request or event                          next
//	Empty              AddPartitionsToTxn, AddOffsetsToTxn       Ongoing
//	                   InitProducerId (epoch + 1)                Empty
//	Ongoing            more partitions                           Ongoing
//	                   EndTxn                                    PrepareCommit, PrepareAbort
//	                   InitProducerId, timeout                   PrepareEpochFence, in memory only:
//	                                                             epoch + 1, and PrepareAbort at once
//	PrepareCommit      marker in every partition                 CompleteCommit
//	PrepareAbort       marker in every partition                 CompleteAbort
//	CompleteCommit,    partitions of the next transaction        Ongoing
//	CompleteAbort      InitProducerId (epoch + 1)                Empty
//	                   the EndTxn that led here, again           the same
//	Empty, Complete…   transactional.id.expiration.ms            gone
//
// Every other EndTxn is answered with INVALID_TXN_STATE; what comes in a Prepare state, or
// while a transition is being written, with CONCURRENT_TRANSACTIONS. A transition holds
// once it is committed to the log.
type txnState int8

const (
	txnEmpty txnState = iota
	txnOngoing
	txnPrepareCommit
	txnPrepareAbort
	txnCompleteCommit
	txnCompleteAbort
	txnDead
	txnPrepareEpochFence
	txnNone txnState = -1 // no transition is being written
)

var txnStateNames = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

// String gives the state's name as DescribeTransactions spells it.
func (s txnState) String() string {
	if s < 0 || int(s) >= len(txnStateNames) {
		return "Unknown"
	}
	return txnStateNames[s]
}

// preparing: the outcome is decided and the markers are on their way.
func (s txnState) preparing() bool { return s == txnPrepareCommit || s == txnPrepareAbort }

// producerEpoch is a producer id and its epoch; -1 and -1 for none.
type producerEpoch struct {
	id    int64
	epoch int16
}

// maxTxnEpoch is the epoch from which on a transactional id gets another producer id
// (TransactionMetadata.isEpochExhausted).
const maxTxnEpoch = 32767 - 1

// txnMetadata is what is written of a transactional id.
type txnMetadata struct {
	producerID int64
	epoch      int16
	// lastEpoch is the epoch before an InitProducerId that named it (KIP-360), -1 for none:
	// that request may come again.
	lastEpoch  int16
	timeoutMS  int32
	state      txnState
	partitions map[partitionKey]bool
	started    int64 // epoch milliseconds of the transaction's begin, -1 for none
	updated    int64 // epoch milliseconds
}

// txn is a transactional id at its coordinator.
type txn struct {
	id string
	txnMetadata
	lastProducerID int64
	pending        txnState
	// failedFence: the epoch was raised to fence a producer, but that could not be written;
	// the next attempt does not raise it again.
	failedFence bool
}

// with copies the metadata for a transition.
func (m txnMetadata) with(state txnState, now int64) txnMetadata {
	m.state, m.updated = state, now
	m.partitions = maps.Clone(m.partitions)
	return m
}

func txnKey(id string) []byte {
	k := kmsg.NewTxnMetadataKey()
	k.TransactionalID = id
	return k.AppendTo(nil)
}

func (m *txnMetadata) value() []byte {
	v := kmsg.NewTxnMetadataValue()
	v.ProducerID, v.ProducerEpoch, v.TimeoutMillis = m.producerID, m.epoch, m.timeoutMS
	v.State = kmsg.TransactionState(m.state)
	v.LastUpdateTimestamp, v.StartTimestamp = m.updated, m.started
	if m.state != txnEmpty {
		v.Topics = []kmsg.TxnMetadataValueTopic{}
	}
	for _, key := range sortedKeys(m.partitions) {
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != key.topic {
			t := kmsg.NewTxnMetadataValueTopic()
			t.Topic = key.topic
			v.Topics = append(v.Topics, t)
		}
		t := &v.Topics[len(v.Topics)-1]
		t.Partitions = append(t.Partitions, key.partition)
	}
	return v.AppendTo(nil)
}

// readTxns replays a partition of __transaction_state. What is not understood is left alone.
func readTxns(l *partitionLog) map[string]*txn {
	txns := map[string]*txn{}
	for _, e := range l.entries {
		for _, r := range e.b.groupRecords() {
			key, v := kmsg.NewTxnMetadataKey(), kmsg.NewTxnMetadataValue()
			if key.ReadFrom(r.Key) != nil || key.Version != 0 {
				continue
			}
			if r.Value == nil {
				delete(txns, key.TransactionalID)
				continue
			}
			if v.ReadFrom(r.Value) != nil {
				continue
			}
			t := &txn{id: key.TransactionalID, pending: txnNone, lastProducerID: -1}
			t.txnMetadata = txnMetadata{
				producerID: v.ProducerID, epoch: v.ProducerEpoch, lastEpoch: -1, timeoutMS: v.TimeoutMillis,
				state: txnState(v.State), partitions: map[partitionKey]bool{}, started: v.StartTimestamp, updated: v.LastUpdateTimestamp,
			}
			for _, topic := range v.Topics {
				for _, p := range topic.Partitions {
					t.partitions[partitionKey{topic.Topic, p}] = true
				}
			}
			txns[t.id] = t
		}
	}
	return txns
}

func sortedTxns(m map[string]*txn) []*txn {
	out := make([]*txn, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[id])
	}
	return out
}
