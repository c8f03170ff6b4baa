package group

// This file defines how groups and offsets are kept in __consumer_offsets, in
// the record formats of Kafka 3.9's coordinator:
//
//	key                                   value                        version of key, value
//	group, topic, partition               committed offset             1, 3
//	group                                 generation, leader, members  2, 3
//
// A tombstone deletes. What is in the log but not understood is left alone.

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
	"starfall/runtime/embedded/internal/rules"
)

func offsetKey(group string, tp topicPartition) []byte {
	k := kmsg.NewOffsetCommitKey()
	k.Version, k.Group, k.Topic, k.Partition = 1, group, tp.topic, tp.partition
	return k.AppendTo(nil)
}

func offsetValue(o offset) []byte {
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = 3, o.offset, o.leaderEpoch, o.metadata, o.committed
	if o.expires >= 0 {
		// Only version 1 has room for a retention that the client asked for.
		v.Version, v.ExpireTimestamp = 1, o.expires
	}
	return v.AppendTo(nil)
}

func groupKey(group string) []byte {
	k := kmsg.NewGroupMetadataKey()
	k.Version, k.Group = 2, group
	return k.AppendTo(nil)
}

func groupValue(g *group, assigned func(*member) []byte) []byte {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation, v.CurrentStateTimestamp = 3, g.protocolType, g.generation, g.since
	if g.protocol != "" {
		v.Protocol = &g.protocol
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	g.each(func(m *member) {
		vm := kmsg.NewGroupMetadataValueMember()
		vm.MemberID, vm.ClientID, vm.ClientHost = m.id, m.clientID, m.clientHost
		if m.static() {
			vm.InstanceID = &m.instance
		}
		vm.RebalanceTimeoutMillis = int32(m.rebalanceTimeout / time.Millisecond)
		vm.SessionTimeoutMillis = int32(m.sessionTimeout / time.Millisecond)
		vm.Subscription, vm.Assignment = m.metadata(g.protocol), assigned(m)
		v.Members = append(v.Members, vm)
	})
	return v.AppendTo(nil)
}

// storeGroup appends the group as it is.
func (c *Coordinator) storeGroup(g *group, done func(code int16)) {
	c.store(g, func(m *member) []byte { return m.assignment }, done)
}

// storeAssigned appends the group with assignments that are not in force yet.
func (c *Coordinator) storeAssigned(g *group, given map[string][]byte, done func(code int16)) {
	c.store(g, func(m *member) []byte { return given[m.id] }, done)
}

func (c *Coordinator) store(g *group, assigned func(*member) []byte, done func(code int16)) {
	record := core.GroupRecord{Key: groupKey(g.id), Value: groupValue(g, assigned)}
	c.append(g.partition, []core.GroupRecord{record}, func(code int16) {
		switch code {
		case errRequestTimedOut:
			code = errRebalanceInProgress // the client joins again and finds out
		case errMessageTooLarge:
			code = errUnknownServer
		default:
			code = storageError(code)
		}
		done(code)
	})
}

func (c *Coordinator) append(partition int32, records []core.GroupRecord, done func(code int16)) {
	c.env.Storage.Append(partition, records, done)
}

// storageError says what a failed append means to a client of a group.
func storageError(code int16) int16 {
	switch code {
	case errUnknownTopicOrPartition, errNotEnoughReplicas, errNotEnoughAfterAppend:
		return errCoordinatorNotAvailable
	case errNotLeaderOrFollower, errStorage:
		return errNotCoordinator
	}
	return code
}

// Load replays the log of a partition of __consumer_offsets that this broker
// now leads, and coordinates its groups from here on. Members get a whole
// session to be heard of again.
func (c *Coordinator) Load(now time.Duration, partition int32, records []core.GroupRecord) {
	c.Tick(now)
	if c.leads[partition] {
		c.Unload(now, partition)
	}
	c.leads[partition] = true
	loaded := map[string]*group{}
	var order []string // of first appearance, so that nothing depends on map order
	find := func(id string) *group {
		g := loaded[id]
		if g == nil {
			g = newGroup(id, partition)
			loaded[id] = g
			order = append(order, id)
		}
		return g
	}
	for _, r := range records {
		c.order++
		if r.Txn != nil && r.Txn.End != core.TxnOpen {
			for _, id := range order {
				loaded[id].endTxn(r.Txn.ProducerID, r.Txn.End == core.TxnCommitted)
			}
			continue
		}
		var version int16
		if len(r.Key) < 2 {
			continue
		}
		version = int16(r.Key[0])<<8 | int16(r.Key[1])
		switch version {
		case 0, 1:
			k := kmsg.NewOffsetCommitKey()
			if k.ReadFrom(r.Key) != nil {
				continue
			}
			g, tp := find(k.Group), topicPartition{k.Topic, k.Partition}
			v := kmsg.NewOffsetCommitValue()
			if r.Value == nil {
				g.drop(tp)
			} else if v.ReadFrom(r.Value) == nil {
				o := offset{offset: v.Offset, leaderEpoch: -1, metadata: v.Metadata, committed: v.CommitTimestamp, expires: -1}
				if v.Version >= 3 {
					o.leaderEpoch = v.LeaderEpoch
				}
				if v.Version == 1 {
					o.expires = v.ExpireTimestamp
				}
				o.order = c.order
				if r.Txn != nil && c.env.Without.Lacks(rules.LoadPending) {
					continue
				}
				if r.Txn != nil {
					g.prepare(r.Txn.ProducerID, tp, o)
				} else {
					g.offsets[tp] = o
				}
			}
		case 2:
			k := kmsg.NewGroupMetadataKey()
			if k.ReadFrom(r.Key) != nil {
				continue
			}
			old := find(k.Group)
			g := newGroup(k.Group, partition)
			g.offsets, g.txns = old.offsets, old.txns
			v := kmsg.NewGroupMetadataValue()
			if r.Value != nil {
				if v.ReadFrom(r.Value) != nil {
					continue
				}
				restore(g, &v)
			}
			loaded[k.Group] = g
		}
	}
	for _, id := range order {
		g := loaded[id]
		if len(g.offsets) == 0 && len(g.txns) == 0 && len(g.members) == 0 && g.generation == 0 {
			continue // deleted
		}
		if c.groups[id] != nil {
			continue
		}
		c.groups[id] = g
		g.each(func(m *member) { c.touch(g, m) })
	}
	if c.expiry == nil {
		c.expiry = c.timers.set(c.now+c.limits.retentionCheck, c.expireOffsets)
	}
}

func restore(g *group, v *kmsg.GroupMetadataValue) {
	g.generation, g.protocolType, g.since = v.Generation, v.ProtocolType, v.CurrentStateTimestamp
	if v.Protocol != nil {
		g.protocol = *v.Protocol
	}
	for _, vm := range v.Members {
		m := &member{
			id: vm.MemberID, clientID: vm.ClientID, clientHost: vm.ClientHost,
			sessionTimeout: millis(vm.SessionTimeoutMillis), rebalanceTimeout: millis(vm.RebalanceTimeoutMillis),
			protocols:  []protocol{{g.protocol, vm.Subscription}},
			assignment: vm.Assignment,
		}
		if vm.RebalanceTimeoutMillis < 0 {
			m.rebalanceTimeout = m.sessionTimeout
		}
		if vm.InstanceID != nil {
			m.instance = *vm.InstanceID
		}
		g.add(m)
	}
	g.leader = ""
	if v.Leader != nil {
		g.leader = *v.Leader
	}
	if len(g.members) > 0 {
		g.state = stable
	}
}

// Unload gives the partition's groups away: whoever waits is told to look for
// the new coordinator.
func (c *Coordinator) Unload(now time.Duration, partition int32) {
	c.Tick(now)
	delete(c.leads, partition)
	for _, g := range c.sorted() {
		if g.partition != partition {
			continue
		}
		g.each(func(m *member) {
			m.reply(joinFailed(m.id, errNotCoordinator))
			m.replySync(syncResult{code: errNotCoordinator})
		})
		c.bury(g)
	}
	if len(c.leads) == 0 {
		c.timers.stop(c.expiry)
		c.expiry = nil
	}
}
