package core

// This file defines what a broker tells administrators of itself and its metadata:
// features, log directories, the partitions of topics, the quorum.

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataVersion is the level of 3.9-IV0, the only one that this engine has the rules of.
const metadataVersion int16 = 21

// features fills in what ApiVersions says of features (KIP-584). Version 3 cannot carry a
// range that begins at 0 (KAFKA-17011), so Kafka leaves kraft.version out of it.
func (b *broker) features(resp *kmsg.ApiVersionsResponse) {
	if resp.GetVersion() < 3 {
		return
	}
	supported := func(name string, low, high int16) {
		f := kmsg.NewApiVersionsResponseSupportedFeature()
		f.Name, f.MinVersion, f.MaxVersion = name, low, high
		resp.SupportedFeatures = append(resp.SupportedFeatures, f)
	}
	if resp.GetVersion() >= 4 {
		supported("kraft.version", 0, 1)
	}
	supported("metadata.version", 1, metadataVersion)
	f := kmsg.NewApiVersionsResponseFinalizedFeature()
	f.Name, f.MinVersionLevel, f.MaxVersionLevel = "metadata.version", metadataVersion, metadataVersion
	resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	resp.FinalizedFeaturesEpoch = max(0, b.image().offset)
}

// logDir is the directory that the broker names as the home of its logs.
func (b *broker) logDir() string {
	dirs := b.n.cfg.get("log.dirs")
	if dirs == "" {
		dirs = b.n.cfg.get("log.dir")
	}
	dir, _, _ := strings.Cut(dirs, ",")
	return strings.TrimSpace(dir)
}

// describeLogDirs lists the logs that this broker has. All of them stand in its first
// directory; what the volume holds and has left is not known, which is -1.
func (b *broker) describeLogDirs(req *kmsg.DescribeLogDirsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	wanted := map[partitionKey]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			wanted[partitionKey{t.Topic, p}] = true
		}
	}
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir, dir.TotalBytes, dir.UsableBytes = b.logDir(), -1, -1
	for _, key := range sortedKeys(b.replicas) {
		if req.Topics != nil && !wanted[key] {
			continue
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size = key.partition, b.replicas[key].log.size()
		// A replica in its own directory lags behind nothing but its high-water mark.
		p.OffsetLag = max(0, b.replicas[key].hw-b.replicas[key].log.next)
		if n := len(dir.Topics); n == 0 || dir.Topics[n-1].Topic != key.topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = key.topic
			dir.Topics = append(dir.Topics, t)
		}
		t := &dir.Topics[len(dir.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp
}

// alterReplicaLogDirs: there is one directory, so a replica is there already or cannot go.
func (b *broker) alterReplicaLogDirs(req *kmsg.AlterReplicaLogDirsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	for _, d := range req.Dirs {
		for _, t := range d.Topics {
			out := kmsg.NewAlterReplicaLogDirsResponseTopic()
			out.Topic = t.Topic
			for _, id := range t.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition = id
				key := partitionKey{t.Topic, id}
				switch {
				case d.Dir != b.logDir():
					p.ErrorCode = codeLogDirNotFound
				case b.image().partition(key) == nil:
					p.ErrorCode = codeUnknownTopicOrPartition
				case b.replicas[key] == nil:
					p.ErrorCode = codeNotLeaderOrFollower
				}
				out.Partitions = append(out.Partitions, p)
			}
			resp.Topics = append(resp.Topics, out)
		}
	}
	return resp
}

// describeTopicPartitions gives the partitions of topics in pages (KIP-966).
func (b *broker) describeTopicPartitions(from ClientConn, req *kmsg.DescribeTopicPartitionsRequest) kmsg.Response {
	m := b.image()
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	var names []string
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	all := len(names) == 0
	if all {
		names = slices.Clone(m.topicNames())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	first := int32(0)
	if c := req.Cursor; c != nil {
		names = slices.DeleteFunc(names, func(name string) bool { return name < c.Topic })
		if len(names) > 0 && names[0] == c.Topic {
			first = max(c.Partition, 0)
		}
	}
	room := int(b.n.cfg.long("max.request.partition.size.limit"))
	if n := int(req.ResponsePartitionLimit); n > 0 {
		room = min(room, n)
	}
	for _, name := range names {
		out := kmsg.NewDescribeTopicPartitionsResponseTopic()
		out.Topic, out.AuthorizedOperations = kmsg.StringPtr(name), noOperations
		t := m.topics[name]
		switch {
		case !b.allowed(from, opDescribe, kmsg.ACLResourceTypeTopic, name):
			if all {
				continue
			}
			out.ErrorCode = codeTopicAuthorization
		case t == nil && badTopicName(name) != "":
			out.ErrorCode = codeInvalidTopic
		case t == nil:
			out.ErrorCode = codeUnknownTopicOrPartition
		default:
			out.TopicID, out.IsInternal = t.id, internalTopic(name)
			out.AuthorizedOperations = b.operations(from, kmsg.ACLResourceTypeTopic, name)
			described := b.describeTopic(t)
			for i := first; int(i) < len(described.Partitions); i++ {
				if room == 0 {
					cursor := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
					cursor.Topic, cursor.Partition = name, i
					resp.NextCursor = &cursor
					break
				}
				p := &described.Partitions[i]
				rp := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
				rp.ErrorCode, rp.Partition, rp.LeaderID, rp.LeaderEpoch = p.ErrorCode, p.Partition, p.Leader, p.LeaderEpoch
				rp.Replicas, rp.ISR, rp.OfflineReplicas = p.Replicas, p.ISR, p.OfflineReplicas
				rp.EligibleLeaderReplicas, rp.LastKnownELR = []int32{}, []int32{}
				out.Partitions = append(out.Partitions, rp)
				room--
			}
			if resp.NextCursor != nil && len(out.Partitions) == 0 {
				return resp
			}
		}
		resp.Topics = append(resp.Topics, out)
		if resp.NextCursor != nil {
			return resp
		}
		first = 0
	}
	return resp
}

// quorumTopic is the name of the metadata log.
const quorumTopic = "__cluster_metadata"

// describeQuorum is answered by the active controller, who leads the quorum (KIP-595).
func (c *controller) describeQuorum(req *kmsg.DescribeQuorumRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	r := c.n.raft
	for _, t := range req.Topics {
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = t.Topic
		for _, asked := range t.Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition = asked.Partition
			if t.Topic != quorumTopic || asked.Partition != 0 {
				p.ErrorCode = codeUnknownTopicOrPartition
				out.Partitions = append(out.Partitions, p)
				continue
			}
			p.LeaderID, p.LeaderEpoch, p.HighWatermark = c.n.id, r.disk.epoch, r.hw
			for _, id := range c.n.w.voters {
				p.CurrentVoters = append(p.CurrentVoters, r.describeReplica(id))
			}
			for _, id := range sortedIDs(r.seen) {
				if !slices.Contains(c.n.w.voters, id) {
					p.Observers = append(p.Observers, r.describeReplica(id))
				}
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (r *raft) describeReplica(id int32) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	s.ReplicaID = id
	if id == r.n.id {
		now := r.n.w.wallMillis(r.n.w.now)
		s.LogEndOffset, s.LastFetchTimestamp, s.LastCaughtUpTimestamp = r.end(), now, now
		return s
	}
	s.LogEndOffset, s.LastFetchTimestamp, s.LastCaughtUpTimestamp = -1, -1, -1
	if seen := r.seen[id]; seen != nil {
		s.LogEndOffset, s.LastFetchTimestamp = seen.end, r.n.w.wallMillis(seen.fetched)
		if seen.everCaughtUp {
			s.LastCaughtUpTimestamp = r.n.w.wallMillis(seen.caughtUp)
		}
	}
	return s
}

// describeClientQuotas: there are none, and none can be set.
func describeClientQuotas(req *kmsg.DescribeClientQuotasRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	return resp
}
