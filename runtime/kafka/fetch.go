// This file defines the fetcher, which reads one partition's log for consumers
// and for the audit, on sarama's requests.

package kafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// fetched is one record of a log. aborted says that its transaction did not commit; that is
// known only to a fetcher with read_committed.
type fetched struct {
	offset  int64
	value   []byte
	aborted bool
}

// chunk is what one fetch gave: records in order of the log, and where the log
// goes on. highWater and stable are the leader's high-water mark and last stable offset.
// markers are the ends of transactions in it.
type chunk struct {
	records           []fetched
	next              int64
	highWater, stable int64
	markers           []txnMarker
	producers         []int64 // of records, for those in transactions; -1 for others
}

// txnMarker is a control record that ends a producer's transaction.
type txnMarker struct {
	producer int64
	offset   int64
	commit   bool
}

// errOutOfRange says that the log has no such offset.
var errOutOfRange = errors.New("offset out of range")

// fetcher reads a partition from offset on. It has a connection of its own, so
// that a broker that does not answer holds up this partition only, and it waits
// retry.backoff.ms of scenario time where sarama's consumer waits 100 ms and
// more of wall time (partitionConsumersBatchTimeout). It is not safe for use by
// several goroutines, but end is.
//
// When the partition gets another leader, the fetcher makes sure that the log
// before its offset is still the one it has read, and goes back to where the
// logs part when it is not, as the Java consumer does (KIP-320). Sarama cannot
// ask for the end of a leader epoch, so this is found out from the epochs that
// the batches carry.
type fetcher struct {
	client    *client
	set       settings
	topic     string
	partition int32
	offset    int64
	// epoch is that of the last batch read, -1 before the first; leader is that
	// under which the last fetch went out.
	epoch, leader int32
	// wait and atLeast are fetch.max.wait.ms (wall) and fetch.min.bytes.
	wait    time.Duration
	atLeast int
	// isolation is that of its fetches.
	isolation sarama.IsolationLevel
	// marks lets chunks tell the producers of transactional records.
	marks bool
	// moved is called when the offset jumps, but not forward past what the log
	// no longer has. nil: nobody asks.
	moved func(to int64)
}

func newFetcher(c *cluster, set settings, clientID, topic string, partition int32, offset int64) *fetcher {
	d := set.dialer()
	return &fetcher{
		client: newClient(c, set.sarama(clientID, d), d), set: set,
		topic: topic, partition: partition, offset: offset, epoch: -1, leader: -1,
		wait: set.wall(set.fetchWait), atLeast: max(set.fetchMin, 1),
	}
}

// end lets next return sarama.ErrClosedClient.
func (f *fetcher) end(reset bool) { f.client.end(reset) }

// retry waits a backoff and asks for metadata.
func (f *fetcher) retry() error {
	if !f.client.pause() {
		return sarama.ErrClosedClient
	}
	if err := f.client.cluster.refresh(); errors.Is(err, sarama.ErrClosedClient) {
		return err
	}
	return nil
}

// next reads on. A chunk without records means that there is nothing new yet.
// Troubles with leaders and connections are waited out; errors are
// sarama.ErrClosedClient, errOutOfRange, and what no waiting mends.
func (f *fetcher) next() (chunk, error) {
	for {
		block, err := f.fetch(f.offset, f.set.fetchPartition)
		if err != nil {
			return chunk{}, err
		}
		switch block.Err {
		case sarama.ErrNoError:
			return f.read(block)
		case sarama.ErrOffsetOutOfRange:
			if f.epoch >= 0 {
				// The log may have been cut below what was read of it.
				if err := f.reconcile(); err != nil {
					return chunk{}, err
				}
				if block, err = f.fetch(f.offset, 1); err != nil {
					return chunk{}, err
				}
				if block.Err != sarama.ErrOffsetOutOfRange {
					continue
				}
			}
			return chunk{}, errOutOfRange
		default:
			return chunk{}, block.Err
		}
	}
}

// transient tells whether a fetch error is one of those that go away.
func transient(k sarama.KError) bool {
	switch k {
	case sarama.ErrNotLeaderForPartition, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable,
		sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrUnknownTopicOrPartition,
		sarama.ErrOffsetNotAvailable, sarama.ErrKafkaStorageError, sarama.ErrRequestTimedOut,
		sarama.ErrBrokerNotAvailable, sarama.ErrNetworkException, sarama.ErrInvalidMessage:
		return true
	}
	return false
}

// fetch asks the leader, whoever it is, until he answers with something that is
// not transient. On a change of leader it reconciles first.
func (f *fetcher) fetch(offset int64, bytes int) (*sarama.FetchResponseBlock, error) {
	for {
		b, epoch, err := f.client.LeaderAndEpoch(f.topic, f.partition)
		if err != nil {
			return nil, err
		}
		if f.leader >= 0 && epoch > f.leader && f.epoch >= 0 && offset == f.offset {
			f.leader = epoch
			if err := f.reconcile(); err != nil {
				return nil, err
			}
			offset = f.offset
			continue
		}
		f.leader = max(f.leader, epoch)
		block, err := f.ask(b, epoch, offset, bytes)
		if err == nil {
			return block, nil
		}
		if err := f.retry(); err != nil {
			return nil, err
		}
	}
}

// ask sends one fetch; its error is transient.
func (f *fetcher) ask(b *sarama.Broker, epoch int32, offset int64, bytes int) (*sarama.FetchResponseBlock, error) {
	req := &sarama.FetchRequest{
		Version:      12,
		MinBytes:     int32(f.atLeast),
		MaxBytes:     int32(max(f.set.fetchMax, bytes)),
		MaxWaitTime:  int32(f.wait / time.Millisecond),
		SessionEpoch: -1, // no fetch session (KIP-227)
		Isolation:    f.isolation,
	}
	req.AddBlock(f.topic, f.partition, offset, int32(bytes), epoch)
	resp, err := b.Fetch(req)
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	block := resp.GetBlock(f.topic, f.partition)
	if block == nil {
		return nil, sarama.ErrIncompleteResponse
	}
	if transient(block.Err) {
		return nil, block.Err
	}
	return block, nil
}

// read takes the records of a block that lie at or past the offset.
func (f *fetcher) read(block *sarama.FetchResponseBlock) (chunk, error) {
	c := chunk{next: f.offset, highWater: block.HighWaterMarkOffset, stable: block.LastStableOffset}
	aborted := newAbortedSet(block.AbortedTransactions)
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil {
			return c, fmt.Errorf("a message set of a format before Kafka 0.11 at offset %d", f.offset)
		}
		if batch.PartialTrailingRecord || batch.LastOffset() < f.offset {
			continue
		}
		f.epoch = batch.PartitionLeaderEpoch
		gone := aborted.has(batch)
		if batch.Control {
			if m, ok := markerOf(batch); ok {
				c.markers = append(c.markers, m)
			}
		} else {
			producer := int64(-1)
			if batch.IsTransactional {
				producer = batch.ProducerID
			}
			for _, r := range batch.Records {
				if at := batch.FirstOffset + r.OffsetDelta; at >= f.offset {
					c.records = append(c.records, fetched{at, r.Value, gone})
					if f.marks {
						c.producers = append(c.producers, producer)
					}
				}
			}
		}
		f.offset = batch.LastOffset() + 1
	}
	c.next = f.offset
	return c, nil
}

// abortedSet tells which batches of a fetch belong to aborted transactions, as the Java
// consumer does: from a transaction's first offset to its marker (KIP-98).
type abortedSet struct {
	ahead []*sarama.AbortedTransaction // by first offset
	open  map[int64]bool               // producers
}

func newAbortedSet(list []*sarama.AbortedTransaction) *abortedSet {
	ahead := slices.Clone(list)
	slices.SortFunc(ahead, func(a, b *sarama.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return &abortedSet{ahead: ahead, open: map[int64]bool{}}
}

// has takes the batches in their order.
func (s *abortedSet) has(b *sarama.RecordBatch) bool {
	for len(s.ahead) > 0 && s.ahead[0].FirstOffset <= b.LastOffset() {
		s.open[s.ahead[0].ProducerID] = true
		s.ahead = s.ahead[1:]
	}
	if b.Control {
		delete(s.open, b.ProducerID)
		return false
	}
	return b.IsTransactional && s.open[b.ProducerID]
}

// markerOf reads a control batch that ends a transaction. Its key is a version and a type,
// 0 for abort and 1 for commit.
func markerOf(b *sarama.RecordBatch) (txnMarker, bool) {
	if len(b.Records) != 1 || len(b.Records[0].Key) < 4 {
		return txnMarker{}, false
	}
	kind := binary.BigEndian.Uint16(b.Records[0].Key[2:])
	return txnMarker{b.ProducerID, b.FirstOffset, kind == 1}, kind <= 1
}

// reconcile looks whether the record before the offset still has the epoch that
// was read, and if not moves the offset back to the first one that has another.
func (f *fetcher) reconcile() error {
	old := f.offset
	start, err := f.bound(sarama.OffsetOldest)
	if err != nil {
		return err
	}
	end, err := f.bound(sarama.OffsetNewest)
	if err != nil {
		return err
	}
	at := min(f.offset, end)
	for at > start {
		epoch, first, err := f.epochAt(at - 1)
		if err != nil {
			return err
		}
		if epoch <= f.epoch {
			break
		}
		at = max(first, start) // this batch was not there when the log was read
	}
	if at = max(at, min(start, old)); at < old {
		f.offset = at
		if f.moved != nil {
			f.moved(at)
		}
	}
	return nil
}

// bound asks for an end of the log until the leader answers.
func (f *fetcher) bound(which int64) (int64, error) {
	for {
		n, err := f.client.GetOffset(f.topic, f.partition, which)
		if err == nil || f.client.Closed() {
			return n, err
		}
		if err := f.retry(); err != nil {
			return 0, err
		}
	}
}

// epochAt gives the leader epoch and the first offset of the batch that holds
// an offset; -1 for one that is no longer there.
func (f *fetcher) epochAt(offset int64) (epoch int32, first int64, err error) {
	for {
		b, leader, err := f.client.LeaderAndEpoch(f.topic, f.partition)
		if err != nil {
			return -1, 0, err
		}
		block, err := f.ask(b, leader, offset, 1)
		if err == nil {
			for _, set := range block.RecordsSet {
				if r := set.RecordBatch; r != nil && r.FirstOffset <= offset && r.LastOffset() >= offset {
					return r.PartitionLeaderEpoch, r.FirstOffset, nil
				}
			}
			return -1, offset, nil
		}
		if err := f.retry(); err != nil {
			return -1, 0, err
		}
	}
}
