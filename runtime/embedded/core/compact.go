package core

// This file defines compaction: of each key the last record is kept (LogCleaner).

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
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
	for i := 0; i+1 < len(l.segments); i++ {
		next := l.segments[i+1].base
		newest := w.wallMillis(l.segments[i].created)
		if t := l.segments[i].maxTime; t >= 0 {
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
	for i := 0; i < len(l.entries) && l.entries[i].b.last < end; i++ {
		b := l.entries[i].b
		if b.base < l.cleaned || b.attributes&(attrTransactional|attrControl) != 0 {
			// What a transaction wrote may have been aborted: it replaces nothing.
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
	r.rewrite(end, latest)
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

// rewrite goes through the log up to end and keeps, of the records:
//
//	record                                  kept
//	of a transaction, or a marker           always
//	key has a later record                  no
//	tombstone, first met                    yes, until delete.retention.ms from now (KIP-534)
//	tombstone whose time is over            no
//	any other                               yes
//
// Offsets stay what they were. A batch without records goes; one that lost some keeps its
// first and last offset.
func (r *replica) rewrite(end int64, latest map[string]int64) {
	l, w := r.log, r.b.n.w
	var entries []logEntry
	i := 0
	for ; i < len(l.entries) && l.entries[i].b.last < end; i++ {
		e := l.entries[i]
		b := e.b
		if b.attributes&(attrTransactional|attrControl) != 0 {
			entries = append(entries, e)
			continue
		}
		var kept []byte
		count, tombs := int32(0), false
		err := r.eachKept(b, func(rec rawRecord) {
			at, newer := latest[string(rec.key)]
			switch {
			case rec.key == nil, newer && at > b.base+rec.delta:
				return
			case rec.tomb && b.horizon > 0 && w.now >= b.horizon:
				return
			}
			tombs = tombs || rec.tomb
			count++
			kept = append(kept, rec.bytes...)
		})
		horizon := b.horizon
		if tombs && horizon == 0 {
			horizon = w.now + time.Duration(min(r.settings.deleteRetentionMS, int64(1<<62)/int64(time.Millisecond)))*time.Millisecond
		}
		switch {
		case err == nil && count == 0:
			l.spool.drop(b)
		case err != nil || count == b.count && horizon == b.horizon:
			entries = append(entries, e)
		default:
			smaller, err := r.rebuilt(b, kept, count)
			if err != nil {
				entries = append(entries, e)
				continue
			}
			smaller.horizon = horizon
			l.spool.hold(smaller)
			l.spool.drop(b)
			entries = append(entries, logEntry{smaller, e.at})
		}
	}
	l.entries = append(entries, l.entries[i:]...)
	l.cleaned = end
	l.reindex()
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

// reindex makes what follows from the entries anew: size, time index, segments.
func (l *partitionLog) reindex() {
	l.size, l.maxTimes = 0, l.maxTimes[:0:0]
	top := int64(-1 << 63)
	for _, e := range l.entries {
		l.size += int64(e.b.size())
		top = max(top, e.b.maxTime)
		l.maxTimes = append(l.maxTimes, top)
	}
	l.recount()
}
