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

// Audit reads each partition of a topic from its start to end, retrying while a
// leader is away until ctx ends. What it could not read it says in the log of
// that partition and in its error; the other partitions are read all the same.
func (c *Control) Audit(ctx context.Context, cluster, topic string, end map[int32]int64, log func(partition int32, logStart, highWater int64) *record.AuditLog) error {
	k, err := c.connect(ctx, cluster, topic)
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
			if err := c.audit(ctx, k, topic, partition, end[partition], &writing, log); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("audit of %s/%d: %w", topic, partition, err))
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (c *Control) audit(ctx context.Context, k *cluster, topic string, partition int32, end int64, writing *sync.Mutex, log func(partition int32, logStart, highWater int64) *record.AuditLog) error {
	set := c.settings()
	set.fetchPartition = auditFetch
	f := newFetcher(k, set, controlID, topic, partition, 0)
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
	for f.offset < end {
		chunk, err := f.next()
		if err != nil {
			err = fmt.Errorf("read up to offset %d of %d: %w", f.offset, end, given(err))
			l.Close(err)
			return err
		}
		writing.Lock() // a chunk at a time: the recording keeps runs of one partition short otherwise
		for _, r := range chunk.records {
			if r.offset >= end {
				break
			}
			if id, ok := record.Decode(r.value); ok && id.Run == c.RunID {
				l.Record(r.offset, id)
			} else {
				l.Foreign(r.offset)
			}
		}
		writing.Unlock()
		if len(chunk.records) == 0 && chunk.next < end && chunk.highWater < end && chunk.highWater >= 0 {
			// The leader has less than end says. It may still catch up (a new
			// leader learns its high-water mark from its followers), so go on
			// until ctx ends.
			if !k.pause(set.wall(set.backoff)) {
				l.Close(sarama.ErrClosedClient)
				return sarama.ErrClosedClient
			}
		}
	}
	l.Close(nil)
	return nil
}
