package group

// This file defines committed offsets: OffsetCommit, OffsetFetch, OffsetDelete
// and their expiry (KIP-211).

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/internal/rules"
)

// mayCommit says whether a commit is from somebody entitled to it.
//
//	group                  from a member                 from nobody in particular (generation -1, no ids)
//	unknown                ILLEGAL_GENERATION            makes the group
//	Empty                  UNKNOWN_MEMBER_ID             yes
//	PreparingRebalance     yes: the member is to commit  UNKNOWN_MEMBER_ID
//	                       before it joins again
//	CompletingRebalance    REBALANCE_IN_PROGRESS         UNKNOWN_MEMBER_ID
//	Stable                 yes                           UNKNOWN_MEMBER_ID
//
// A member with another generation gets ILLEGAL_GENERATION.
func (c *Coordinator) mayCommit(req *kmsg.OffsetCommitRequest) (*group, int16) {
	if code := c.ownsAny(req.Group); code != errNone {
		return nil, code
	}
	generation, instance := req.Generation, ""
	if req.Version < 1 {
		generation = -1
	}
	if req.InstanceID != nil {
		instance = *req.InstanceID
	}
	g := c.groups[req.Group]
	if g == nil {
		if generation >= 0 {
			return nil, errIllegalGeneration
		}
		return c.create(req.Group), errNone
	}
	if generation < 0 && req.MemberID == "" && instance == "" {
		if g.state != empty {
			return nil, errUnknownMemberID
		}
		return g, errNone
	}
	m, code := g.member(req.MemberID, instance)
	switch {
	case code != errNone:
		return nil, code
	case generation != g.generation && !c.env.Without.Lacks(rules.Generation):
		return nil, errIllegalGeneration
	case g.state == completingRebalance:
		return nil, errRebalanceInProgress
	}
	c.touch(g, m)
	return g, errNone
}

func (c *Coordinator) commit(req *kmsg.OffsetCommitRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	var g *group
	refused := errNone
	// Partitions that do not exist are answered by the broker, which does not trouble the
	// coordinator with them, nor at all when there are no others (KafkaApis).
	if slices.ContainsFunc(req.Topics, func(t kmsg.OffsetCommitRequestTopic) bool {
		return slices.ContainsFunc(t.Partitions, func(p kmsg.OffsetCommitRequestTopicPartition) bool { return c.env.TopicExists(t.Topic, p.Partition) })
	}) {
		g, refused = c.mayCommit(req)
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
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			rp := &rt.Partitions[i]
			rp.Partition = p.Partition
			o := offset{offset: p.Offset, leaderEpoch: -1, committed: wall, expires: -1}
			if req.Version >= 6 {
				o.leaderEpoch = p.LeaderEpoch
			}
			if p.Metadata != nil {
				o.metadata = *p.Metadata
			}
			if req.Version >= 2 && req.Version <= 4 && req.RetentionTimeMillis >= 0 {
				o.expires = wall + req.RetentionTimeMillis
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
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(records) == 0 {
		reply(resp)
		return
	}
	c.append(g.partition, records, func(code int16) {
		if code == errMessageTooLarge {
			code = errInvalidCommitOffsetSize
		}
		code = storageError(code)
		c.order++
		for _, ch := range changes {
			*ch.code = code
			if code == errNone && g.state != dead {
				ch.offset.order = c.order
				g.offsets[ch.tp] = ch.offset
			}
		}
		reply(resp)
	})
}

// position is what OffsetFetch answers for one partition.
type position struct {
	tp topicPartition
	offset
	code int16
}

// positions gives the committed offsets of the partitions asked for, or all;
// -1 stands for none. With stable, partitions that an open transaction commits
// get UNSTABLE_OFFSET_COMMIT (KIP-447).
func (c *Coordinator) positions(id string, all, stable bool, asked []topicPartition) ([]position, int16) {
	if code := c.ownsAny(id); code != errNone {
		return nil, code
	}
	g := c.groups[id]
	if g == nil {
		g = newGroup(id, 0)
	}
	if all {
		asked = g.sortedOffsets()
	}
	var out []position
	for _, tp := range asked {
		o, ok := g.offsets[tp]
		code := errNone
		if !ok {
			o = offset{offset: -1, leaderEpoch: -1}
		}
		if stable && g.unstable(tp) {
			o, code = offset{offset: -1, leaderEpoch: -1}, errUnstableOffsetCommit
		}
		out = append(out, position{tp, o, code})
	}
	return out, errNone
}

func (c *Coordinator) fetch(req *kmsg.OffsetFetchRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version >= 8 {
		for _, rg := range req.Groups {
			resp.Groups = append(resp.Groups, c.fetchGroup(rg, req.RequireStable))
		}
		return resp
	}
	var asked []topicPartition
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			asked = append(asked, topicPartition{t.Topic, p})
		}
	}
	found, code := c.positions(req.Group, req.Topics == nil && req.Version >= 2, req.Version >= 7 && req.RequireStable, asked)
	resp.ErrorCode = code
	if code != errNone {
		for _, tp := range asked {
			found = append(found, position{tp, offset{offset: -1, leaderEpoch: -1}, code})
		}
	}
	for _, pos := range found {
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != pos.tp.topic {
			rt := kmsg.NewOffsetFetchResponseTopic()
			rt.Topic = pos.tp.topic
			resp.Topics = append(resp.Topics, rt)
		}
		rp := kmsg.NewOffsetFetchResponseTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.ErrorCode = pos.tp.partition, pos.offset.offset, pos.leaderEpoch, pos.code
		rp.Metadata = kmsg.StringPtr(pos.metadata)
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, rp)
	}
	return resp
}

// fetchGroup answers for one group of a request of version 8 or later.
func (c *Coordinator) fetchGroup(rg kmsg.OffsetFetchRequestGroup, stable bool) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = rg.Group
	var asked []topicPartition
	for _, t := range rg.Topics {
		for _, p := range t.Partitions {
			asked = append(asked, topicPartition{t.Topic, p})
		}
	}
	found, code := c.positions(rg.Group, rg.Topics == nil, stable, asked)
	if out.ErrorCode = code; code != errNone {
		return out
	}
	for _, pos := range found {
		if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != pos.tp.topic {
			rt := kmsg.NewOffsetFetchResponseGroupTopic()
			rt.Topic = pos.tp.topic
			out.Topics = append(out.Topics, rt)
		}
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.ErrorCode = pos.tp.partition, pos.offset.offset, pos.leaderEpoch, pos.code
		rp.Metadata = kmsg.StringPtr(pos.metadata)
		t := &out.Topics[len(out.Topics)-1]
		t.Partitions = append(t.Partitions, rp)
	}
	return out
}

func (c *Coordinator) deleteOffsets(req *kmsg.OffsetDeleteRequest, reply func(kmsg.Response)) {
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	if resp.ErrorCode = c.owns(req.Group); resp.ErrorCode != errNone {
		reply(resp)
		return
	}
	g := c.groups[req.Group]
	if g == nil {
		resp.ErrorCode = errGroupIDNotFound
		reply(resp)
		return
	}
	subscribed, consumers := g.subscribed()
	if g.state != empty && !consumers {
		resp.ErrorCode = errNonEmptyGroup
		reply(resp)
		return
	}
	var records []core.GroupRecord
	var gone []topicPartition
	for _, t := range req.Topics {
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition = p.Partition
			tp := topicPartition{t.Topic, p.Partition}
			switch {
			case subscribed[t.Topic]:
				rp.ErrorCode = errGroupSubscribedToTopic
			case !c.env.TopicExists(t.Topic, p.Partition):
				rp.ErrorCode = errUnknownTopicOrPartition
			default:
				if _, ok := g.offsets[tp]; ok {
					gone = append(gone, tp)
					records = append(records, core.GroupRecord{Key: offsetKey(g.id, tp)})
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(records) == 0 {
		reply(resp)
		return
	}
	c.append(g.partition, records, func(code int16) {
		if resp.ErrorCode = storageError(code); code == errNone {
			for _, tp := range gone {
				g.drop(tp)
			}
		} else {
			resp.Topics = nil
		}
		reply(resp)
	})
}

// subscribed lists the topics that members of a consumer group want; the second
// result is false where that cannot be known, as with Connect's groups.
func (g *group) subscribed() (map[string]bool, bool) {
	topics := map[string]bool{}
	if len(g.members) == 0 {
		return topics, true
	}
	if g.protocolType != "consumer" {
		return topics, false
	}
	for _, m := range g.members {
		for _, p := range m.protocols {
			var meta kmsg.ConsumerMemberMetadata
			if meta.ReadFrom(p.metadata) != nil {
				return topics, false
			}
			for _, t := range meta.Topics {
				topics[t] = true
			}
		}
	}
	return topics, true
}

// expireOffsets drops offsets whose group does not use them any more:
//
//	group                           offset expires
//	Empty, once had members         retention after the last member left
//	never had members               retention after the commit
//	consumers that are not          retention after the commit, for topics that
//	subscribed to the topic         no member subscribes to
//	any, retention in the request   when that said
func (c *Coordinator) expireOffsets() {
	c.expiry = c.timers.set(c.now+c.limits.retentionCheck, c.expireOffsets)
	wall, retention := c.env.WallMillis(c.now), c.limits.retention.Milliseconds()
	for _, g := range c.sorted() {
		subscribed, known := g.subscribed()
		var gone []topicPartition
		for _, tp := range g.sortedOffsets() {
			o, since := g.offsets[tp], int64(-1)
			switch {
			case o.expires >= 0:
				if o.expires <= wall && (g.state == empty || known && !subscribed[tp.topic]) {
					gone = append(gone, tp)
				}
				continue
			case g.state == empty && g.protocolType != "" && g.since >= 0:
				since = g.since
			case g.state == empty:
				since = o.committed
			case known && !subscribed[tp.topic]:
				since = o.committed
			default:
				continue
			}
			if wall-since >= retention {
				gone = append(gone, tp)
			}
		}
		c.forget(g, gone, g.state == empty && len(g.pending) == 0 && len(g.txns) == 0 && len(g.writing) == 0 && len(gone) == len(g.offsets), func(int16) {})
	}
}

// forget appends tombstones for offsets, and for the group itself where whole is
// set, and then drops them here. done is called once, with storage's code.
func (c *Coordinator) forget(g *group, gone []topicPartition, whole bool, done func(code int16)) {
	var records []core.GroupRecord
	for _, tp := range gone {
		records = append(records, core.GroupRecord{Key: offsetKey(g.id, tp)})
	}
	if whole && g.generation > 0 {
		records = append(records, core.GroupRecord{Key: groupKey(g.id)})
	}
	for _, tp := range gone {
		g.drop(tp)
	}
	if whole {
		c.bury(g)
	}
	if len(records) == 0 {
		done(errNone)
		return
	}
	c.append(g.partition, records, done)
}

// sorted lists the groups by id.
func (c *Coordinator) sorted() []*group {
	out := make([]*group, 0, len(c.groups))
	for _, g := range c.groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *group) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return out
}
