package core

// This file defines the segments of a log, and retention: which of them are deleted by
// age and by size.

import (
	"slices"
	"time"
)

// segment is a stretch of a log that is deleted and compacted as a whole. One of size 0 has
// no batch.
type segment struct {
	base int64
	size int64
	// created is when its first batch was written; firstTime and maxTime are the largest
	// timestamps of its first batch and of all of them, -1 for none.
	created            time.Duration
	firstTime, maxTime int64
}

// extend takes a batch into the active segment.
func (l *partitionLog) extend(now time.Duration, b *batch) {
	s := &l.active
	if s.size == 0 {
		*s = segment{base: l.next, created: now, firstTime: b.maxTime, maxTime: -1}
	}
	s.size += int64(b.size())
	s.maxTime = max(s.maxTime, b.maxTime)
}

// segments lists those that have batches, the active one last.
func (l *partitionLog) segments() []segment {
	if l.active.size == 0 {
		return nil
	}
	return append(slices.Clip(l.sealed), l.active)
}

// size is that of all batches, in bytes.
func (l *partitionLog) size() int64 {
	size := l.active.size
	for i := range l.sealed {
		size += l.sealed[i].size
	}
	return size
}

// roll begins a new segment before a batch where the active one is full, in bytes or in
// time (LogSegment.shouldRoll): time is that of the records, or, where they have none,
// since the segment was begun.
func (r *replica) roll(b *batch) {
	l, s := r.log, r.settings
	active := &l.active
	if active.size == 0 {
		return
	}
	w := r.b.n.w
	waited := (w.now - active.created).Milliseconds()
	if active.firstTime >= 0 && b.maxTime >= 0 {
		waited = w.recordMillis(b.maxTime, s.logAppendTime) - w.recordMillis(active.firstTime, s.logAppendTime)
	}
	if active.size+int64(b.size()) > s.segmentBytes || waited > s.segmentMS {
		l.sealed, l.active = append(l.sealed, l.active), segment{}
		l.flush(w.now, l.next) // UnifiedLog.roll: only the active segment can lose its end
	}
}

// recordMillis is a record's timestamp as scenario time has it, in milliseconds since the
// Unix epoch. A client's clock goes by the wall, and when scenario time is faster, a
// record is older than its timestamp says; the broker's own timestamps are scenario time.
func (w *World) recordMillis(timestamp int64, appendTime bool) int64 {
	if appendTime || w.opts.ClientSpeed == 0 || w.opts.ClientSpeed == 1 {
		return timestamp
	}
	epoch := w.opts.Epoch.UnixMilli()
	return epoch + int64(float64(timestamp-epoch)*w.opts.ClientSpeed)
}

// clientMillis is what a client's clock shows at a scenario time; clientSpan is how long a
// span of scenario time is by that clock.
func (w *World) clientMillis(now time.Duration) int64 {
	return w.opts.Epoch.UnixMilli() + w.clientSpan(now.Milliseconds())
}

func (w *World) clientSpan(ms int64) int64 {
	if w.opts.ClientSpeed == 0 || w.opts.ClientSpeed == 1 {
		return ms
	}
	return int64(float64(ms) / w.opts.ClientSpeed)
}

// recount makes the segments' sizes and times anew from what is in the log, after some of
// it has gone. Segments that are empty go, and the last that is left is the active one.
func (l *partitionLog) recount() {
	segments := l.segments()
	i := 0
	for j := range segments {
		s := &segments[j]
		end := int64(1<<63 - 1)
		if j+1 < len(segments) {
			end = segments[j+1].base
		}
		s.size, s.firstTime, s.maxTime = 0, -1, -1
		for ; i < len(l.entries) && l.entries[i].b.base < end; i++ {
			b := l.entries[i].b
			if s.size == 0 {
				s.firstTime = b.maxTime
			}
			s.size += int64(b.size())
			s.maxTime = max(s.maxTime, b.maxTime)
		}
	}
	segments = slices.DeleteFunc(segments, func(s segment) bool { return s.size == 0 })
	l.sealed, l.active = nil, segment{}
	if last := len(segments) - 1; last >= 0 {
		l.sealed, l.active = segments[:last], segments[last]
	}
}

// retentionLoop looks for what can be deleted, every log.retention.check.interval.ms.
func (b *broker) retentionLoop(wait time.Duration) {
	b.n.after(wait, func() {
		for _, key := range sortedKeys(b.replicas) {
			b.replicas[key].retain()
		}
		b.retentionLoop(b.n.cfg.ms("log.retention.check.interval.ms"))
	})
}

// retain deletes whole segments from the log's start on, below the high-water mark: those
// whose newest record is older than retention.ms, then those beyond retention.bytes. A
// topic that is only compacted keeps everything. When all of them are old the log is
// empty and goes on at its end.
func (r *replica) retain() {
	s, l := r.settings, r.log
	segments := l.segments()
	if !s.deletes || len(segments) == 0 {
		return
	}
	w := r.b.n.w
	now := w.wallMillis(w.now)
	excess := l.size() - s.retentionBytes
	n, start := 0, l.start
	for i := range segments {
		seg := &segments[i]
		end := l.next
		if i+1 < len(segments) {
			end = segments[i+1].base
		}
		if r.hw < end {
			break
		}
		newest := w.wallMillis(seg.created)
		if seg.maxTime >= 0 {
			newest = w.recordMillis(seg.maxTime, s.logAppendTime)
		}
		old := s.retentionMS >= 0 && now-newest > s.retentionMS
		over := s.retentionBytes >= 0 && excess-seg.size >= 0
		if !old && !over {
			break
		}
		excess -= seg.size
		n, start = i+1, end
	}
	if n > 0 {
		r.startAt(start)
	}
}

// startAt moves the log's start; followers learn it with their next fetch.
func (r *replica) startAt(offset int64) {
	r.log.advanceStart(offset)
	for _, f := range r.remotes {
		if f.session != nil {
			f.session.mark(f)
		}
	}
}
