// This file defines how a mirror translates the positions of groups and writes
// them to the target.

package kafka

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"starfall/runtime/record"
)

// syncGroups translates every second of scenario time and writes every
// SyncOffsetsEvery.
func (m *mirror) syncGroups() {
	open := func(k *cluster, set settings) *client {
		d := set.dialer()
		return newClient(k, set.sarama(m.id, d), d)
	}
	source, target := open(m.source, m.read), open(m.target, m.write)
	defer source.end(true)
	defer target.end(true)
	m.wait.Go(func() { // a question that a broker does not answer is not waited for at the end
		<-m.ctx.Done()
		source.end(true)
		target.end(true)
	})
	every := m.read.wall(time.Duration(m.spec.Mirror.SyncOffsetsEvery))
	step := min(m.read.wall(mirrorCheckpoints), every)
	next := time.Now().Add(every)
	refused := map[string]bool{} // groups whose running was told
	for m.pause(step) {
		if err := m.checkpoint(source); err != nil && m.ctx.Err() == nil {
			m.warnOnce(fmt.Errorf("positions of groups: %w", err))
		}
		if now := time.Now(); now.Before(next) {
			continue
		}
		for next = next.Add(every); next.Before(time.Now()); {
			next = next.Add(every)
		}
		for group, wanted := range m.memory.wanted() {
			err := m.writeGroup(target, group, wanted)
			switch {
			case m.ctx.Err() != nil:
				return
			case errors.Is(err, sarama.ErrUnknownMemberId):
				if !refused[group] {
					m.warn("positions of group %s are not written: it has members at the target", group)
				}
				refused[group] = true
			case err != nil:
				m.warnOnce(fmt.Errorf("positions of group %s: %w", group, err))
			default:
				delete(refused, group)
			}
		}
	}
}

// mirrorsGroup leaves out what MirrorMaker leaves out (groups.exclude).
func mirrorsGroup(name string) bool {
	return !strings.HasPrefix(name, "console-consumer-") && !strings.HasPrefix(name, "connect-") && !strings.HasPrefix(name, "__")
}

// checkpoint translates the positions of all groups of the source.
func (m *mirror) checkpoint(source *client) error {
	var errs []error
	for _, addr := range m.source.addresses() {
		b := source.broker(addr)
		listed, err := b.ListGroups(&sarama.ListGroupsRequest{Version: 3})
		if err != nil {
			_ = b.Close()
			errs = append(errs, err)
			continue
		}
		for group, kind := range listed.Groups {
			if !mirrorsGroup(group) || kind != "consumer" && kind != "" {
				continue
			}
			at, err := committed(b, group)
			if err != nil {
				errs = append(errs, fmt.Errorf("group %s: %w", group, err))
				continue
			}
			m.memory.checkpoint(group, at)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errors.Join(errs...)
}

// committed gives a group's positions by its coordinator.
func committed(b *sarama.Broker, group string) (map[record.TopicPartition]int64, error) {
	fetched, err := b.FetchOffset(sarama.NewOffsetFetchRequest(protocol, group, nil))
	if err != nil {
		return nil, err
	}
	blocks, code := fetched.Blocks, fetched.Err
	for _, x := range fetched.Groups {
		if x.GroupId == group {
			blocks, code = x.Blocks, x.Err
		}
	}
	if code == sarama.ErrGroupIDNotFound {
		return nil, nil
	}
	if code != sarama.ErrNoError {
		return nil, code
	}
	out := map[record.TopicPartition]int64{}
	for topic, parts := range blocks {
		for p, block := range parts {
			if block.Err == sarama.ErrNoError && block.Offset >= 0 {
				out[record.TopicPartition{Topic: topic, Partition: p}] = block.Offset
			}
		}
	}
	return out, nil
}

// checkpoint translates what a group has committed at the source. A later position
// never leads to an earlier one in the copy.
func (m *mirrorMemory) checkpoint(group string, at map[record.TopicPartition]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for tp, up := range at {
		s := m.syncs[tp]
		if s == nil {
			continue // not a mirrored topic, or nothing is copied yet
		}
		down, ok := s.translate(up)
		if !ok {
			continue
		}
		if m.checkpoints[group] == nil {
			m.checkpoints[group] = map[record.TopicPartition]syncPoint{}
		}
		last, known := m.checkpoints[group][tp]
		if !known || up < last.up || down > last.down {
			m.checkpoints[group][tp] = syncPoint{up, down}
		}
	}
}

// wanted are the translated positions by group, under the source's names.
func (m *mirrorMemory) wanted() map[string]map[record.TopicPartition]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]map[record.TopicPartition]int64{}
	for group, parts := range m.checkpoints {
		out[group] = map[record.TopicPartition]int64{}
		for tp, x := range parts {
			out[group][tp] = x.down
		}
	}
	return out
}

// writeGroup commits positions of a group at the target. A group without members
// that has been there goes forward only; any other commit the coordinator judges
// itself: with members it answers UNKNOWN_MEMBER_ID.
func (m *mirror) writeGroup(target *client, group string, wanted map[record.TopicPartition]int64) error {
	addr, err := findCoordinator(m.target, sarama.CoordinatorGroup, group)
	if err != nil {
		return err
	}
	b := target.broker(addr)
	described, err := b.DescribeGroups(&sarama.DescribeGroupsRequest{Version: 5, Groups: []string{group}})
	if err != nil {
		_ = b.Close()
		return err
	}
	have := map[record.TopicPartition]int64{}
	if len(described.Groups) == 1 && described.Groups[0].State == "Empty" {
		if have, err = committed(b, group); err != nil {
			return err
		}
	}
	req := &sarama.OffsetCommitRequest{Version: 8, ConsumerGroup: group, ConsumerGroupGeneration: sarama.GroupGenerationUndefined}
	n := 0
	for tp, down := range wanted {
		for i, t := range m.spec.Topics {
			if t.KafkaName() != tp.Topic {
				continue
			}
			to := record.TopicPartition{Topic: m.spec.Copies[i].KafkaName(), Partition: tp.Partition}
			if now, ok := have[to]; ok && now >= down {
				continue
			}
			req.AddBlockWithLeaderEpoch(to.Topic, to.Partition, down, -1, 0, "")
			n++
		}
	}
	if n == 0 {
		return nil
	}
	resp, err := b.CommitOffset(req)
	if err != nil {
		_ = b.Close()
		return err
	}
	for topic, parts := range resp.Errors {
		for p, k := range parts {
			if k != sarama.ErrNoError {
				return fmt.Errorf("%s/%d: %w", topic, p, k)
			}
		}
	}
	return nil
}
