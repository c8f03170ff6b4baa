// This file defines what deletes: delete_records and delete.

package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// deleteRecords moves the log start offsets of a topic's partitions forward, as
// kafka-delete-records does. The proof has the first offset that each partition
// keeps, as its leader then tells it.
func (c *Control) deleteRecords(ctx context.Context, cluster, topic string, before *plan.Offsets) (runtime.Proof, error) {
	if before == nil {
		return runtime.Proof{}, errors.New("it names no offset")
	}
	name := c.kafkaName(topic)
	moment := c.ago(before)
	var wanted map[int32]int64
	var starts map[int32]int64
	err := c.do(ctx, cluster, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		if wanted == nil {
			var err error
			if wanted, err = positions(client, admin, name, before, moment); err != nil {
				return err
			}
		}
		byLeader := map[*sarama.Broker]map[int32]int64{}
		for _, p := range sortedIDs(wanted) {
			b, err := client.Leader(name, p)
			if err != nil {
				return passing{err}
			}
			if byLeader[b] == nil {
				byLeader[b] = map[int32]int64{}
			}
			byLeader[b][p] = wanted[p]
		}
		for b, offsets := range byLeader {
			resp, err := b.DeleteRecords(&sarama.DeleteRecordsRequest{Version: 2, Timeout: client.Config().Admin.Timeout,
				Topics: map[string]*sarama.DeleteRecordsRequestTopic{name: {PartitionOffsets: offsets}}})
			if err != nil {
				return passing{err}
			}
			for t, x := range resp.Topics {
				for p, r := range x.Partitions {
					if r.Err != sarama.ErrNoError {
						return fmt.Errorf("%s/%d before %d: %w", t, p, wanted[p], r.Err)
					}
				}
			}
		}
		var err error
		if starts, err = ask(client, name, sortedIDs(wanted), sarama.OffsetOldest); err != nil {
			return err
		}
		for _, p := range sortedIDs(wanted) {
			if starts[p] < wanted[p] {
				return passing{fmt.Errorf("%s/%d begins at %d, not at %d yet", topic, p, starts[p], wanted[p])}
			}
		}
		return nil
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	proof := proved("%s %s", partitionsBegin(len(starts)), listed(starts))
	for _, p := range sortedIDs(wanted) {
		proof.Deleted = append(proof.Deleted, runtime.Written{Topic: topic, Partition: p, Offset: wanted[p]})
	}
	return proof, nil
}

func partitionsBegin(n int) string {
	if n == 1 {
		return "1 partition begins at"
	}
	return fmt.Sprintf("%d partitions begin at", n)
}

// listed gives offsets in order of their partitions, the first eight of them;
// when partitions are left out between, each with its number.
func listed(offsets map[int32]int64) string {
	ids := sortedIDs(offsets)
	numbered := len(ids) > 0 && int(ids[len(ids)-1]) >= len(ids)
	var out []string
	for i, p := range ids {
		if i == 8 {
			out = append(out, "…")
			break
		}
		s := strconv.FormatInt(offsets[p], 10)
		if numbered {
			s += fmt.Sprintf(" (%d)", p)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// deleteTopic removes a topic, and returns once no broker's metadata has it.
func (c *Control) deleteTopic(ctx context.Context, cluster, topic string) (runtime.Proof, error) {
	name := c.kafkaName(topic)
	attempts := 0
	err := c.do(ctx, cluster, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		attempts++
		err := admin.DeleteTopic(name)
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			if attempts > 1 {
				return nil // an earlier attempt did it, though its answer did not come
			}
			return final{err}
		}
		return err
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	n, err := c.everywhere(ctx, cluster, []string{name}, func(seen map[string]*sarama.TopicMetadata) error {
		if t := seen[name]; t != nil && t.Err != sarama.ErrUnknownTopicOrPartition {
			return fmt.Errorf("topic %s is still there", name)
		}
		return nil
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	proof := proved("no longer in the metadata of %d brokers", n)
	proof.Deleted = []runtime.Written{{Topic: topic, Partition: -1}}
	return proof, nil
}

// positions resolves offsets of a topic by what its leaders say. Of ago it is the
// first record that is not older than moment, or the end; offsets that are given
// stay as they are.
func positions(client sarama.Client, admin sarama.ClusterAdmin, topic string, o *plan.Offsets, moment int64) (map[int32]int64, error) {
	t, err := describe(admin, topic)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return nil, final{fmt.Errorf("topic %s: %w", topic, err)}
	}
	if err != nil {
		return nil, err
	}
	var ids []int32
	for _, p := range t.Partitions {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	switch o.Kind {
	case plan.OffsetsEarliest:
		return ask(client, topic, ids, sarama.OffsetOldest)
	case plan.OffsetsLatest:
		return ask(client, topic, ids, sarama.OffsetNewest)
	case plan.OffsetsAgo:
		out, err := ask(client, topic, ids, moment)
		if err != nil {
			return nil, err
		}
		ends, err := ask(client, topic, ids, sarama.OffsetNewest)
		if err != nil {
			return nil, err
		}
		for p, at := range out {
			if at < 0 {
				out[p] = ends[p]
			}
		}
		return out, nil
	case plan.OffsetsGiven:
		out := map[int32]int64{}
		for p, at := range o.ByPartition {
			if !slices.Contains(ids, int32(p)) {
				return nil, final{fmt.Errorf("partition %d: %w", p, sarama.ErrUnknownTopicOrPartition)}
			}
			out[int32(p)] = at
		}
		return out, nil
	}
	return nil, final{fmt.Errorf("for parameter to: got %q, want earliest, latest, ago or given", o.Kind)}
}

// ask gives the offsets of partitions at a place or timestamp (ListOffsets): -1
// where there is no record as late as that.
func ask(client sarama.Client, topic string, ids []int32, at int64) (map[int32]int64, error) {
	byLeader := map[*sarama.Broker][]int32{}
	for _, p := range ids {
		b, err := client.Leader(topic, p)
		if err != nil {
			return nil, passing{err}
		}
		byLeader[b] = append(byLeader[b], p)
	}
	out := map[int32]int64{}
	for b, ids := range byLeader {
		req := sarama.NewOffsetRequest(protocol)
		req.IsolationLevel = client.Config().Consumer.IsolationLevel
		for _, p := range ids {
			req.AddBlock(topic, p, at, 1)
		}
		resp, err := b.GetAvailableOffsets(req)
		if err != nil {
			_ = b.Close()
			return nil, passing{err}
		}
		for _, p := range ids {
			block := resp.GetBlock(topic, p)
			switch {
			case block == nil:
				return nil, passing{sarama.ErrIncompleteResponse}
			case block.Err != sarama.ErrNoError:
				return nil, passing{fmt.Errorf("%s/%d: %w", topic, p, block.Err)}
			}
			out[p] = block.Offset
		}
	}
	return out, nil
}
