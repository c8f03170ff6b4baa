package core

// This file defines the active controller: registration, sessions and fencing of
// brokers, and the elections of partition leaders that follow from them.

import (
	"slices"
	"strconv"
	"time"

	"starfall/runtime/embedded/internal/rules"
)

// controller is the volatile state of the active controller. Its image is ahead of the
// committed one: it contains what it has written itself, and answers wait for the commit.
type controller struct {
	n     *node
	epoch int32
	image *image
	// sessions: when each broker was last heard of (BrokerHeartbeatManager).
	sessions map[int32]*session
}

type session struct {
	lastContact    time.Duration
	metadataOffset int64
	timer          uint64
}

// The requests of brokers to the controller.
type (
	registerBroker struct {
		id          int32
		incarnation uint32
		rack        string
	}
	registerAnswer struct {
		code  int16
		epoch int64
	}
	brokerHeartbeat struct {
		id             int32
		epoch          int64
		metadataOffset int64
		wantFence      bool
		wantShutdown   bool
	}
	heartbeatAnswer struct {
		code         int16
		caughtUp     bool
		fenced       bool
		shouldShutDn bool
	}
	alterPartition struct {
		broker     int32
		epoch      int64
		partitions []alterISR
	}
	alterISR struct {
		key            partitionKey
		topicID        topicID
		leaderEpoch    int32
		partitionEpoch int32
		isr            []int32
	}
	alterPartitionAnswer struct {
		code       int16
		partitions []alterISRAnswer
	}
	alterISRAnswer struct {
		key   partitionKey
		code  int16
		state *PartitionState
	}
	allocateProducerIDs struct{ broker int32 }
	producerIDsAnswer   struct {
		code         int16
		first, count int64
	}
	// notController answers whatever a node that is not the active controller got.
	notController struct{}
)

// producerIDBlock is how many producer ids a broker gets at once.
const producerIDBlock = 1000

func (n *node) becomeController() {
	c := &controller{n: n, epoch: n.raft.disk.epoch, image: n.raft.image.clone(), sessions: map[int32]*session{}}
	d := newDelta()
	for o := n.raft.applied; o < n.raft.end(); o++ {
		c.image.apply(o, n.raft.disk.log[o].rec, d)
	}
	n.ctl = c
	n.w.emit(Event{Kind: EventActiveController, Node: n.id, Epoch: c.epoch})
	// A new controller does not know when it was that brokers last reported: every
	// session begins anew.
	for _, id := range c.image.brokerIDs() {
		c.sessions[id] = &session{lastContact: n.w.now, metadataOffset: -1}
		if !c.image.brokers[id].fenced {
			c.watch(id)
		}
	}
	c.rebalanceLoop()
}

// after schedules fn for as long as this controller stays the active one.
func (c *controller) after(d time.Duration, fn func()) {
	c.n.after(d, func() {
		if c.n.ctl == c {
			fn()
		}
	})
}

func (c *controller) without(rule rules.Set) bool { return c.n.w.opts.Without.Lacks(rule) }

// write appends a record to the metadata log and to the image.
func (c *controller) write(rec any) int64 {
	offset := c.n.raft.append(rec)
	d := newDelta()
	c.image.apply(offset, rec, d)
	return offset
}

// committed calls done once everything written so far is committed; ok is false when
// the controller lost its office before.
func (c *controller) committed(done func(ok bool)) {
	c.n.raft.whenCommitted(c.n.raft.end()-1, done)
}

// handle takes a broker's request.
func (c *controller) handle(req any, respond func(any, int)) {
	after := func(answer any, size int) {
		c.committed(func(ok bool) {
			if ok {
				respond(answer, size)
			} else {
				respond(&notController{}, 50)
			}
		})
	}
	switch m := req.(type) {
	case *registerBroker:
		after(c.register(m), 100)
	case *brokerHeartbeat:
		a, wrote := c.heartbeat(m)
		if wrote {
			after(a, 100)
		} else {
			respond(a, 100)
		}
	case *alterPartition:
		if c.without(rules.AnswerCommitted) {
			respond(c.alterPartition(m), 100+50*len(m.partitions))
			return
		}
		after(c.alterPartition(m), 100+50*len(m.partitions))
	case *allocateProducerIDs:
		first := c.image.nextPID
		c.write(&producerIDsRecord{first + producerIDBlock})
		after(&producerIDsAnswer{first: first, count: producerIDBlock}, 100)
	case *forwarded:
		c.admin(m, respond)
	}
}

func (c *controller) register(m *registerBroker) *registerAnswer {
	old := c.image.brokers[m.id]
	if old != nil && old.incarnation != m.incarnation && !old.controlledShutdown {
		s := c.sessions[m.id]
		if s != nil && c.n.w.now-s.lastContact < c.n.cfg.sessionTimeout && !c.without(rules.RegisterFences) {
			return &registerAnswer{code: codeDuplicateBroker}
		}
	}
	if old != nil && old.incarnation == m.incarnation {
		return &registerAnswer{epoch: old.epoch}
	}
	if old != nil && !old.fenced && !c.without(rules.RegisterFences) {
		// The old process is gone for good: what it led and was in sync with is not
		// the new one's before it has caught up.
		c.fence(m.id)
	}
	epoch := c.write(&registerBrokerRecord{m.id, m.incarnation, m.rack})
	c.sessions[m.id] = &session{lastContact: c.n.w.now, metadataOffset: -1}
	c.n.w.emit(Event{Kind: EventRegistered, Node: m.id})
	return &registerAnswer{epoch: epoch}
}

// watch fences a broker when its session times out.
func (c *controller) watch(id int32) {
	s := c.sessions[id]
	s.timer++
	serial := s.timer
	var check func()
	check = func() {
		if c.sessions[id] != s || s.timer != serial || c.image.brokers[id].fenced {
			return
		}
		left := s.lastContact + c.n.cfg.sessionTimeout - c.n.w.now
		if left > 0 {
			c.after(left, check)
			return
		}
		if !c.without(rules.FenceOnTimeout) {
			c.fence(id)
		}
	}
	c.after(s.lastContact+c.n.cfg.sessionTimeout-c.n.w.now, check)
}

// heartbeat moves a broker through its states (BrokerHeartbeatManager):
//
//	state                controlled by            next
//	fenced               wants no fence, caught up  unfenced
//	fenced               wants shutdown             told to shut down
//	unfenced             wants fence                fenced
//	unfenced             wants shutdown             in controlled shutdown: leads nothing any more
//	controlled shutdown  leads nothing              fenced and told to shut down
func (c *controller) heartbeat(m *brokerHeartbeat) (*heartbeatAnswer, bool) {
	reg := c.image.brokers[m.id]
	if reg == nil {
		return &heartbeatAnswer{code: codeBrokerIDNotRegistered}, false
	}
	if reg.epoch != m.epoch {
		return &heartbeatAnswer{code: codeStaleBrokerEpoch}, false
	}
	s := c.sessions[m.id]
	if s == nil {
		s = &session{metadataOffset: -1}
		c.sessions[m.id] = s
	}
	s.lastContact = c.n.w.now
	s.metadataOffset = max(s.metadataOffset, m.metadataOffset)
	caughtUp := m.metadataOffset >= reg.epoch
	wrote := false
	shutDown := false
	switch {
	case reg.fenced && m.wantShutdown:
		shutDown = true
	case reg.fenced && !m.wantFence && caughtUp:
		c.write(&brokerChangeRecord{id: m.id})
		c.n.w.emit(Event{Kind: EventUnfenced, Node: m.id})
		c.watch(m.id)
		c.electAll(func(p *PartitionState) bool { return p.Leader < 0 }, 0)
		wrote = true
	case !reg.fenced && m.wantFence && !m.wantShutdown:
		c.fence(m.id)
		wrote = true
	case !reg.fenced && m.wantShutdown && !reg.controlledShutdown:
		c.write(&brokerChangeRecord{id: m.id, controlledShutdown: true})
		c.electAll(func(p *PartitionState) bool { return slices.Contains(p.ISR, m.id) }, m.id)
		wrote = true
	case !reg.fenced && reg.controlledShutdown && m.wantShutdown:
		// Kafka also waits until the last heartbeat of every other active broker says
		// that it has got this far. That can take a heartbeat interval; 0.2 to 0.3 s
		// were measured for the whole shutdown, so it is left out. The fencing that
		// follows is what makes the others apply the moves: it completes their fetches.
		shutDown = !c.leadsAny(m.id)
	}
	if shutDown && !reg.fenced {
		c.fence(m.id)
		wrote = true
	}
	reg = c.image.brokers[m.id]
	return &heartbeatAnswer{caughtUp: caughtUp, fenced: reg.fenced, shouldShutDn: shutDown}, wrote
}

func (c *controller) leadsAny(id int32) bool {
	found := false
	c.image.each(func(p *PartitionState) { found = found || p.Leader == id })
	return found
}

// fence takes a broker out of everything.
func (c *controller) fence(id int32) {
	reg := c.image.brokers[id]
	c.write(&brokerChangeRecord{id: id, fenced: true, controlledShutdown: reg.controlledShutdown})
	c.n.w.emit(Event{Kind: EventFenced, Node: id})
	c.electAll(func(p *PartitionState) bool { return slices.Contains(p.ISR, id) || p.Leader == id }, id)
}

// electAll changes every partition that which names: remove, unless 0, leaves the ISR,
// and a new leader is elected where the old one cannot stay.
func (c *controller) electAll(which func(p *PartitionState) bool, remove int32) {
	c.image.each(func(p *PartitionState) {
		if which(p) {
			c.change(p, partitionChange{removeFromISR: remove})
		}
	})
}

// partitionChange says what is to become of a partition; the zero value only makes
// sure that it has a leader.
type partitionChange struct {
	removeFromISR int32
	isr           []int32 // when not nil
	replicas      []int32 // when not nil, with adding and removing
	adding        []int32
	removing      []int32
	preferred     bool // prefer the first replica over the present leader
	unclean       bool // elect from outside the ISR even if the topic does not allow it
}

// change writes the partition's next state, if it differs, and returns it.
// The rules are those of Kafka's PartitionChangeBuilder:
//
//   - The last member stays in the ISR, even fenced, unless an unclean election replaces it.
//   - The leader stays while it is in the ISR and active; otherwise the first replica in
//     order that is both; otherwise, if the topic allows it, the first active replica, which
//     is then alone in the ISR; otherwise nobody (-1).
//   - A new leader, or a replica that leaves, is a new leader epoch; any change is a new partition epoch. A smaller ISR
//     alone is no new leader epoch (metadata version 3.6 and later).
//   - A reassignment is complete when every target replica is in the ISR.
func (c *controller) change(p *PartitionState, ch partitionChange) *PartitionState {
	next := *p
	if ch.replicas != nil {
		next.Replicas, next.Adding, next.Removing = ch.replicas, ch.adding, ch.removing
	}
	isr := p.ISR
	if ch.isr != nil {
		isr = ch.isr
	}
	if ch.removeFromISR != 0 {
		if smaller := without(isr, ch.removeFromISR); len(smaller) > 0 {
			isr = smaller
		}
	}
	if len(next.Adding) > 0 || len(next.Removing) > 0 {
		target := slices.DeleteFunc(slices.Clone(next.Replicas), func(id int32) bool { return slices.Contains(next.Removing, id) })
		caughtUp := true
		for _, id := range target {
			caughtUp = caughtUp && slices.Contains(isr, id)
		}
		if caughtUp {
			next.Replicas, next.Adding, next.Removing = target, nil, nil
			isr = slices.DeleteFunc(slices.Clone(isr), func(id int32) bool { return !slices.Contains(target, id) })
		}
	}
	next.ISR = isr
	eligible := func(id int32) bool {
		return id > 0 && slices.Contains(next.Replicas, id) && (slices.Contains(isr, id) || c.without(rules.LeaderInSync)) && c.image.brokers[id].active()
	}
	unclean := false
	switch {
	case ch.preferred && len(next.Replicas) > 0 && eligible(next.Replicas[0]):
		next.Leader = next.Replicas[0]
	case eligible(p.Leader):
	default:
		next.Leader = -1
		for _, id := range next.Replicas {
			if eligible(id) {
				next.Leader = id
				break
			}
		}
		if next.Leader < 0 && (ch.unclean || c.image.topicSettings(c.n.cfg, c.n.id, p.Topic).uncleanElection) {
			for _, id := range next.Replicas {
				if c.image.brokers[id].active() {
					next.Leader, next.ISR, unclean = id, []int32{id}, true
					break
				}
			}
		}
	}
	left := slices.ContainsFunc(p.Replicas, func(id int32) bool { return !slices.Contains(next.Replicas, id) })
	if (next.Leader != p.Leader || unclean || left) && !c.without(rules.EpochBump) {
		next.LeaderEpoch++
	}
	isrChanged := !slices.Equal(next.ISR, p.ISR)
	if next.Leader == p.Leader && !isrChanged && slices.Equal(next.Replicas, p.Replicas) &&
		slices.Equal(next.Adding, p.Adding) && slices.Equal(next.Removing, p.Removing) && !unclean {
		return p
	}
	next.PartitionEpoch++
	c.write(&partitionRecord{&next})
	if unclean {
		c.n.w.emit(Event{Kind: EventUnclean, Node: next.Leader, Topic: p.Topic, Partition: p.Partition, Epoch: next.LeaderEpoch, ISR: next.ISR})
	}
	if next.LeaderEpoch != p.LeaderEpoch {
		c.n.w.emit(Event{Kind: EventLeader, Node: next.Leader, Topic: p.Topic, Partition: p.Partition, Epoch: next.LeaderEpoch, ISR: next.ISR})
	}
	if isrChanged {
		c.n.w.emit(Event{Kind: EventISR, Node: next.Leader, Topic: p.Topic, Partition: p.Partition, Epoch: next.LeaderEpoch, ISR: next.ISR})
	}
	return &next
}

// alterPartition carries out what leaders ask for their in-sync replicas (KIP-497, KIP-903).
func (c *controller) alterPartition(m *alterPartition) *alterPartitionAnswer {
	reg := c.image.brokers[m.broker]
	if reg == nil || reg.epoch != m.epoch {
		return &alterPartitionAnswer{code: codeStaleBrokerEpoch}
	}
	answer := &alterPartitionAnswer{}
	for _, a := range m.partitions {
		code, state := c.alterISR(m.broker, a)
		answer.partitions = append(answer.partitions, alterISRAnswer{a.key, code, state})
	}
	return answer
}

func (c *controller) alterISR(broker int32, a alterISR) (int16, *PartitionState) {
	p := c.image.partition(a.key)
	switch {
	case p == nil || p.TopicID != a.topicID:
		return codeUnknownTopicID, nil
	case a.leaderEpoch > p.LeaderEpoch || a.partitionEpoch > p.PartitionEpoch:
		return codeNotController, nil
	case a.leaderEpoch < p.LeaderEpoch && !c.without(rules.AlterLeaderEpoch):
		return codeFencedLeaderEpoch, nil
	case broker != p.Leader && !c.without(rules.AlterLeaderEpoch):
		return codeInvalidRequest, nil
	case a.partitionEpoch < p.PartitionEpoch && !c.without(rules.PartitionEpoch|rules.AlterLeaderEpoch):
		return codeInvalidUpdateVersion, nil
	case !slices.Contains(a.isr, p.Leader):
		return codeInvalidRequest, nil
	}
	for _, id := range a.isr {
		if !slices.Contains(p.Replicas, id) {
			return codeInvalidRequest, nil
		}
		if !c.image.brokers[id].active() && !c.without(rules.FencedJoin) {
			return codeIneligibleReplica, nil
		}
	}
	next := c.change(p, partitionChange{isr: a.isr})
	if next.Leader != broker {
		return codeNewLeaderElected, next
	}
	return 0, next
}

// rebalanceLoop gives leadership back to preferred replicas, where a broker leads too
// few of its own (leader.imbalance.*).
func (c *controller) rebalanceLoop() {
	if c.n.cfg.get("auto.leader.rebalance.enable") != "true" {
		return
	}
	interval := time.Duration(c.n.cfg.long("leader.imbalance.check.interval.seconds")) * time.Second
	c.after(interval, func() {
		c.rebalance()
		c.rebalanceLoop()
	})
}

func (c *controller) rebalance() {
	percentage, _ := strconv.Atoi(c.n.cfg.get("leader.imbalance.per.broker.percentage"))
	own, away := map[int32]int{}, map[int32][]*PartitionState{}
	c.image.each(func(p *PartitionState) {
		first := p.Replicas[0]
		own[first]++
		if p.Leader != first {
			away[first] = append(away[first], p)
		}
	})
	for _, id := range c.image.brokerIDs() {
		if len(away[id])*100 <= percentage*own[id] {
			continue
		}
		for _, p := range away[id] {
			if slices.Contains(p.ISR, id) {
				c.change(p, partitionChange{preferred: true})
			}
		}
	}
}
