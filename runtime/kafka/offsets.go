// This file defines the committing of offsets by a group member.

package kafka

import (
	"errors"
	"sync"

	"github.com/IBM/sarama"

	"starfall/runtime/record"
)

// offsets are the positions of a member's claims. It commits by itself, not
// through sarama's session, to know whether a commit was accepted: at most once
// means nothing without that.
//
//	answer                                                  then
//	none                                                    committed
//	COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, connection  the coordinator is looked for, again
//	COORDINATOR_LOAD_IN_PROGRESS, REQUEST_TIMED_OUT,
//	UNKNOWN_TOPIC_OR_PARTITION                              again after retry.backoff.ms
//	anything else (ILLEGAL_GENERATION, …)                   error: the claim is somebody else's
type offsets struct {
	client   *client
	group    string
	instance string

	mu    sync.Mutex
	marks map[record.TopicPartition]int64 // to be committed
}

// errNotCommitted is a commit that was broken off.
var errNotCommitted = errors.New("broken off")

func (o *offsets) mark(topic string, partition int32, next int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.marks == nil {
		o.marks = map[record.TopicPartition]int64{}
	}
	o.marks[record.TopicPartition{Topic: topic, Partition: partition}] = next
}

// forget withdraws what was marked.
func (o *offsets) forget(topic string, partition int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.marks, record.TopicPartition{Topic: topic, Partition: partition})
}

// commit commits one partition's mark, if it has one.
func (o *offsets) commit(stop <-chan struct{}, sess sarama.ConsumerGroupSession, topic string, partition int32) error {
	tp := record.TopicPartition{Topic: topic, Partition: partition}
	o.mu.Lock()
	next, ok := o.marks[tp]
	o.mu.Unlock()
	if !ok {
		return nil
	}
	return o.send(stop, sess, map[record.TopicPartition]int64{tp: next})
}

// commitAll commits every mark.
func (o *offsets) commitAll(stop <-chan struct{}, sess sarama.ConsumerGroupSession) error {
	o.mu.Lock()
	marks := make(map[record.TopicPartition]int64, len(o.marks))
	for tp, next := range o.marks {
		marks[tp] = next
	}
	o.mu.Unlock()
	return o.send(stop, sess, marks)
}

// send commits marks and takes those away that have not moved on since.
func (o *offsets) send(stop <-chan struct{}, sess sarama.ConsumerGroupSession, marks map[record.TopicPartition]int64) error {
	for len(marks) > 0 {
		select {
		case <-stop:
			return errNotCommitted
		default:
		}
		err := o.attempt(sess, marks)
		switch {
		case err == nil:
			o.mu.Lock()
			for tp, next := range marks {
				if o.marks[tp] == next {
					delete(o.marks, tp)
				}
			}
			o.mu.Unlock()
			return nil
		case !retriable(err):
			return err
		}
		if !o.client.pause() {
			return sarama.ErrClosedClient
		}
	}
	return nil
}

func retriable(err error) bool {
	var k sarama.KError
	if !errors.As(err, &k) {
		return !errors.Is(err, sarama.ErrClosedClient)
	}
	switch k {
	case sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrRequestTimedOut, sarama.ErrUnknownTopicOrPartition, sarama.ErrNotEnoughReplicas, sarama.ErrNotLeaderForPartition:
		return true
	}
	return false
}

func (o *offsets) attempt(sess sarama.ConsumerGroupSession, marks map[record.TopicPartition]int64) error {
	b, err := o.client.Coordinator(o.group)
	if err != nil {
		return err
	}
	req := &sarama.OffsetCommitRequest{
		Version: 8, ConsumerGroup: o.group,
		ConsumerGroupGeneration: sess.GenerationID(), ConsumerID: sess.MemberID(),
	}
	if o.instance != "" {
		req.GroupInstanceId = &o.instance
	}
	for tp, next := range marks {
		req.AddBlockWithLeaderEpoch(tp.Topic, tp.Partition, next, -1, 0, "")
	}
	resp, err := b.CommitOffset(req)
	if err != nil {
		_ = b.Close() // Coordinator then looks for it again
		return err
	}
	var worst error
	for _, parts := range resp.Errors {
		for _, k := range parts {
			if k == sarama.ErrNoError {
				continue
			}
			if worst == nil || retriable(worst) {
				worst = k
			}
		}
	}
	if errors.Is(worst, sarama.ErrConsumerCoordinatorNotAvailable) || errors.Is(worst, sarama.ErrNotCoordinatorForConsumer) {
		_ = o.client.RefreshCoordinator(o.group)
	}
	return worst
}

// committed asks once for the positions of the whole group.
func (o *offsets) committed() (map[record.TopicPartition]int64, error) {
	b, err := o.client.Coordinator(o.group)
	if err != nil {
		return nil, err
	}
	resp, err := b.FetchOffset(&sarama.OffsetFetchRequest{Version: 7, ConsumerGroup: o.group})
	if err != nil {
		_ = b.Close() // Coordinator then looks for it again
		return nil, err
	}
	if resp.Err != sarama.ErrNoError {
		return nil, resp.Err
	}
	out := map[record.TopicPartition]int64{}
	for topic, parts := range resp.Blocks {
		for p, block := range parts {
			if block.Err != sarama.ErrNoError {
				return nil, block.Err
			}
			out[record.TopicPartition{Topic: topic, Partition: p}] = block.Offset
		}
	}
	return out, nil
}
