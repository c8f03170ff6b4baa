// This file defines the audit: reading every partition of a topic from its
// start to its high-water mark, independently of the load.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"

	"starfall/runtime"
	"starfall/runtime/record"
)

// auditFetch is how much the audit asks for at a time.
const auditFetch = 8 << 20

// auditsAtOnce bounds how many partitions are read side by side.
const auditsAtOnce = 4

var _ runtime.Auditor = (*Control)(nil)

// Audit reads each partition of a topic from its start to end, and tells what stands in
// transactions that did not commit, retrying while a
// leader is away until ctx ends. What it could not read it says in the log of
// that partition and in its error; the other partitions are read all the same.
func (c *Control) Audit(ctx context.Context, cluster, topic string, end map[int32]int64, log func(partition int32, logStart, highWater int64) *record.AuditLog) error {
	k, err := c.connect(ctx, cluster, c.kafkaName(topic))
	if err != nil {
		return err
	}
	defer k.close(true)
	var mu, writing sync.Mutex
	var errs []error
	var wait sync.WaitGroup
	slots := make(chan struct{}, auditsAtOnce)
	for _, partition := range sortedIDs(end) {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := c.audit(ctx, k, cluster, topic, partition, end[partition], &writing, log); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("audit of %s/%d: %w", topic, partition, err))
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (c *Control) audit(ctx context.Context, k *cluster, name, topic string, partition int32, end int64, writing *sync.Mutex, log func(partition int32, logStart, highWater int64) *record.AuditLog) error {
	set := c.settings(name)
	set.fetchPartition = auditFetch
	f := newFetcher(k, set, controlID, c.kafkaName(topic), partition, 0)
	f.wait = set.wall(set.fetchWait)
	defer f.end(true)
	stop := context.AfterFunc(ctx, func() { f.end(true) })
	defer stop()

	given := func(err error) error {
		if ctx.Err() != nil && errors.Is(err, sarama.ErrClosedClient) {
			return context.Cause(ctx)
		}
		return err
	}
	start, err := f.bound(sarama.OffsetOldest)
	if err != nil {
		err = given(err)
		log(partition, 0, end).Close(err)
		return err
	}
	l := log(partition, start, end)
	f.offset = start
	write := func(x chunk, aborted func(i int) bool) {
		writing.Lock() // a chunk at a time: the recording keeps runs of one partition short otherwise
		defer writing.Unlock()
		for i, r := range x.records {
			if r.offset >= end {
				break
			}
			id, ok := record.Decode(r.value)
			switch ok = ok && id.Run == c.RunID; {
			case !ok && !aborted(i):
				l.Foreign(r.offset)
			case !ok:
			case aborted(i):
				l.Aborted(r.offset, id)
			default:
				l.Record(r.offset, id)
			}
		}
	}
	// Up to the last stable offset the leader says what was aborted. Behind it some
	// transaction is open, and the markers of the others have to be looked for first.
	f.isolation = sarama.ReadCommitted
	err = f.until(end, func(x chunk) bool {
		write(x, func(i int) bool { return x.records[i].aborted })
		return x.next < end && x.stable >= 0 && x.next >= x.stable && x.stable < x.highWater
	})
	if err == nil && f.offset < end {
		err = c.auditUnstable(f, end, write)
	}
	if err != nil {
		err = fmt.Errorf("read up to offset %d of %d: %w", f.offset, end, given(err))
	}
	l.Close(err)
	return err
}

// until reads on to end, or until f says to stop. Where the leader has less than end says
// it waits: a new leader learns its high-water mark from its followers.
func (f *fetcher) until(end int64, do func(x chunk) (stop bool)) error {
	for f.offset < end {
		x, err := f.next()
		if err != nil {
			return err
		}
		if do(x) {
			return nil
		}
		if len(x.records) == 0 && x.next < end && x.highWater < end && x.highWater >= 0 && !f.client.pause() {
			return sarama.ErrClosedClient
		}
	}
	return nil
}

// auditUnstable reads the end of a log that open transactions keep from being stable: once
// for the markers in it and once for the records. What has no marker did not commit.
func (c *Control) auditUnstable(f *fetcher, end int64, write func(x chunk, aborted func(i int) bool)) error {
	start, epoch := f.offset, f.epoch
	f.isolation, f.marks = sarama.ReadUncommitted, true
	markers := map[int64][]txnMarker{}
	err := f.until(end, func(x chunk) bool {
		for _, m := range x.markers {
			if m.offset < end {
				markers[m.producer] = append(markers[m.producer], m)
			}
		}
		return false
	})
	if err != nil {
		return err
	}
	f.offset, f.epoch = start, epoch
	return f.until(end, func(x chunk) bool {
		write(x, func(i int) bool {
			producer := x.producers[i]
			if producer < 0 {
				return false
			}
			for _, m := range markers[producer] {
				if m.offset > x.records[i].offset {
					return !m.commit
				}
			}
			return true
		})
		return false
	})
}
