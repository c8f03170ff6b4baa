package core

// This file defines a partition's log: record batches in order, the leader epochs
// they were written in, the producers' states that follow from them, and what of it
// is on the disk.

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The layout of a v2 record batch: offsets of its fields.
const (
	batchBaseOffset  = 0
	batchLength      = 8
	batchLeaderEpoch = 12
	batchMagic       = 16
	batchCRC         = 17
	batchAttributes  = 21
	batchLastDelta   = 23
	batchFirstTime   = 27
	batchMaxTime     = 35
	batchProducerID  = 43
	batchProducerEp  = 51
	batchSequence    = 53
	batchCount       = 57
	batchHeader      = 61
)

const (
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

// dirtyExpire is how long the operating system keeps a written page in memory before
// it is flushed (Linux' vm.dirty_expire_centisecs of 30 s). Kafka itself flushes what is
// before the active segment, and by flush.messages and flush.ms, which are off by default.
const dirtyExpire = 30 * time.Second

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is one record batch, shared by all replicas that hold it; its bytes never
// change after the leader has assigned its offset.
type batch struct {
	data          []byte
	base, last    int64
	maxTime       int64
	epoch         int32
	holders       int32 // logs that hold it
	producerID    int64
	producerEpoch int16
	attributes    int16
	sequence      int32
	count         int32

	stored *stored // where the bytes are when data is nil
	// horizon is when its tombstones may go; 0 before they were first met.
	horizon time.Duration
}

// lastSequence wraps as Kafka's sequence numbers do.
// A compacted batch has fewer records than sequence numbers.
func (b *batch) lastSequence() int32 {
	return addSequence(b.sequence, max(b.count-1, int32(b.last-b.base)))
}

func addSequence(seq, n int32) int32 {
	return int32((int64(seq) + int64(n)) & 0x7fffffff)
}

// Why a batch is refused.
var (
	errCorrupt       = errors.New("corrupt batch")
	errInvalidRecord = errors.New("invalid record batch")
	errOldMagic      = errors.New("unsupported message format")
	errTooLarge      = errors.New("batch too large")
)

// parse makes the batch of the records of a partition in a produce request. Kafka takes
// exactly one batch; one that is cut off counts as none (ByteBufferLogInputStream,
// ProduceRequest.validateRecords), and an empty one is refused.
func (b *batch) parse(data []byte, maxBytes int) error {
	if len(data) <= batchMagic {
		return errInvalidRecord
	}
	be := binary.BigEndian
	length := int(int32(be.Uint32(data[batchLength:]))) + 12
	switch {
	case length < 12+14 || data[batchMagic] > 2: // less than any format has
		return errCorrupt
	case length > len(data):
		return errInvalidRecord
	case data[batchMagic] != 2:
		return errOldMagic
	case length < batchHeader:
		return errCorrupt
	case length != len(data):
		return errInvalidRecord
	}
	if length > maxBytes {
		return errTooLarge
	}
	if crc32.Checksum(data[batchAttributes:], castagnoli) != be.Uint32(data[batchCRC:]) {
		return errCorrupt
	}
	*b = batch{
		data:          data,
		attributes:    int16(be.Uint16(data[batchAttributes:])),
		maxTime:       int64(be.Uint64(data[batchMaxTime:])),
		producerID:    int64(be.Uint64(data[batchProducerID:])),
		producerEpoch: int16(be.Uint16(data[batchProducerEp:])),
		sequence:      int32(be.Uint32(data[batchSequence:])),
		count:         int32(be.Uint32(data[batchCount:])),
	}
	delta := int32(be.Uint32(data[batchLastDelta:]))
	if b.count <= 0 || delta != b.count-1 || b.attributes&attrControl != 0 {
		return errInvalidRecord
	}
	if b.attributes&7 == 0 && !recordsAddUp(data[batchHeader:], int(b.count)) {
		return errInvalidRecord
	}
	return nil
}

// recordsAddUp walks over the lengths of uncompressed records.
func recordsAddUp(data []byte, count int) bool {
	for range count {
		n, size := binary.Varint(data)
		if size <= 0 || n < 0 || n > int64(len(data)-size) {
			return false
		}
		data = data[size+int(n):]
	}
	return len(data) == 0
}

// assign writes the offset and epoch into the batch, as the leader does on append.
func (b *batch) assign(base int64, epoch int32) {
	b.base, b.last, b.epoch = base, base+int64(b.count)-1, epoch
	binary.BigEndian.PutUint64(b.data[batchBaseOffset:], uint64(base))
	binary.BigEndian.PutUint32(b.data[batchLeaderEpoch:], uint32(epoch))
}

// stampAppendTime marks the batch with the broker's time; that changes the checksum.
func (b *batch) stampAppendTime(ms int64) {
	be := binary.BigEndian
	b.attributes |= attrLogAppendTime
	b.maxTime = ms
	be.PutUint16(b.data[batchAttributes:], uint16(b.attributes))
	be.PutUint64(b.data[batchMaxTime:], uint64(ms))
	be.PutUint32(b.data[batchCRC:], crc32.Checksum(b.data[batchAttributes:], castagnoli))
}

// newBatch makes a batch of plain records, as a broker writes into __consumer_offsets.
func newBatch(ms int64, records []GroupRecord) *batch {
	var body []byte
	for i, r := range records {
		rec := kmsg.Record{OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		rec.Length = int32(len(rec.AppendTo(nil)) - 1) // a zero length takes one byte
		body = rec.AppendTo(body)
	}
	rb := kmsg.RecordBatch{
		Length:          int32(batchHeader - 12 + len(body)),
		Magic:           2,
		LastOffsetDelta: int32(len(records) - 1),
		FirstTimestamp:  ms,
		MaxTimestamp:    ms,
		ProducerID:      -1,
		ProducerEpoch:   -1,
		FirstSequence:   -1,
		NumRecords:      int32(len(records)),
		Records:         body,
	}
	data := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(data[batchCRC:], crc32.Checksum(data[batchAttributes:], castagnoli))
	return &batch{data: data, maxTime: ms, producerID: -1, producerEpoch: -1, sequence: -1, count: int32(len(records))}
}

// groupRecords reads back what newBatch wrote.
func (b *batch) groupRecords() []GroupRecord {
	var out []GroupRecord
	data := b.data[batchHeader:]
	first := int64(binary.BigEndian.Uint64(b.data[batchFirstTime:]))
	var txn *GroupTxn
	if b.transactional() && !b.control() {
		txn = &GroupTxn{ProducerID: b.producerID, ProducerEpoch: b.producerEpoch}
	}
	for range b.count {
		n, size := binary.Varint(data)
		if size <= 0 || n < 0 || n > int64(len(data)-size) {
			return out
		}
		var rec kmsg.Record
		if err := rec.ReadFrom(data[:size+int(n)]); err != nil {
			return out
		}
		out = append(out, GroupRecord{Key: rec.Key, Value: rec.Value, Timestamp: first + rec.TimestampDelta64, Txn: txn})
		data = data[size+int(n):]
	}
	return out
}

type logEntry struct {
	b  *batch
	at time.Duration // when this replica wrote it
	// maxTime is the largest timestamp up to here; all of them are the time index.
	maxTime int64
}

// partitionLog is one replica's log on its disk.
//
// What every append touches comes first, together: with many partitions it is the way to
// memory that an append waits for.
type partitionLog struct {
	entries []logEntry // an append does not read the last of them: it lies elsewhere
	start   int64      // log start offset
	next    int64      // log end offset
	maxTime int64      // the last entry's, when there is one
	// flushed: everything below is on the disk whatever happens.
	flushed int64
	spool   *spool    // nil for logs that stay in memory
	txns    *txnIndex // nil before the first transaction
	epochs  leaderEpochs
	active  segment // the one that is written to; empty when the log is

	sealed    []segment // those before the active one
	lastFlush time.Duration
	topicID   topicID
	// checkpoint is the high-water mark as written to the disk. Kafka writes it every
	// five seconds and at a clean end; a restarted broker begins with it.
	checkpoint int64
	producers  map[int64]*producerState
	cleaned    int64 // everything below has been compacted
}

func newPartitionLog(id topicID, s *spool) *partitionLog {
	return &partitionLog{topicID: id, producers: map[int64]*producerState{}, spool: s}
}

// remove lets go of everything that the log holds.
func (l *partitionLog) remove() {
	for _, e := range l.entries {
		l.spool.drop(e.b)
	}
	l.entries = nil
}

// append adds a batch that has its offset. The caller has checked that it follows.
func (l *partitionLog) append(now time.Duration, b *batch) {
	l.spool.hold(b)
	l.extend(now, b)
	if len(l.entries) == 0 || b.maxTime > l.maxTime {
		l.maxTime = b.maxTime
	}
	l.entries = append(l.entries, logEntry{b, now, l.maxTime})
	l.next = b.last + 1
	l.epochs.begin(b.epoch, b.base)
	l.updateProducer(b)
}

// flush notes that everything below an offset is on the disk.
func (l *partitionLog) flush(now time.Duration, below int64) {
	if below > l.flushed {
		l.flushed, l.lastFlush = below, now
	}
}

// flushFull flushes a log that has flush.messages records which were not.
func (l *partitionLog) flushFull(now time.Duration, s *topicSettings) {
	if l.next-l.flushed >= s.flushMessages {
		l.flush(now, l.next)
	}
}

// flushLoop flushes the logs that were not flushed for flush.ms. It looks once after
// log.initial.task.delay.ms and then every log.flush.scheduler.interval.ms, which by default
// is never: flush.ms alone does nothing (LogManager.flushDirtyLogs).
func (b *broker) flushLoop(wait int64) {
	if wait > math.MaxInt64/int64(time.Millisecond) {
		return
	}
	b.n.after(time.Duration(wait)*time.Millisecond, func() {
		now := b.n.w.now
		for _, key := range sortedKeys(b.replicas) {
			if r := b.replicas[key]; (now - r.log.lastFlush).Milliseconds() >= r.settings.flushMS {
				r.log.flush(now, r.log.next)
			}
		}
		b.flushLoop(b.n.cfg.long("log.flush.scheduler.interval.ms"))
	})
}

// loseUnflushed cuts the log to what was on the disk when the power went.
func (l *partitionLog) loseUnflushed(now time.Duration) {
	n := len(l.entries)
	for n > 0 && l.entries[n-1].b.base >= l.flushed && now-l.entries[n-1].at < dirtyExpire {
		n--
	}
	if n < len(l.entries) {
		l.truncate(l.entries[n].b.base)
	}
	l.checkpoint = min(l.checkpoint, l.next)
}

// find is the index of the first entry whose last offset is at least offset.
func (l *partitionLog) find(offset int64) int {
	// Who reads at the end, as replicas do, needs no search.
	n := len(l.entries)
	switch {
	case n == 0 || l.entries[n-1].b.last < offset:
		return n
	case l.entries[n-1].b.base <= offset:
		return n - 1
	}
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].b.last >= offset })
}

// findTime is the index of the first entry with a timestamp of at least ms.
func (l *partitionLog) findTime(ms int64) int {
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].maxTime >= ms })
}

// truncate removes everything from offset on; a batch that contains it goes whole.
func (l *partitionLog) truncate(offset int64) {
	if offset >= l.next {
		// An epoch that began at the end of the log, with nothing in it, goes all the same.
		l.epochs.dropFrom(offset)
		return
	}
	i := l.find(offset)
	for _, e := range l.entries[i:] {
		l.spool.drop(e.b)
	}
	if i < len(l.entries) {
		l.next = max(l.entries[i].b.base, l.start)
	} else {
		l.next = max(offset, l.start)
	}
	clear(l.entries[i:])
	l.entries = l.entries[:i]
	if i > 0 {
		l.maxTime = l.entries[i-1].maxTime
	}
	l.epochs.dropFrom(l.next)
	l.flushed = min(l.flushed, l.next)
	l.checkpoint = min(l.checkpoint, l.next)
	l.cleaned = min(l.cleaned, l.next)
	l.recount()
	l.rebuildProducers()
}

// reset empties the log and lets it begin at an offset: a follower that is behind its
// leader's log start.
func (l *partitionLog) reset(offset int64) {
	l.remove()
	*l = partitionLog{topicID: l.topicID, spool: l.spool, start: offset, next: offset, flushed: offset, checkpoint: offset, producers: map[int64]*producerState{}, lastFlush: l.lastFlush}
}

// advanceStart moves the log start offset and drops batches that lie wholly before it.
func (l *partitionLog) advanceStart(offset int64) {
	if offset <= l.start {
		return
	}
	l.start = offset
	i := 0
	for i < len(l.entries) && l.entries[i].b.last < offset {
		l.spool.drop(l.entries[i].b)
		i++
	}
	if i > 0 {
		l.entries = slices.Clone(l.entries[i:])
		l.recount()
	}
	l.next = max(l.next, offset)
	l.txns.dropBefore(offset)
	l.epochs.dropBefore(offset)
}

// endOffsetFor is the largest epoch that is not after the asked one, and the offset
// where it ends (KIP-101, KIP-279). An epoch of -1 says that nothing is known.
func (l *partitionLog) endOffsetFor(epoch int32) (int32, int64) {
	return l.epochs.endOffset(epoch, l.next)
}

// read collects batches from the one that contains offset, up to maxBytes and below
// limit. The first batch is returned even when it is larger, if minOne says so.
func (l *partitionLog) read(batches []*batch, offset, limit int64, maxBytes int, minOne bool) (with []*batch, size int) {
	for i := l.find(offset); i < len(l.entries); i++ {
		b := l.entries[i].b
		if b.last >= limit {
			break
		}
		if size+b.size() > maxBytes && (size > 0 || !minOne) {
			break
		}
		batches = append(batches, b)
		size += b.size()
	}
	return batches, size
}

// bytesFrom is the number of bytes that a read from offset below limit would find, at most enough.
func (l *partitionLog) bytesFrom(offset, limit int64, enough int) int {
	n := 0
	for i := l.find(offset); i < len(l.entries) && n < enough; i++ {
		if l.entries[i].b.last >= limit {
			break
		}
		n += l.entries[i].b.size()
	}
	return n
}
