// This file defines the reading and writing of whole record batches, which
// mirrors, replay and the comparison of mirrors share.

package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// logRecord is a record with all that a copy keeps of it.
type logRecord struct {
	offset    int64
	key       []byte // nil: null
	value     []byte // nil: null
	headers   []*sarama.RecordHeader
	timestamp int64 // milliseconds
	aborted   bool  // known only to a fetcher with read_committed
}

// size is about how many bytes it takes in a batch.
func (r logRecord) size() int {
	n := len(r.key) + len(r.value) + 2*binary.MaxVarintLen32
	for _, h := range r.headers {
		n += len(h.Key) + len(h.Value) + 4
	}
	return n
}

// logChunk is what one fetch gave: records in order of the log, control records
// left out, and where the log goes on.
type logChunk struct {
	records           []logRecord
	next              int64
	highWater, stable int64
}

// records is next with all fields of the records. It begins again at the start of
// the log where that has moved past the offset, or where there is no such offset
// any more and the log is another one (auto.offset.reset=earliest).
func (f *fetcher) records() (logChunk, error) {
	for {
		block, err := f.fetch(f.offset, f.set.fetchPartition)
		switch {
		case err != nil:
			return logChunk{}, err
		case block.Err == sarama.ErrNoError:
			return f.take(block)
		case block.Err != sarama.ErrOffsetOutOfRange:
			return logChunk{}, block.Err
		}
		if f.epoch >= 0 {
			before := f.offset
			if err := f.reconcile(); err != nil {
				return logChunk{}, err
			}
			if f.offset != before {
				continue
			}
		}
		if f.offset, err = f.bound(sarama.OffsetOldest); err != nil {
			return logChunk{}, err
		}
		f.epoch = -1
	}
}

func (f *fetcher) take(block *sarama.FetchResponseBlock) (logChunk, error) {
	c := logChunk{next: f.offset, highWater: block.HighWaterMarkOffset, stable: block.LastStableOffset}
	aborted := newAbortedSet(block.AbortedTransactions)
	for _, set := range block.RecordsSet {
		b := set.RecordBatch
		if b == nil {
			return c, fmt.Errorf("a message set of a format before Kafka 0.11 at offset %d", f.offset)
		}
		if b.PartialTrailingRecord || b.LastOffset() < f.offset {
			continue
		}
		f.epoch = b.PartitionLeaderEpoch
		gone := aborted.has(b)
		if !b.Control {
			first := b.FirstTimestamp.UnixMilli()
			for _, r := range b.Records {
				at := b.FirstOffset + r.OffsetDelta
				if at < f.offset {
					continue
				}
				x := logRecord{offset: at, key: r.Key, value: r.Value, headers: r.Headers, timestamp: first + r.TimestampDelta.Milliseconds(), aborted: gone}
				if b.LogAppendTime {
					x.timestamp = b.MaxTimestamp.UnixMilli()
				}
				c.records = append(c.records, x)
			}
		}
		f.offset = b.LastOffset() + 1
	}
	c.next = f.offset
	return c, nil
}

// javaBatch is batch.size of the Java producer: what goes into one batch, unless
// one record alone is larger.
const javaBatch = 16 << 10

// batchesOf cuts records into batches as a producer would that sends them without
// compression.
func batchesOf(records []logRecord, size int) [][]logRecord {
	var out [][]logRecord
	for len(records) > 0 {
		n, bytes := 0, 0
		for n < len(records) && (n == 0 || bytes+records[n].size() <= size) {
			bytes += records[n].size()
			n++
		}
		out = append(out, records[:n])
		records = records[n:]
	}
	return out
}

// batchWriter writes batches to one partition, one at a time, and again until the
// leader has acknowledged them. With a producer id a batch is written once,
// without one at least once.
type batchWriter struct {
	client    *client
	set       settings
	topic     string
	partition int32
	producer  int64 // -1: none
	epoch     int16
	sequence  int32
	// trouble, when set, is told each answer that made it write again.
	trouble func(error)
}

// writeAll writes records as one batch, or as smaller ones where that is too large
// for the topic, as the Java producer does. acked is told of each batch where it
// stands.
func (w *batchWriter) writeAll(records []logRecord, acked func(batch []logRecord, at int64)) error {
	at, err := w.write(records)
	if errors.Is(err, sarama.ErrMessageSizeTooLarge) && len(records) > 1 {
		half := len(records) / 2
		if err := w.writeAll(records[:half], acked); err != nil {
			return err
		}
		return w.writeAll(records[half:], acked)
	}
	if err == nil {
		acked(records, at)
	}
	return err
}

// write gives the offset of the first record; the others follow it. Errors are sarama.ErrClosedClient and what no repetition mends.
func (w *batchWriter) write(records []logRecord) (int64, error) {
	first := records[0].timestamp
	b := &sarama.RecordBatch{
		Version: 2, PartitionLeaderEpoch: -1, ProducerID: w.producer, ProducerEpoch: w.epoch, FirstSequence: -1,
		FirstTimestamp: time.UnixMilli(first), MaxTimestamp: time.UnixMilli(first),
		LastOffsetDelta: int32(len(records) - 1), Records: make([]*sarama.Record, len(records)),
	}
	if w.producer >= 0 {
		b.FirstSequence = w.sequence
	} else {
		b.ProducerEpoch = -1
	}
	made := make([]sarama.Record, len(records))
	for i, r := range records {
		made[i] = sarama.Record{Key: r.key, Value: r.value, Headers: r.headers, OffsetDelta: int64(i),
			TimestampDelta: time.Duration(r.timestamp-first) * time.Millisecond}
		b.Records[i] = &made[i]
		if t := time.UnixMilli(r.timestamp); t.After(b.MaxTimestamp) {
			b.MaxTimestamp = t
		}
	}
	for {
		at, err := w.attempt(b)
		if err == nil {
			if w.sequence += int32(len(records)); w.sequence < 0 {
				w.sequence += -1 << 31 // back to 0 behind 2³¹-1 (DefaultRecordBatch.incrementSequence)
			}
			return at, nil
		}
		var k sarama.KError
		switch {
		case errors.Is(err, sarama.ErrClosedClient):
			return -1, err
		case errors.As(err, &k) && !writesAgain(k):
			return -1, err
		}
		if w.trouble != nil {
			w.trouble(err)
		}
		if !w.client.pause() {
			return -1, sarama.ErrClosedClient
		}
		if err := w.client.cluster.refresh(); errors.Is(err, sarama.ErrClosedClient) {
			return -1, err
		}
	}
}

// writesAgain tells which answers are worth another attempt: Kafka's
// RetriableExceptions.
func writesAgain(k sarama.KError) bool {
	return passes(k) || transient(k) || k == sarama.ErrInvalidMessage
}

func (w *batchWriter) attempt(b *sarama.RecordBatch) (int64, error) {
	leader, err := w.client.Leader(w.topic, w.partition)
	if err != nil {
		return -1, err
	}
	req := &sarama.ProduceRequest{Version: 7, RequiredAcks: sarama.WaitForAll, Timeout: int32(w.set.wall(w.set.requestTimeout) / time.Millisecond)}
	req.AddBatch(w.topic, w.partition, b)
	resp, err := leader.Produce(req)
	if err != nil {
		_ = leader.Close()
		if w.client.Closed() {
			return -1, sarama.ErrClosedClient
		}
		return -1, fmt.Errorf("broker %s: %w", leader.Addr(), err)
	}
	block := resp.GetBlock(w.topic, w.partition)
	switch {
	case block == nil:
		return -1, sarama.ErrIncompleteResponse
	case block.Err == sarama.ErrNoError || block.Err == sarama.ErrDuplicateSequenceNumber:
		return block.Offset, nil
	}
	return -1, block.Err
}
