// This file defines reset_offsets: moving the positions of a group that has no
// members, by the rules of kafka-consumer-groups --reset-offsets (Kafka 3.9).

package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"starfall/interp/plan"
	"starfall/runtime"
)

// wallAt is when a scenario time is, or was, by the wall clock.
func (c *Control) wallAt(at time.Duration) (time.Time, error) {
	if c.Clock == nil {
		return time.Time{}, errors.New("there is no scenario time")
	}
	speed := c.Speed
	if speed <= 0 {
		speed = 1
	}
	return time.Now().Add(time.Duration(float64(at-c.Clock.Now()) / speed)), nil
}

// ago is the timestamp, in milliseconds, of offsets that lie so far in the past.
func (c *Control) ago(o *plan.Offsets) int64 {
	if o.Kind != plan.OffsetsAgo {
		return 0
	}
	return time.Now().Add(-c.settings("").wall(time.Duration(o.Ago))).UnixMilli()
}

// groupTopics are a consumer's topics on a cluster: those that it declares, or
// where it has none there, those that hold their records since it failed over.
func (c *Control) groupTopics(x plan.Consumer, cluster string) []plan.Topic {
	var own, moved []plan.Topic
	for _, name := range x.Topics {
		for _, t := range c.Plan.Topics {
			switch {
			case t.Cluster != cluster:
			case t.Name == name:
				own = append(own, t)
			case t.Of == name:
				moved = append(moved, t)
			}
		}
	}
	if len(own) > 0 {
		return own
	}
	return moved
}

func (c *Control) resetOffsets(ctx context.Context, cluster, consumer string, to *plan.Offsets) (runtime.Proof, error) {
	if to == nil {
		return runtime.Proof{}, errors.New("it names no position")
	}
	x := c.Plan.Consumer(consumer)
	if x == nil || x.Group == "" {
		return runtime.Proof{}, errors.New("it has no group")
	}
	topics := c.groupTopics(*x, cluster)
	if len(topics) == 0 {
		return runtime.Proof{}, fmt.Errorf("it reads no topic of cluster %s", cluster)
	}
	g, err := c.Group(ctx, cluster, x.Group)
	if err != nil {
		return runtime.Proof{}, err
	}
	if g.State != "Empty" && g.State != "Dead" && g.State != "" {
		return runtime.Proof{}, errRunning(x.Group, g.State)
	}
	moment := c.ago(to)
	wanted := map[string]map[int32]int64{} // by Kafka's names
	err = c.do(ctx, cluster, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		for _, t := range topics {
			at, err := positions(client, admin, t.KafkaName(), to, moment)
			if err != nil {
				return err
			}
			if to.Kind == plan.OffsetsGiven {
				if err := clamp(client, t.KafkaName(), at); err != nil {
					return err
				}
			}
			wanted[t.KafkaName()] = at
		}
		return nil
	})
	if err != nil {
		return runtime.Proof{}, err
	}
	if err := c.commitFor(ctx, cluster, x.Group, wanted); err != nil {
		if errors.Is(err, sarama.ErrUnknownMemberId) {
			if now, e := c.Group(ctx, cluster, x.Group); e == nil && now.Members > 0 {
				return runtime.Proof{}, fmt.Errorf("%w (%w)", errRunning(x.Group, now.State), err)
			}
		}
		return runtime.Proof{}, err
	}
	g, err = c.Group(ctx, cluster, x.Group)
	if err != nil {
		return runtime.Proof{}, err
	}
	var texts []string
	for _, t := range topics {
		want := wanted[t.KafkaName()]
		for _, p := range sortedIDs(want) {
			if have, ok := g.Committed[t.Name][p]; !ok || have != want[p] {
				return runtime.Proof{}, fmt.Errorf("%s/%d: the group's position reads back as %d, not as %d", t.Name, p, have, want[p])
			}
		}
		n := "partitions"
		if len(want) == 1 {
			n = "partition"
		}
		texts = append(texts, fmt.Sprintf("%d %s of %s at %s", len(want), n, t.Name, listed(want)))
	}
	return proved("%s", strings.Join(texts, ", ")), nil
}

// errRunning is what the tool says of a group with members.
func errRunning(group, state string) error {
	return fmt.Errorf("assignments can only be reset if the group '%s' is inactive, but the current state is %s", group, state)
}

// clamp brings offsets that lie outside of the log to its nearer end, as the
// tool does.
func clamp(client sarama.Client, topic string, at map[int32]int64) error {
	starts, err := ask(client, topic, sortedIDs(at), sarama.OffsetOldest)
	if err != nil {
		return err
	}
	ends, err := ask(client, topic, sortedIDs(at), sarama.OffsetNewest)
	if err != nil {
		return err
	}
	for p, n := range at {
		at[p] = max(min(n, ends[p]), starts[p])
	}
	return nil
}

// commitFor commits positions of a group from outside: with no member and no
// generation, which a coordinator takes only while the group has no members.
func (c *Control) commitFor(ctx context.Context, cluster, group string, offsets map[string]map[int32]int64) error {
	return c.do(ctx, cluster, func(client sarama.Client, _ sarama.ClusterAdmin) error {
		addr, err := coordinatorOf(client, group)
		if err != nil {
			return err
		}
		b := sarama.NewBroker(addr)
		if err := b.Open(client.Config()); err != nil {
			return passing{err}
		}
		defer b.Close()
		req := &sarama.OffsetCommitRequest{Version: 8, ConsumerGroup: group, ConsumerGroupGeneration: sarama.GroupGenerationUndefined}
		for topic, parts := range offsets {
			for p, at := range parts {
				req.AddBlockWithLeaderEpoch(topic, p, at, -1, 0, "")
			}
		}
		resp, err := b.CommitOffset(req)
		if err != nil {
			return passing{err}
		}
		for topic, parts := range resp.Errors {
			for p, k := range parts {
				if k != sarama.ErrNoError {
					return fmt.Errorf("%s/%d: %w", topic, p, k)
				}
			}
		}
		return nil
	})
}

// coordinatorOf asks the brokers that are known who coordinates a group.
func coordinatorOf(client sarama.Client, group string) (string, error) {
	for _, x := range client.Brokers() {
		_ = x.Open(client.Config())
		resp, err := x.FindCoordinator(&sarama.FindCoordinatorRequest{Version: 3, CoordinatorKey: group, CoordinatorType: sarama.CoordinatorGroup})
		if err == nil && resp.Err == sarama.ErrNoError {
			return resp.Coordinator.Addr(), nil
		}
	}
	return "", passing{fmt.Errorf("group %s has no coordinator", group)}
}
