// This file defines how a leader is asked for the offsets and sizes of its logs.

package kafka

import (
	"context"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime"
)

// logState is a leader's log. -1: not known.
type logState struct {
	start, stable, highWater, end, size int64

	overtaken bool // the node leads another epoch, or not at all
	unsettled bool // the leader may not tell its high-water mark to consumers yet
}

// ListOffsets answers by who asks (Partition.fetchOffsetForTimestamp in Kafka 3.9
// and 4): a consumer (-1) gets the high-water mark or the last stable offset as the
// latest offset, anybody else the end of the log. -2 is the id for debugging, which
// a follower answers too, were it not for the leader epoch in the request.
const (
	consumerID  = -1
	debuggingID = -2
)

// The timestamps of ListOffsets that stand for places.
const (
	atLatest   = -1
	atEarliest = -2
)

// Kafka's error codes that are dealt with here.
const (
	codeUnknownTopic       = 3
	codeNotLeader          = 6
	codeFencedLeaderEpoch  = 74
	codeUnknownLeaderEpoch = 75
	codeOffsetNotAvailable = 78
)

// logsOf asks one broker for the logs that it leads: those of partitions that
// which names. All offsets of a log only grow while its leader epoch lasts, so
// they are asked from the lowest to the highest and stand in order.
func logsOf(ctx context.Context, p *peer, partitions []runtime.PartitionState, which []int) ([]logState, error) {
	out := make([]logState, len(which))
	place := make(map[topicPartition]*logState, len(which))
	for j, n := range which {
		out[j] = logState{start: -1, stable: -1, highWater: -1, end: -1}
		place[topicPartition{partitions[n].Topic, partitions[n].Partition}] = &out[j]
	}
	sizes := kmsg.NewPtrDescribeLogDirsRequest() // no topics: all
	sizes.Version = 4
	resp, err := p.ask(ctx,
		listOffsets(partitions, which, consumerID, atEarliest, 0),
		listOffsets(partitions, which, consumerID, atLatest, 1),
		listOffsets(partitions, which, consumerID, atLatest, 0),
		listOffsets(partitions, which, debuggingID, atLatest, 0),
		sizes)
	if err != nil {
		return nil, err
	}
	unsettled := false
	for j, field := range []func(*logState) *int64{
		func(l *logState) *int64 { return &l.start },
		func(l *logState) *int64 { return &l.stable },
		func(l *logState) *int64 { return &l.highWater },
		func(l *logState) *int64 { return &l.end },
	} {
		for _, t := range resp[j].(*kmsg.ListOffsetsResponse).Topics {
			for _, x := range t.Partitions {
				l := place[topicPartition{t.Topic, x.Partition}]
				if l == nil {
					continue
				}
				switch x.ErrorCode {
				case 0:
					*field(l) = x.Offset
				case codeOffsetNotAvailable:
					l.unsettled, unsettled = true, true
				case codeUnknownTopic, codeNotLeader, codeFencedLeaderEpoch, codeUnknownLeaderEpoch:
					l.overtaken = true
				}
			}
		}
	}
	for _, d := range resp[4].(*kmsg.DescribeLogDirsResponse).Dirs {
		for _, t := range d.Topics {
			for _, x := range t.Partitions {
				// A future log is a copy on its way to another disk of the broker.
				if l := place[topicPartition{t.Topic, x.Partition}]; l != nil && !x.IsFuture {
					l.size = x.Size
				}
			}
		}
	}
	if unsettled {
		return out, unsettledMarks(ctx, p, partitions, which, out)
	}
	return out, nil
}

type topicPartition struct {
	topic     string
	partition int32
}

func listOffsets(partitions []runtime.PartitionState, which []int, replica int32, timestamp int64, isolation int8) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 7
	req.ReplicaID, req.IsolationLevel = replica, isolation
	for _, n := range which { // partitions are in order of topics
		x := partitions[n]
		if l := len(req.Topics); l == 0 || req.Topics[l-1].Topic != x.Topic {
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = x.Topic
			req.Topics = append(req.Topics, t)
		}
		t := &req.Topics[len(req.Topics)-1]
		q := kmsg.NewListOffsetsRequestTopicPartition()
		q.Partition, q.Timestamp, q.CurrentLeaderEpoch = x.Partition, timestamp, x.Epoch
		t.Partitions = append(t.Partitions, q)
	}
	return req
}

// unsettledMarks learns the high-water marks of partitions whose new leader has not
// heard from its followers yet. ListOffsets keeps them back until they have passed
// the start of the epoch (KIP-207); Fetch tells them, and at the end of the log it
// brings no records.
func unsettledMarks(ctx context.Context, p *peer, partitions []runtime.PartitionState, which []int, logs []logState) error {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 12 // the last that names topics instead of their ids
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = consumerID, 0, 0, 1
	req.SessionID, req.SessionEpoch = 0, -1
	place := map[topicPartition]*logState{}
	for j, n := range which {
		x := partitions[n]
		if !logs[j].unsettled || logs[j].end < 0 {
			continue
		}
		place[topicPartition{x.Topic, x.Partition}] = &logs[j]
		if l := len(req.Topics); l == 0 || req.Topics[l-1].Topic != x.Topic {
			t := kmsg.NewFetchRequestTopic()
			t.Topic = x.Topic
			req.Topics = append(req.Topics, t)
		}
		t := &req.Topics[len(req.Topics)-1]
		q := kmsg.NewFetchRequestTopicPartition()
		q.Partition, q.CurrentLeaderEpoch, q.FetchOffset, q.PartitionMaxBytes = x.Partition, x.Epoch, logs[j].end, 1
		t.Partitions = append(t.Partitions, q)
	}
	if len(place) == 0 {
		return nil
	}
	resp, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	for _, t := range resp[0].(*kmsg.FetchResponse).Topics {
		for _, x := range t.Partitions {
			l := place[topicPartition{t.Topic, x.Partition}]
			if l == nil || x.ErrorCode != 0 {
				continue
			}
			// Asked after the end, so it may have passed it meanwhile.
			l.end = max(l.end, x.HighWatermark)
			l.highWater, l.stable = x.HighWatermark, x.LastStableOffset
		}
	}
	return nil
}

func hostPort(host string, port int32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
