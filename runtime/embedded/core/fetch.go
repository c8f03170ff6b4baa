package core

// This file defines how a broker answers clients that read: Fetch, ListOffsets and
// OffsetForLeaderEpoch.

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/codec"
)

// clientFetch is one fetch request, parked until it has enough to tell.
type clientFetch struct {
	b        *broker
	from     ClientConn
	req      *kmsg.FetchRequest // with all partitions of the session, if there is one
	session  *fetchSession      // nil for none
	reply    func(kmsg.Response)
	replicas []*replica // where it is parked
	timeout  *timer
	checking bool
	done     bool
}

func (b *broker) fetch(from ClientConn, req *kmsg.FetchRequest, reply func(kmsg.Response)) {
	whole, session, code := b.clientSessions.begin(req)
	if code != 0 {
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.ErrorCode = code
		reply(resp)
		return
	}
	req = whole
	f := &clientFetch{b: b, from: from, req: req, session: session, reply: reply}
	bytes, urgent := f.available()
	if urgent || req.MaxWaitMillis <= 0 || len(req.Topics) == 0 || bytes >= int(req.MinBytes) {
		f.answer()
		return
	}
	b.fetches[f] = true
	for _, r := range f.replicas {
		r.parked = append(r.parked, f)
	}
	f.timeout = b.n.timer(time.Duration(req.MaxWaitMillis)*time.Millisecond, f.answer)
}

func (f *clientFetch) topicName(t *kmsg.FetchRequestTopic) string {
	if f.req.GetVersion() >= 13 {
		return f.b.image().names[t.TopicID]
	}
	return t.Topic
}

// available is how many bytes an answer would have now; urgent when some partition has
// an error to tell or a diverging epoch.
func (f *clientFetch) available() (bytes int, urgent bool) {
	f.replicas = f.replicas[:0]
	for i := range f.req.Topics {
		t := &f.req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			r, code := f.judge(f.topicName(t), p)
			if code != 0 {
				return 0, true
			}
			if f.diverges(r, p) != nil {
				return 0, true
			}
			f.replicas = append(f.replicas, r)
			bytes += r.log.bytesFrom(p.FetchOffset, r.readable(f.req.IsolationLevel), int(f.req.MinBytes)-bytes)
		}
	}
	return bytes, false
}

func (f *clientFetch) judge(topic string, p *kmsg.FetchRequestTopicPartition) (*replica, int16) {
	if topic == "" {
		return nil, codeUnknownTopicID
	}
	if !f.b.allowed(f.from, opRead, onTopic, topic) {
		return nil, codeTopicAuthorization
	}
	r, code := f.b.leaderOf(partitionKey{topic, p.Partition})
	if code != 0 {
		return nil, code
	}
	if f.req.GetVersion() >= 9 {
		if code := r.checkEpoch(p.CurrentLeaderEpoch); code != 0 {
			return nil, code
		}
	}
	if p.FetchOffset < r.log.start || p.FetchOffset > r.log.next {
		return nil, codeOffsetOutOfRange
	}
	return r, 0
}

// checkEpoch compares a client's leader epoch with the one in force (KIP-320).
func (r *replica) checkEpoch(epoch int32) int16 {
	switch {
	case epoch < 0 || epoch == r.epoch:
		return 0
	case epoch < r.epoch:
		return codeFencedLeaderEpoch
	}
	return codeUnknownLeaderEpoch
}

func (f *clientFetch) diverges(r *replica, p *kmsg.FetchRequestTopicPartition) *epochEnd {
	if f.req.GetVersion() < 12 || p.LastFetchedEpoch < 0 {
		return nil
	}
	epoch, end := r.log.endOffsetFor(p.LastFetchedEpoch)
	if epoch < p.LastFetchedEpoch || end < p.FetchOffset {
		return &epochEnd{epoch, end}
	}
	return nil
}

// check answers a parked fetch at the end of this turn, if there is enough by then.
func (f *clientFetch) check() {
	if f.checking || f.done {
		return
	}
	f.checking = true
	f.b.n.after(0, func() {
		f.checking = false
		if f.done {
			return
		}
		parked := f.replicas
		f.replicas = nil
		bytes, urgent := f.available()
		f.replicas = parked
		if urgent || bytes >= int(f.req.MinBytes) {
			f.answer()
		}
	})
}

// drop takes a fetch out of where it is parked, without an answer.
func (f *clientFetch) drop() {
	f.done = true
	f.timeout.stop()
	delete(f.b.fetches, f)
	for _, r := range f.replicas {
		if i := slices.Index(r.parked, f); i >= 0 {
			r.parked = slices.Delete(r.parked, i, i+1)
		}
	}
}

func (f *clientFetch) answer() {
	if f.done {
		return
	}
	f.drop()
	req := f.req
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	resp.Topics = make([]kmsg.FetchResponseTopic, len(req.Topics))
	room := f.b.n.cfg.fetchMaxBytes
	if req.MaxBytes > 0 {
		room = min(room, int(req.MaxBytes))
	}
	first := true
	leaders := map[int32]bool{}
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		rt.Partitions = make([]kmsg.FetchResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			p, rp := &t.Partitions[j], &rt.Partitions[j]
			*rp = kmsg.NewFetchResponseTopicPartition()
			rp.Partition = p.Partition
			rp.PreferredReadReplica = -1
			rp.RecordBatches = []byte{}
			r, code := f.judge(f.topicName(t), p)
			if code != 0 {
				rp.ErrorCode = code
				rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = -1, -1, -1
				if code == codeNotLeaderOrFollower || code == codeFencedLeaderEpoch {
					f.nameLeader(partitionKey{f.topicName(t), p.Partition}, rp, leaders)
				}
				continue
			}
			rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = r.hw, r.stable(), r.log.start
			if d := f.diverges(r, p); d != nil {
				rp.DivergingEpoch.Epoch, rp.DivergingEpoch.EndOffset = d.epoch, d.end
				continue
			}
			limit := r.readable(req.IsolationLevel)
			batches, size := r.log.read(nil, p.FetchOffset, limit, min(room, int(p.PartitionMaxBytes)), first)
			if req.IsolationLevel == readCommitted {
				rp.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
			}
			if len(batches) == 0 {
				continue
			}
			if req.GetVersion() < 10 && slices.ContainsFunc(batches, func(b *batch) bool { return b.codec() == codec.Zstd }) {
				rp.ErrorCode = codeUnsupportedCompression // KIP-110
				rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = -1, -1, -1
				continue
			}
			if req.IsolationLevel == readCommitted {
				rp.AbortedTransactions = r.log.txns.abortedIn(p.FetchOffset, batches[len(batches)-1].last+1)
			}
			first = false
			room = max(0, room-size)
			if len(batches) == 1 && batches[0].data != nil {
				rp.RecordBatches = batches[0].data
				continue
			}
			rp.RecordBatches = make([]byte, 0, size)
			for _, b := range batches {
				data, err := f.b.n.w.spool.bytes(b)
				if err != nil {
					rp.ErrorCode, rp.RecordBatches = codeKafkaStorage, []byte{}
					rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = -1, -1, -1
					break
				}
				rp.RecordBatches = append(rp.RecordBatches, data...)
			}
		}
	}
	if f.session != nil {
		f.b.clientSessions.answered(f.session, req, resp)
	}
	if req.GetVersion() >= 16 && resp.ErrorCode == 0 {
		for _, id := range sortedIDs(leaders) {
			nb := kmsg.NewFetchResponseBroker()
			nb.NodeID = id
			nb.Host, nb.Port = f.b.n.w.opts.Address(f.from.Listener, id)
			nb.Rack = f.b.rackOf(id)
			resp.Brokers = append(resp.Brokers, nb)
		}
	}
	f.reply(resp)
}

func (f *clientFetch) nameLeader(key partitionKey, rp *kmsg.FetchResponseTopicPartition, leaders map[int32]bool) {
	if f.req.GetVersion() < 12 {
		return
	}
	if p := f.b.image().partition(key); p != nil {
		rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = p.Leader, p.LeaderEpoch
		if p.Leader > 0 {
			leaders[p.Leader] = true
		}
	}
}

func sortedIDs[V any](set map[int32]V) []int32 {
	ids := make([]int32, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// The special timestamps of ListOffsets.
const (
	timestampLatest   = -1
	timestampEarliest = -2
	timestampMax      = -3 // KIP-734
	timestampLocal    = -4 // KIP-405: without tiered storage the same as earliest
	timestampTiered   = -5 // KIP-1005: without tiered storage nothing
)

// The replica ids of ListOffsets that stand for no broker. Whoever is not a consumer sees
// up to the end of the log; a debugging one is answered by followers too.
const (
	consumerReplica  = -1
	debuggingReplica = -2
)

// askableTime: the version of ListOffsets knows the special timestamp, if it is one
// (KafkaApis.handleListOffsetRequestV1AndAbove).
func askableTime(timestamp int64, version int16) bool {
	switch timestamp {
	case timestampMax:
		return version >= 7
	case timestampLocal:
		return version >= 8
	case timestampTiered:
		return version >= 9
	}
	return timestamp > timestampTiered
}

func (b *broker) listOffsets(req *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	asked := map[partitionKey]int{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			asked[partitionKey{t.Topic, p.Partition}]++
		}
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Timestamp, rp.Offset, rp.LeaderEpoch = p.Partition, -1, -1, -1
			if key := (partitionKey{t.Topic, p.Partition}); asked[key] > 1 {
				rp.ErrorCode = codeInvalidRequest
			} else {
				rp.ErrorCode = b.listOffset(req, key, p, &rp)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (b *broker) listOffset(req *kmsg.ListOffsetsRequest, key partitionKey, p *kmsg.ListOffsetsRequestTopicPartition, rp *kmsg.ListOffsetsResponseTopicPartition) int16 {
	if !askableTime(p.Timestamp, req.GetVersion()) {
		return codeUnsupportedVersion
	}
	// A follower looks at the epoch first, as Partition.getLocalLog does.
	r := b.replicas[key]
	if r != nil && req.GetVersion() >= 4 {
		if code := r.checkEpoch(p.CurrentLeaderEpoch); code != 0 {
			return code
		}
	}
	if r == nil || req.ReplicaID != debuggingReplica {
		var code int16
		if r, code = b.leaderOf(key); code != 0 {
			return code
		}
	}
	// A new leader does not know the high-water mark before its followers have
	// fetched; an answer now could go back behind an earlier one (KIP-207).
	settled := r.hw >= r.epochStart
	l := r.log
	end := r.hw
	if req.GetVersion() >= 2 {
		end = r.readable(req.IsolationLevel)
	}
	if req.ReplicaID != consumerReplica {
		settled, end = true, l.next
	}
	switch {
	case p.Timestamp == timestampEarliest || p.Timestamp == timestampLocal:
		rp.Offset, rp.LeaderEpoch = l.start, l.epochs.at(l.start)
		return 0
	case p.Timestamp == timestampTiered:
		return 0
	case !settled && req.GetVersion() >= 5:
		return codeOffsetNotAvailable
	case !settled:
		return codeLeaderNotAvailable
	case p.Timestamp == timestampLatest:
		rp.Offset, rp.LeaderEpoch = end, r.epoch
		return 0
	case len(l.entries) == 0:
		return 0
	}
	i := 0
	if p.Timestamp == timestampMax {
		i = l.findTime(l.maxTime)
	} else {
		i = l.findTime(p.Timestamp)
	}
	for ; i < len(l.entries) && l.entries[i].b.last < end; i++ {
		bt, err := b.n.w.spool.loaded(l.entries[i].b)
		if err != nil {
			return codeKafkaStorage
		}
		// Where the log begins inside a batch, what the time index points at may be
		// deleted: then the next batch has it.
		if offset, at, ok := bt.findTime(&b.n.w.codec, p.Timestamp, l.start); ok {
			rp.Offset, rp.Timestamp, rp.LeaderEpoch = offset, at, bt.epoch
			return 0
		}
	}
	return 0
}

func (b *broker) offsetForLeaderEpoch(req *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, -1, -1
			r, code := b.leaderOf(partitionKey{t.Topic, p.Partition})
			if code == 0 {
				code = r.checkEpoch(p.CurrentLeaderEpoch)
			}
			if rp.ErrorCode = code; code == 0 {
				rp.LeaderEpoch, rp.EndOffset = r.log.endOffsetFor(p.LeaderEpoch)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
