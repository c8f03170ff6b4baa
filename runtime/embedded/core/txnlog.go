package core

// This file defines what a log knows of transactions (KIP-98): control batches, which
// transactions are open and from where, which were aborted, and so how far a reader that
// wants only committed records may read. All of it follows from the batches, so every
// replica has it and a new leader need not ask anybody.

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/internal/rules"
)

// The types of control records that end a transaction.
const (
	controlAbort  int16 = 0
	controlCommit int16 = 1
)

// openTxn is a transaction that has records in the log and no marker yet.
type openTxn struct {
	producerID int64
	first      int64
}

// doneTxn is a transaction with its marker at last.
type doneTxn struct{ first, last int64 }

// abortedTxn is an entry of the index of aborted transactions. stable is the last stable
// offset as the marker left it: no transaction that begins before it can be added later.
type abortedTxn struct {
	producerID  int64
	first, last int64
	stable      int64
}

// txnIndex is a log's view of its transactions. nil is one without any.
type txnIndex struct {
	open []openTxn // by first offset
	// done keeps the transactions whose marker was not known to be below the high-water
	// mark: until it is, their records are not stable (UnifiedLog.firstUnstableOffset).
	done    []doneTxn    // by marker
	pruned  int64        // no marker below it is in done
	aborted []abortedTxn // by marker
}

func (x *txnIndex) begin(producerID, first int64) {
	x.open = append(x.open, openTxn{producerID, first})
}

// end closes a producer's transaction at the marker.
func (x *txnIndex) end(producerID, marker int64, commit bool) {
	i := slices.IndexFunc(x.open, func(t openTxn) bool { return t.producerID == producerID })
	if i < 0 {
		return
	}
	first := x.open[i].first
	x.open = slices.Delete(x.open, i, i+1)
	x.done = append(x.done, doneTxn{first, marker})
	if !commit {
		stable := marker + 1
		if len(x.open) > 0 {
			stable = x.open[0].first
		}
		x.aborted = append(x.aborted, abortedTxn{producerID, first, marker, stable})
	}
}

// stable is the last stable offset: everything below it is committed to the log and
// belongs to no open transaction.
func (x *txnIndex) stable(hw int64) int64 {
	if x == nil {
		return hw
	}
	x.prune(hw)
	stable := hw
	if len(x.open) > 0 {
		stable = min(stable, x.open[0].first)
	}
	for _, t := range x.done {
		stable = min(stable, t.first)
	}
	return stable
}

// prune forgets transactions whose marker is below the high-water mark.
func (x *txnIndex) prune(hw int64) {
	if x == nil {
		return
	}
	i := 0
	for i < len(x.done) && x.done[i].last < hw {
		i++
	}
	if i > 0 {
		x.pruned = x.done[i-1].last + 1
		x.done = slices.Delete(x.done, 0, i)
	}
}

// abortedIn lists the aborted transactions that a read from offset up to limit can meet.
func (x *txnIndex) abortedIn(offset, limit int64) []kmsg.FetchResponseTopicPartitionAbortedTransaction {
	out := []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	if x == nil {
		return out
	}
	i := sort.Search(len(x.aborted), func(i int) bool { return x.aborted[i].last >= offset })
	for _, t := range x.aborted[i:] {
		if t.first < limit {
			a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
			a.ProducerID, a.FirstOffset = t.producerID, t.first
			out = append(out, a)
		}
		if t.stable >= limit {
			break
		}
	}
	return out
}

// dropBefore forgets what lies before the log start.
func (x *txnIndex) dropBefore(start int64) {
	if x == nil {
		return
	}
	i := 0
	for i < len(x.aborted) && x.aborted[i].last < start {
		i++
	}
	if i > 0 {
		x.aborted = slices.Clone(x.aborted[i:])
	}
	for i := range x.open {
		x.open[i].first = max(x.open[i].first, start)
	}
}

func (b *batch) transactional() bool { return b.attributes&attrTransactional != 0 }
func (b *batch) control() bool       { return b.attributes&attrControl != 0 }

// marker reads a control batch that ends a transaction.
func (b *batch) marker() (commit bool, coordinatorEpoch int32, ok bool) {
	if !b.control() {
		return false, 0, false
	}
	records := b.groupRecords()
	if len(records) != 1 {
		return false, 0, false
	}
	key, value := kmsg.NewControlRecordKey(), kmsg.NewEndTxnMarker()
	if key.ReadFrom(records[0].Key) != nil || value.ReadFrom(records[0].Value) != nil {
		return false, 0, false
	}
	switch int16(key.Type) {
	case controlCommit:
		return true, value.CoordinatorEpoch, true
	case controlAbort:
		return false, value.CoordinatorEpoch, true
	}
	return false, 0, false
}

// setProducer marks a batch that a broker writes itself with a producer, whose sequence the broker
// does not count.
func (b *batch) setProducer(producerID int64, epoch int16, attributes int16, sequence int32) {
	be := binary.BigEndian
	b.producerID, b.producerEpoch, b.sequence = producerID, epoch, sequence
	b.attributes |= attributes
	be.PutUint16(b.data[batchAttributes:], uint16(b.attributes))
	be.PutUint64(b.data[batchProducerID:], uint64(producerID))
	be.PutUint16(b.data[batchProducerEp:], uint16(epoch))
	be.PutUint32(b.data[batchSequence:], uint32(sequence))
	be.PutUint32(b.data[batchCRC:], crc32.Checksum(b.data[batchAttributes:], castagnoli))
}

// newMarker makes the control batch that ends a transaction in a partition.
func newMarker(ms int64, m *txnMarker) *batch {
	key, value := kmsg.NewControlRecordKey(), kmsg.NewEndTxnMarker()
	key.Type = kmsg.ControlRecordKeyType(controlAbort)
	if m.commit {
		key.Type = kmsg.ControlRecordKeyType(controlCommit)
	}
	value.CoordinatorEpoch = m.coordinatorEpoch
	b := newBatch(ms, []GroupRecord{{Key: key.AppendTo(nil), Value: value.AppendTo(nil)}})
	b.setProducer(m.producerID, m.epoch, attrTransactional|attrControl, -1)
	return b
}

// stable is the replica's last stable offset.
func (r *replica) stable() int64 {
	if r.b.without(rules.StableOffset) {
		return r.hw
	}
	return r.log.txns.stable(r.hw)
}

// readable is where a reader of an isolation level must stop.
func (r *replica) readable(isolation int8) int64 {
	switch {
	case r.b.without(rules.ReadBelowHighWatermark):
		return r.log.next
	case isolation == readCommitted:
		return r.stable()
	}
	return r.hw
}

// readCommitted is the isolation level of requests that want only committed records.
const readCommitted int8 = 1
