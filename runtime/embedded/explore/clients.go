package explore

// This file defines the clients of a simulation: producers and readers of each
// partition, and members of one consumer group.

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientTimeout is how long a client waits for an answer.
const clientTimeout = 2 * sec

// Error codes that clients tell apart.
const (
	errOffsetOutOfRange   int16 = 1
	errOutOfOrderSequence int16 = 45
	errUnknownProducer    int16 = 59
	errMemberIDRequired   int16 = 79
)

// leaderOf asks any broker who leads a partition; cb gets 0 when nobody could say.
func (m *sim) leaderOf(partition int32, cb func(leader int32)) {
	m.ask(int32(1+m.rng.IntN(m.s.Brokers)), metadata(), clientTimeout, func(r kmsg.Response) {
		if resp, ok := r.(*kmsg.MetadataResponse); ok && len(resp.Topics) == 1 {
			for _, p := range resp.Topics[0].Partitions {
				if p.Partition == partition && p.ErrorCode == 0 {
					cb(p.Leader)
					return
				}
			}
		}
		cb(0)
	})
}

// idempotent is the first producer id of the producers without transactions, out of the way
// of those that the cluster gives.
const idempotent = 1 << 40

// producer writes the numbers 0, 1, 2 … to one partition, idempotent and with acks=all:
// one batch at a time, sent again until it is acknowledged.
type producer struct {
	m         *sim
	partition int32
	leader    int32
	value     uint64
	made      int64  // the timestamp of value: it stays when the record is sent again
	base      uint64 // the number that has sequence 0 in this epoch
	epoch     int16
	acked     int
	ackedAt   time.Duration
	stopped   bool
	every     time.Duration
}

func (p *producer) send() {
	if p.stopped {
		return
	}
	if p.leader == 0 {
		p.m.leaderOf(p.partition, func(leader int32) {
			p.leader = leader
			if leader == 0 {
				p.m.after(100*ms, p.send)
				return
			}
			p.send()
		})
		return
	}
	if p.made == 0 {
		p.made = p.m.wall()
	}
	batch := oneRecord(p.made, p.value, idempotent+int64(p.partition), p.epoch, int32(p.value-p.base))
	sum := sumOf(batch)
	p.m.ask(p.leader, produce(p.partition, -1, batch), clientTimeout, func(r kmsg.Response) {
		code := int16(-1)
		var offset int64
		if r != nil {
			part := r.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			code, offset = part.ErrorCode, part.BaseOffset
		}
		switch code {
		case 0:
			p.m.check.acknowledged(p.partition, offset, sum)
			p.acked++
			p.ackedAt = p.m.now()
			p.value++
			p.made = 0
			p.m.after(p.every, p.send)
			return
		case errOutOfOrderSequence, errUnknownProducer:
			if p.m.check.sequenceRefused(p.leader, p.partition, code) {
				p.epoch++
				p.base = p.value
			}
		}
		p.leader = 0
		p.m.after(100*ms, p.send)
	})
}

// noise writes with acks=1 and does not care: what it leaves on leaders that are replaced
// has to be truncated.
type noise struct {
	m         *sim
	partition int32
	value     uint64
	stopped   bool
}

func (n *noise) send() {
	if n.stopped {
		return
	}
	n.value++
	// It goes to whoever believes to lead, above all to those who are wrong.
	for id := int32(1); id <= int32(n.m.s.Brokers); id++ {
		if s, ok := n.m.w.Replica(id, topicName, n.partition); ok && s.Leader {
			n.m.ask(id, produce(n.partition, 1, oneRecord(n.m.wall(), 1<<63|n.value<<8|uint64(id), -1, -1, -1)), clientTimeout, nothing)
		}
	}
	n.m.after(350*ms, n.send)
}

// reader reads one partition from its leader; what it has read must stay.
type reader struct {
	m         *sim
	partition int32
	isolation int8 // 1: it gets only what is committed
	leader    int32
	last      int32 // leader before
	offset    int64
	once      int64 // everything below has been read before
	stopped   bool
}

func (r *reader) read() {
	if r.stopped {
		return
	}
	if r.leader == 0 {
		r.m.leaderOf(r.partition, func(leader int32) {
			r.leader = leader
			if leader != 0 && leader != r.last && r.isolation != 0 {
				// What another leader knows of transactions that are long over counts too.
				r.offset, r.last = 0, leader
			}
			r.m.after(100*ms, r.read)
		})
		return
	}
	r.m.ask(r.leader, fetch(r.partition, r.offset, r.isolation), clientTimeout, func(resp kmsg.Response) {
		r.m.after(400*ms, r.read)
		a, ok := resp.(*kmsg.FetchResponse)
		if !ok || a.ErrorCode != 0 || a.Topics[0].Partitions[0].ErrorCode != 0 {
			if ok && a.ErrorCode == 0 && a.Topics[0].Partitions[0].ErrorCode == errOffsetOutOfRange && r.m.check.rangeRefused(r.leader, r.partition) {
				r.offset = 0
			}
			r.leader = 0
			return
		}
		if r.isolation == 0 {
			r.offset = r.m.check.read(r.partition, r.offset, a.Topics[0].Partitions[0].RecordBatches)
		} else {
			r.offset = r.m.check.readCommitted(r.partition, r.offset, r.once, &a.Topics[0].Partitions[0])
			r.once = max(r.once, r.offset)
		}
	})
}

// member is a member of the consumer group. It joins, assigns if it leads, and then
// commits one offset more than was committed, for each partition it owns.
type member struct {
	m           *sim
	coordinator int32
	id          string
	generation  int32
	owned       []int32
	position    []int64 // by partition; -1 for not known yet
	commits     int
	committedAt time.Duration
	frozenUntil time.Duration
	stopped     bool
}

// do calls fn after d, and later when the member is frozen.
func (c *member) do(d time.Duration, fn func()) {
	c.m.after(d, func() {
		switch wait := c.frozenUntil - c.m.now(); {
		case c.stopped:
		case wait > 0:
			c.do(wait, fn)
		default:
			fn()
		}
	})
}

// ask sends to the coordinator and goes on when the member is not frozen.
func (c *member) ask(req kmsg.Request, timeout time.Duration, cb func(kmsg.Response)) {
	c.m.ask(c.coordinator, req, timeout, func(r kmsg.Response) {
		c.do(0, func() { cb(r) })
	})
}

// again looks for the coordinator and joins.
func (c *member) again() {
	if len(c.owned) > 0 {
		// A commit of the generation that is over may still be on its way.
		id, generation, owned := c.id, c.generation, c.owned
		c.m.after(time.Duration(c.m.rng.IntN(3000))*ms, func() { c.sendCommit(id, generation, owned, func(bool) {}) })
	}
	c.generation, c.owned = -1, nil
	c.do(200*ms, func() {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.SetVersion(3)
		req.CoordinatorKey = groupName
		c.coordinator = int32(1 + c.m.rng.IntN(c.m.s.Brokers))
		c.ask(req, clientTimeout, func(r kmsg.Response) {
			a, ok := r.(*kmsg.FindCoordinatorResponse)
			if !ok || a.ErrorCode != 0 {
				c.again()
				return
			}
			c.coordinator = a.NodeID
			c.join()
		})
	})
}

func (c *member) join() {
	req := kmsg.NewPtrJoinGroupRequest()
	req.SetVersion(5)
	req.Group, req.MemberID, req.ProtocolType = groupName, c.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 2000, 3000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	c.ask(req, 5*sec, func(r kmsg.Response) {
		a, ok := r.(*kmsg.JoinGroupResponse)
		switch {
		case ok && a.ErrorCode == errMemberIDRequired:
			c.id = a.MemberID
			c.join()
		case !ok || a.ErrorCode != 0:
			if ok {
				c.id = ""
			}
			c.again()
		default:
			c.id, c.generation = a.MemberID, a.Generation
			c.sync(a)
		}
	})
}

func (c *member) sync(joined *kmsg.JoinGroupResponse) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.SetVersion(3)
	req.Group, req.MemberID, req.Generation = groupName, c.id, c.generation
	if joined.LeaderID == c.id && len(joined.Members) > 0 {
		given := make([][]byte, len(joined.Members))
		for p := range c.m.s.Partitions {
			i := p % len(given)
			given[i] = append(given[i], byte(p))
		}
		for i, m := range joined.Members {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: given[i]})
		}
	}
	generation, broker := c.generation, c.coordinator
	c.m.ask(broker, req, 5*sec, func(r kmsg.Response) {
		a, ok := r.(*kmsg.SyncGroupResponse)
		if ok && a.ErrorCode == 0 {
			// What the coordinator has given out counts, even if the member is frozen.
			c.m.check.assigned(broker, generation, c.id, a.MemberAssignment)
		}
		c.do(0, func() {
			if !ok || a.ErrorCode != 0 {
				c.again()
				return
			}
			c.owned = nil
			for _, p := range a.MemberAssignment {
				c.owned = append(c.owned, int32(p))
			}
			c.begin()
		})
	})
}

// begin asks for the committed offsets of what the member owns.
func (c *member) begin() {
	if len(c.owned) == 0 {
		c.beat()
		return
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.SetVersion(5)
	req.Group = groupName
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = topicName, c.owned
	req.Topics = append(req.Topics, t)
	broker := c.coordinator
	c.m.ask(broker, req, clientTimeout, func(r kmsg.Response) {
		a, ok := r.(*kmsg.OffsetFetchResponse)
		if ok && a.ErrorCode == 0 {
			for _, t := range a.Topics {
				for _, p := range t.Partitions {
					c.position[p.Partition] = p.Offset
					c.m.check.committedOffset(broker, p.Partition, p.Offset)
				}
			}
		}
		c.do(0, func() {
			if !ok || a.ErrorCode != 0 {
				c.again()
				return
			}
			c.beat()
		})
	})
}

func (c *member) beat() {
	req := kmsg.NewPtrHeartbeatRequest()
	req.SetVersion(3)
	req.Group, req.MemberID, req.Generation = groupName, c.id, c.generation
	c.ask(req, clientTimeout, func(r kmsg.Response) {
		a, ok := r.(*kmsg.HeartbeatResponse)
		if !ok || a.ErrorCode != 0 {
			c.again()
			return
		}
		c.do(500*ms, c.commit)
	})
}

// commit is sent by a member that was frozen too, before it knows that its time is over:
// that is what generations are for.
func (c *member) commit() {
	if len(c.owned) == 0 {
		c.beat()
		return
	}
	c.sendCommit(c.id, c.generation, c.owned, func(good bool) {
		c.do(0, func() {
			if !good {
				c.again()
				return
			}
			c.commits++
			c.committedAt = c.m.now()
			c.beat()
		})
	})
}

// sendCommit commits one offset more than was committed.
func (c *member) sendCommit(id string, generation int32, owned []int32, done func(good bool)) {
	if c.coordinator == 0 {
		done(false)
		return
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.SetVersion(7)
	req.Group, req.MemberID, req.Generation = groupName, id, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topicName
	offsets := make([]int64, len(owned))
	for i, id := range owned {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = id, c.position[id]+1, -1
		offsets[i] = p.Offset
		c.m.check.committing(id, p.Offset)
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	c.m.ask(c.coordinator, req, clientTimeout, func(r kmsg.Response) {
		a, ok := r.(*kmsg.OffsetCommitResponse)
		good := ok
		if ok {
			for i, p := range a.Topics[0].Partitions {
				if p.ErrorCode != 0 {
					good = false
					continue
				}
				c.position[owned[i]] = max(c.position[owned[i]], offsets[i])
				c.m.check.commitAcknowledged(generation, owned[i], offsets[i])
			}
		}
		done(good)
	})
}
