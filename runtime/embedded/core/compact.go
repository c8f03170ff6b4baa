package core

// This file defines compaction: of each key the last record is kept (LogCleaner).

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"starfall/runtime/embedded/codec"
)

// cleanLoop looks for logs to compact, every log.cleaner.backoff.ms.
func (b *broker) cleanLoop() {
	b.n.after(b.n.cfg.ms("log.cleaner.backoff.ms"), func() {
		for _, key := range sortedKeys(b.replicas) {
			if r := b.replicas[key]; r.settings.compact {
				r.clean()
			}
		}
		b.cleanLoop()
	})
}

// cleanable is the offset up to which the log may be compacted: whole segments, not the
// active one, below the last stable offset, and not younger than min.compaction.lag.ms.
func (r *replica) cleanable() int64 {
	w, l := r.b.n.w, r.log
	end := l.start
	segments := l.segments()
	for i := 0; i+1 < len(segments); i++ {
		next := segments[i+1].base
		newest := w.wallMillis(segments[i].created)
		if t := segments[i].maxTime; t >= 0 {
			newest = w.recordMillis(t, r.settings.logAppendTime)
		}
		if next > r.stable() || r.settings.minCompactionLagMS > 0 && w.wallMillis(w.now)-newest < r.settings.minCompactionLagMS {
			break
		}
		end = next
	}
	return end
}

// clean compacts what was not compacted yet, together with what was, if it is more than
// min.cleanable.dirty.ratio of both, or older than max.compaction.lag.ms, or if there are
// tombstones whose time is over.
func (r *replica) clean() {
	l, w := r.log, r.b.n.w
	end := r.cleanable()
	l.cleaned = max(l.cleaned, l.start)
	var clean, dirty int64
	overdue, tombs := false, false
	now := w.wallMillis(w.now)
	for i := 0; i < len(l.entries) && l.entries[i].b.last < end; i++ {
		b := l.entries[i].b
		if b.base >= l.cleaned {
			dirty += int64(b.size())
			overdue = overdue || now-w.recordMillis(b.maxTime, r.settings.logAppendTime) > r.settings.maxCompactionLagMS
			continue
		}
		clean += int64(b.size())
		tombs = tombs || b.horizon > 0 && w.now >= b.horizon
	}
	enough := dirty > 0 && (float64(dirty) > r.settings.minDirtyRatio*float64(clean+dirty) || overdue)
	if !enough && !tombs {
		return
	}
	latest := map[string]int64{}
	ends := l.txns.abortedByProducer()
	for i := 0; i < len(l.entries) && l.entries[i].b.last < end; i++ {
		b := l.entries[i].b
		if b.base < l.cleaned || b.control() || ends.has(b) {
			continue
		}
		err := r.eachKept(b, func(rec rawRecord) {
			if rec.key != nil {
				latest[string(rec.key)] = b.base + rec.delta
			}
		})
		if err != nil {
			return // the store cannot be read: nothing is thrown away
		}
	}
	r.rewrite(end, latest, ends)
}

// abortedRanges are where the aborted transactions of each producer begin and end.
type abortedRanges map[int64][]doneTxn

func (x *txnIndex) abortedByProducer() abortedRanges {
	out := abortedRanges{}
	if x == nil {
		return out
	}
	for _, t := range x.aborted {
		out[t.producerID] = append(out[t.producerID], doneTxn{t.first, t.last})
	}
	return out
}

// has tells whether a batch of records was written in an aborted transaction.
func (a abortedRanges) has(b *batch) bool {
	return b.transactional() && slices.ContainsFunc(a[b.producerID], func(t doneTxn) bool { return t.first <= b.base && b.base < t.last })
}

// rawRecord is one record as it stands in an unpacked batch.
type rawRecord struct {
	delta int64
	key   []byte // nil for none
	tomb  bool   // no value
	bytes []byte // with its length
}

// unpacked gives the records of a batch as plain bytes.
func (r *replica) unpacked(b *batch) ([]byte, error) {
	full, err := r.b.n.w.spool.loaded(b)
	if err != nil {
		return nil, err
	}
	if full.codec() == codec.None {
		return full.data[batchHeader:], nil
	}
	src, err := r.b.n.w.codec.Reader(full.codec(), full.data[batchHeader:], codec.MaxUnpacked)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(src)
}

var errRecord = errors.New("a record that does not add up")

func (r *replica) eachKept(b *batch, fn func(rawRecord)) error {
	plain, err := r.unpacked(b)
	if err != nil {
		return err
	}
	for range b.count {
		n, size := binary.Varint(plain)
		if size <= 0 || n < 1 || n > int64(len(plain)-size) {
			return errRecord
		}
		rec := rawRecord{bytes: plain[:size+int(n)]}
		body := plain[size+1 : size+int(n)] // behind the attributes
		var fields [3]int64                 // time delta, offset delta, length of the key
		for i := range fields {
			v, used := binary.Varint(body)
			if used <= 0 {
				return errRecord
			}
			fields[i], body = v, body[used:]
		}
		rec.delta = fields[1]
		if k := fields[2]; k >= 0 {
			if k > int64(len(body)) {
				return errRecord
			}
			rec.key, body = body[:k:k], body[k:]
			if rec.key == nil {
				rec.key = []byte{}
			}
		}
		v, used := binary.Varint(body)
		if used <= 0 {
			return errRecord
		}
		rec.tomb = v < 0
		fn(rec)
		plain = plain[size+int(n):]
	}
	return nil
}

// rewrite goes through the log up to end, where every transaction is decided, and keeps, of
// the records:
//
//	record                                  kept
//	of an aborted transaction               no
//	key has a later record                  no
//	tombstone, first met                    yes, until delete.retention.ms from now (KIP-534)
//	tombstone whose time is over            no
//	marker, batches of its transaction left yes
//	marker, first met without any           yes, until delete.retention.ms from now
//	marker whose time is over               no
//	any other                               yes
//
// Offsets stay what they were. A batch that lost some records keeps its first and last offset.
// One that lost all goes, unless it is the last of a producer that is remembered: then it
// stays, empty, for its epoch and sequence number (LogCleaner.cleanInto).
func (r *replica) rewrite(end int64, latest map[string]int64, aborted abortedRanges) {
	l, w := r.log, r.b.n.w
	var entries []logEntry
	met := map[int64]bool{} // producers of whose transaction a batch was met
	observed := map[int64]bool{}
	retention := time.Duration(min(r.settings.deleteRetentionMS, int64(1<<62)/int64(time.Millisecond))) * time.Millisecond
	i := 0
	for ; i < len(l.entries) && l.entries[i].b.last < end; i++ {
		e := l.entries[i]
		b := e.b
		gone := aborted.has(b)
		done := false // a marker of a transaction that has no batches
		switch {
		case b.control():
			done = !met[b.producerID]
			if met[b.producerID] {
				observed[b.last] = true
			}
			delete(met, b.producerID)
			gone = b.count == 0 || done && b.horizon > 0 && w.now >= b.horizon
		case b.transactional():
			met[b.producerID] = true
		}
		var kept []byte
		count, tombs := int32(0), false
		var err error
		if !gone {
			err = r.eachKept(b, func(rec rawRecord) {
				if !b.control() {
					at, newer := latest[string(rec.key)]
					switch {
					case rec.key == nil, newer && at > b.base+rec.delta:
						return
					case rec.tomb && b.horizon > 0 && w.now >= b.horizon:
						return
					}
					tombs = tombs || rec.tomb
				}
				count++
				kept = append(kept, rec.bytes...)
			})
		}
		horizon := b.horizon
		if horizon == 0 && (tombs || done && !gone) {
			horizon = w.now + retention
		}
		var smaller *batch
		switch {
		case err != nil || count == b.count && horizon == b.horizon && (count > 0 || l.lastOfProducer(b)):
			entries = append(entries, e)
			continue
		case count == 0 && !l.lastOfProducer(b):
			l.spool.drop(b)
			continue
		case count == 0:
			smaller, err = r.emptied(b)
		default:
			smaller, err = r.rebuilt(b, kept, count)
		}
		if err != nil {
			entries = append(entries, e)
			continue
		}
		if count > 0 {
			smaller.horizon = horizon
		}
		l.spool.hold(smaller)
		l.spool.drop(b)
		entries = append(entries, logEntry{b: smaller, at: e.at})
	}
	l.entries = append(entries, l.entries[i:]...)
	l.cleaned = end
	// Readers need to hear of an aborted transaction only while there are batches of it; when
	// its marker may go, they must not.
	if x := l.txns; x != nil {
		x.aborted = slices.DeleteFunc(x.aborted, func(t abortedTxn) bool { return t.last < end && !observed[t.last] })
	}
	l.reindex()
}

// lastOfProducer: the batch has the last sequence number that the log remembers of its
// producer, or, where it remembers only an epoch, that.
func (l *partitionLog) lastOfProducer(b *batch) bool {
	p := l.producers[b.producerID]
	switch {
	case b.producerID < 0 || p == nil:
		return false
	case len(p.batches) > 0:
		return b.last == p.batches[len(p.batches)-1].last
	}
	return b.control() && b.producerEpoch == p.epoch
}

// emptied is a batch without its records: a header, with nothing to compress.
func (r *replica) emptied(b *batch) (*batch, error) {
	full, err := r.b.n.w.spool.loaded(b)
	if err != nil {
		return nil, err
	}
	out := *b
	out.data, out.count, out.stored, out.holders, out.horizon = bytes.Clone(full.data[:batchHeader]), 0, nil, 0, 0
	out.attributes &^= 7
	binary.BigEndian.PutUint32(out.data[batchCount:], 0)
	out.seal()
	return &out, nil
}

// rebuilt is a batch with some of its records, in the compression it had.
func (r *replica) rebuilt(b *batch, records []byte, count int32) (*batch, error) {
	full, err := r.b.n.w.spool.loaded(b)
	if err != nil {
		return nil, err
	}
	data, err := r.b.n.w.codec.Compress(bytes.Clone(full.data[:batchHeader]), b.codec(), r.settings.compressionLevel, bytes.NewReader(records), math.MaxInt32)
	if err != nil {
		return nil, err
	}
	out := *b
	out.data, out.count, out.stored, out.holders = data, count, nil, 0
	binary.BigEndian.PutUint32(data[batchCount:], uint32(count))
	out.seal()
	return &out, nil
}

// reindex makes what follows from the entries anew: time index, segments.
func (l *partitionLog) reindex() {
	top := int64(-1 << 63)
	for i := range l.entries {
		e := &l.entries[i]
		top = max(top, e.b.maxTime)
		e.maxTime = top
	}
	l.maxTime = top
	l.recount()
}
