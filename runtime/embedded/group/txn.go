package group

// This file defines offsets that are committed in transactions (KIP-98, KIP-447):
// TxnOffsetCommit leaves them pending, and the marker of the transaction's coordinator
// lets them hold or drops them.

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/internal/rules"
)

var _ core.GroupTransactions = (*Coordinator)(nil)

// unstable says whether some open transaction has an offset for the partition, or is about
// to (KIP-447).
func (g *group) unstable(tp topicPartition) bool {
	if g.writing[tp] > 0 {
		return true
	}
	for _, offsets := range g.txns {
		if _, ok := offsets[tp]; ok {
			return true
		}
	}
	return false
}

// prepare keeps an offset that is in the log until its transaction ends.
func (g *group) prepare(producer int64, tp topicPartition, o offset) {
	if g.txns[producer] == nil {
		g.txns[producer] = map[topicPartition]offset{}
	}
	g.txns[producer][tp] = o
}

func (g *group) unprepare(producer int64, tp topicPartition) {
	delete(g.txns[producer], tp)
	if len(g.txns[producer]) == 0 {
		delete(g.txns, producer)
	}
}

// drop forgets a partition's offsets, pending ones too.
func (g *group) drop(tp topicPartition) {
	delete(g.offsets, tp)
	for producer := range g.txns {
		g.unprepare(producer, tp)
	}
}

// endTxn applies or drops what a producer's transaction left. An offset that was committed
// after the transaction's own stays.
func (g *group) endTxn(producer int64, committed bool) {
	for tp, p := range g.txns[producer] {
		if old, ok := g.offsets[tp]; committed && (!ok || old.order < p.order) {
			g.offsets[tp] = p
		}
	}
	delete(g.txns, producer)
}

// EndTxn carries out a marker in a partition of __consumer_offsets.
func (c *Coordinator) EndTxn(now time.Duration, partition int32, txn core.GroupTxn) {
	c.Tick(now)
	if !c.leads[partition] {
		return
	}
	for _, g := range c.groups {
		if g.partition == partition {
			g.endTxn(txn.ProducerID, txn.End == core.TxnCommitted)
		}
	}
}

// mayCommitTxn says whether a transactional commit is from somebody entitled to it: a
// member of the generation, or whoever names neither, as clients before KIP-447 do.
func (c *Coordinator) mayCommitTxn(req *kmsg.TxnOffsetCommitRequest) (*group, int16) {
	if code := c.owns(req.Group); code != errNone {
		return nil, code
	}
	generation, member, instance := int32(-1), "", ""
	if req.Version >= 3 {
		generation, member = req.Generation, req.MemberID
		if req.InstanceID != nil {
			instance = *req.InstanceID
		}
	}
	g := c.groups[req.Group]
	if g == nil {
		g = c.create(req.Group)
	}
	if generation < 0 && (g.state == empty || member == "" && instance == "") {
		return g, errNone
	}
	if _, code := g.member(member, instance); code != errNone {
		return nil, code
	}
	if generation != g.generation {
		return nil, errIllegalGeneration
	}
	return g, errNone
}

func (c *Coordinator) commitTxn(req *kmsg.TxnOffsetCommitRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	var g *group
	refused := errNone
	if slices.ContainsFunc(req.Topics, func(t kmsg.TxnOffsetCommitRequestTopic) bool {
		return slices.ContainsFunc(t.Partitions, func(p kmsg.TxnOffsetCommitRequestTopicPartition) bool {
			return c.env.TopicExists(t.Topic, p.Partition)
		})
	}) {
		g, refused = c.mayCommitTxn(req)
	}
	wall := c.env.WallMillis(c.now)
	var records []core.GroupRecord
	type change struct {
		tp     topicPartition
		offset offset
		code   *int16
	}
	var changes []change
	for _, t := range req.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			rp := &rt.Partitions[i]
			rp.Partition = p.Partition
			o := offset{offset: p.Offset, leaderEpoch: -1, committed: wall, expires: -1}
			if req.Version >= 2 {
				o.leaderEpoch = p.LeaderEpoch
			}
			if p.Metadata != nil {
				o.metadata = *p.Metadata
			}
			switch {
			case !c.env.TopicExists(t.Topic, p.Partition):
				rp.ErrorCode = errUnknownTopicOrPartition
			case refused != errNone:
				rp.ErrorCode = refused
			case len(o.metadata) > c.limits.maxMetadata:
				rp.ErrorCode = errOffsetMetadataTooLarge
			default:
				tp := topicPartition{t.Topic, p.Partition}
				records = append(records, core.GroupRecord{Key: offsetKey(req.Group, tp), Value: offsetValue(o)})
				changes = append(changes, change{tp, o, &rp.ErrorCode})
				g.writing[tp]++
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(records) == 0 {
		reply(resp)
		return
	}
	txn := core.GroupTxn{ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch}
	c.env.Storage.AppendTxn(g.partition, req.TransactionalID, txn, records, func(code int16) {
		ok := code == errNone
		switch code {
		case errMessageTooLarge:
			code = errInvalidCommitOffsetSize
		case errTransactionAbortable:
			if req.Version < 4 {
				code = errInvalidTxnState
			}
		default:
			code = storageError(code)
		}
		c.order++
		for _, ch := range changes {
			*ch.code = code
			if g.writing[ch.tp]--; g.writing[ch.tp] == 0 {
				delete(g.writing, ch.tp)
			}
			if ok && g.state != dead {
				ch.offset.order = c.order
				g.prepare(req.ProducerID, ch.tp, ch.offset)
				if c.env.Without.Lacks(rules.PendingOffsets) {
					g.offsets[ch.tp] = ch.offset
				}
			}
		}
		reply(resp)
	})
}
