// This file defines replay: reading a stretch of a topic and writing it again, as
// kafka-replay-log-producer did.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// replayBatch is how much a replay puts into one batch.
const replayBatch = 256 << 10

// replay reads from each partition the records whose timestamps lie in the window,
// up to what stood there when it began, and writes them to the target: key, value
// and headers the same, the time its own, the partition that of the same number,
// modulo how many the target has. It reads committed records only, so that what
// was aborted does not come to life. Its producer is idempotent: each record is
// written once.
func (c *Control) replay(ctx context.Context, cluster, topic string, a plan.Action) (runtime.Proof, error) {
	if a.To == nil {
		return runtime.Proof{}, errors.New("it names no target")
	}
	to := c.Plan.Topic(a.To.Name)
	if to == nil {
		return runtime.Proof{}, fmt.Errorf("topic %s is not in the plan", a.To.Name)
	}
	since, err := c.wallAt(time.Duration(a.Since))
	if err != nil {
		return runtime.Proof{}, err
	}
	until := int64(1<<63 - 1)
	if a.Until > 0 {
		t, err := c.wallAt(time.Duration(a.Until))
		if err != nil {
			return runtime.Proof{}, err
		}
		until = t.UnixMilli()
	}
	name := c.kafkaName(topic)
	var starts, ends map[int32]int64
	err = c.do(ctx, cluster, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		// Everything that was there from the first moment on has no start to look for.
		from := &plan.Offsets{Kind: plan.OffsetsAgo}
		if a.Since == 0 {
			from.Kind = plan.OffsetsEarliest
		}
		var err error
		if starts, err = positions(client, admin, name, from, since.UnixMilli()); err != nil {
			return err
		}
		client.Config().Consumer.IsolationLevel = sarama.ReadCommitted // up to the last stable offset
		ends, err = ask(client, name, sortedIDs(starts), sarama.OffsetNewest)
		return err
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	source, err := c.connect(ctx, cluster, name)
	if err != nil {
		return runtime.Proof{}, err
	}
	defer source.close(true)
	target, err := c.connect(ctx, to.Cluster, to.KafkaName())
	if err != nil {
		return runtime.Proof{}, err
	}
	defer target.close(true)
	width := target.partitions(to.KafkaName())
	if width == 0 {
		return runtime.Proof{}, fmt.Errorf("topic %s: %w", to.Name, sarama.ErrUnknownTopicOrPartition)
	}
	set := c.settings(to.Cluster)
	d := set.dialer()
	writing := newClient(target, set.sarama(controlID, d), d)
	defer writing.end(true)
	stop := context.AfterFunc(ctx, func() { writing.end(true); source.close(true) })
	defer stop()

	writers := map[int32]*batchWriter{}
	copied, written := map[int32]int64{}, int64(0)
	for _, p := range sortedIDs(starts) {
		q := p % int32(width)
		w := writers[q]
		if w == nil {
			if w, err = c.once(ctx, writing, set, to.KafkaName(), q); err != nil {
				return runtime.Proof{}, err
			}
			writers[q] = w
		}
		n, err := c.replayPartition(ctx, source, cluster, name, p, starts[p], ends[p], a.Since > 0, since.UnixMilli(), until, w)
		written += n
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return runtime.Proof{}, fmt.Errorf("%s/%d: after %d records: %w", topic, p, written, err)
		}
		if n > 0 {
			copied[q] += n
		}
	}
	return proved("%d records acknowledged in %d of %d partitions of %s", written, len(copied), width, to.Name), nil
}

// once makes a writer with a producer id of its own.
func (c *Control) once(ctx context.Context, k *client, set settings, topic string, partition int32) (*batchWriter, error) {
	for {
		var resp *sarama.InitProducerIDResponse
		b := k.LeastLoadedBroker()
		err := error(sarama.ErrClosedClient)
		if b != nil {
			resp, err = b.InitProducerID(&sarama.InitProducerIDRequest{Version: 4, TransactionTimeout: time.Minute, ProducerID: -1, ProducerEpoch: -1})
		}
		switch {
		case err == nil && resp.Err == sarama.ErrNoError:
			return &batchWriter{client: k, set: set, topic: topic, partition: partition, producer: resp.ProducerID, epoch: resp.ProducerEpoch}, nil
		case err == nil && !passes(resp.Err):
			return nil, fmt.Errorf("producer id: %w", resp.Err)
		}
		if !k.pause() {
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// replayPartition writes the records of one partition from start to end; with
// check, those that are too old are left out, as timestamps need not stand in
// order.
func (c *Control) replayPartition(ctx context.Context, k *cluster, cluster, topic string, partition int32, start, end int64, check bool, since, until int64, w *batchWriter) (int64, error) {
	set := c.settings(cluster)
	set.fetchPartition = auditFetch
	f := newFetcher(k, set, controlID, topic, partition, start)
	f.isolation = sarama.ReadCommitted
	defer f.end(true)
	stop := context.AfterFunc(ctx, func() { f.end(true) })
	defer stop()
	written := int64(0)
	for f.offset < end {
		x, err := f.records()
		if err != nil {
			return written, err
		}
		now := time.Now().UnixMilli()
		var keep []logRecord
		for _, r := range x.records {
			if r.offset >= end || r.aborted || check && r.timestamp < since || r.timestamp >= until {
				continue
			}
			r.timestamp = now
			keep = append(keep, r)
		}
		for _, batch := range batchesOf(keep, replayBatch) {
			err := w.writeAll(batch, func(part []logRecord, _ int64) { written += int64(len(part)) })
			if err != nil {
				return written, err
			}
		}
		if len(x.records) == 0 && x.next < end && !f.client.pause() {
			return written, sarama.ErrClosedClient
		}
	}
	return written, nil
}
