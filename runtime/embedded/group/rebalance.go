package group

// This file defines the requests that make up a rebalance: JoinGroup,
// SyncGroup, Heartbeat and LeaveGroup, with the timers behind them. The
// states and their transitions are the table at type state.

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"starfall/runtime/embedded/core"
)

// newMemberJoinTimeout is how long a member is kept that joins for the first
// time and has not been answered yet (a constant in Kafka, KAFKA-7610).
const newMemberJoinTimeout = 5 * time.Minute

type joinResult struct {
	code         int16
	generation   int32
	protocolType string
	protocol     string
	leader       string
	memberID     string
	members      []kmsg.JoinGroupResponseMember
	skip         bool
}

type syncResult struct {
	code         int16
	protocolType string
	protocol     string
	assignment   []byte
}

func joinFailed(memberID string, code int16) joinResult {
	return joinResult{code: code, generation: -1, memberID: memberID}
}

// join answers JoinGroup, at once or when the rebalance that it belongs to
// has all its members.
func (c *Coordinator) join(from core.ClientConn, req *kmsg.JoinGroupRequest, answer func(joinResult)) {
	if code := c.owns(req.Group); code != errNone {
		answer(joinFailed(req.MemberID, code))
		return
	}
	session := millis(req.SessionTimeoutMillis)
	if session < c.limits.minSession || session > c.limits.maxSession {
		answer(joinFailed(req.MemberID, errInvalidSessionTimeout))
		return
	}
	g := c.groups[req.Group]
	if g == nil {
		if req.MemberID != "" {
			answer(joinFailed(req.MemberID, errUnknownMemberID))
			return
		}
		g = c.create(req.Group)
	}
	instance := ""
	if req.InstanceID != nil {
		instance = *req.InstanceID
	}
	if c.full(g, req.MemberID, instance) {
		if m := g.members[req.MemberID]; m != nil {
			g.remove(m)
		}
		answer(joinFailed("", errGroupMaxSizeReached))
		return
	}
	m := member{
		instance: instance, clientID: from.ClientID, clientHost: from.ClientHost,
		sessionTimeout: session, rebalanceTimeout: session,
	}
	if req.Version >= 1 {
		m.rebalanceTimeout = millis(req.RebalanceTimeoutMillis)
	}
	for _, p := range req.Protocols {
		m.protocols = append(m.protocols, protocol{p.Name, p.Metadata})
	}
	if !g.supports(req.ProtocolType, m.protocols) {
		answer(joinFailed(req.MemberID, errInconsistentGroupProtocol))
		return
	}
	if req.MemberID == "" {
		c.joinNew(g, m, req, answer)
	} else {
		c.joinKnown(g, m, req, answer)
	}
	c.completeJoinIfAll(g)
}

// full says whether one more member would be one too many. Who is parked
// already keeps its place.
func (c *Coordinator) full(g *group, memberID, instance string) bool {
	limit := c.limits.maxSize
	switch g.state {
	case empty, dead:
		return false
	case preparingRebalance:
		if m := g.members[memberID]; m != nil && m.join != nil {
			return false
		}
		awaiting := 0
		for _, m := range g.members {
			if m.join != nil {
				awaiting++
			}
		}
		return awaiting >= limit
	}
	if g.members[memberID] != nil {
		return false
	}
	if _, ok := g.static[instance]; ok && instance != "" {
		return false
	}
	return len(g.members) >= limit
}

// joinNew is the join of a client without a member id.
func (c *Coordinator) joinNew(g *group, m member, req *kmsg.JoinGroupRequest, answer func(joinResult)) {
	prefix := m.clientID
	if m.static() {
		prefix = m.instance
	}
	m.id = prefix + "-" + c.newID()
	if m.static() {
		if old, ok := g.static[m.instance]; ok {
			c.replaceStatic(g, g.members[old], m, req, answer)
			return
		}
		c.addAndRebalance(g, m, req.ProtocolType, answer)
		return
	}
	if req.Version < 4 {
		c.addAndRebalance(g, m, req.ProtocolType, answer)
		return
	}
	// KIP-394: the client joins again with this id; one that never does
	// leaves nothing behind.
	id := m.id
	g.pending[id] = c.timers.set(c.now+m.sessionTimeout, func() {
		delete(g.pending, id)
		c.completeJoinIfAll(g)
	})
	answer(joinFailed(id, errMemberIDRequired))
}

// joinKnown is the join of a client that has a member id.
func (c *Coordinator) joinKnown(g *group, m member, req *kmsg.JoinGroupRequest, answer func(joinResult)) {
	m.id = req.MemberID
	if tm, ok := g.pending[m.id]; ok {
		c.timers.stop(tm)
		delete(g.pending, m.id)
		c.addAndRebalance(g, m, req.ProtocolType, answer)
		return
	}
	known, code := g.member(m.id, m.instance)
	if code != errNone {
		answer(joinFailed(m.id, code))
		return
	}
	switch g.state {
	case preparingRebalance:
		c.updateAndRebalance(g, known, m, answer)
	case completingRebalance:
		// Same subscription: the client has lost our answer, send it again.
		if known.offers(m.protocols) {
			answer(g.joined(known))
		} else {
			c.updateAndRebalance(g, known, m, answer)
		}
	case stable:
		// A leader joins again when what it looks at has changed (partitions,
		// topics); a follower with an unchanged subscription has lost our answer.
		if g.leader == known.id || !known.offers(m.protocols) {
			c.updateAndRebalance(g, known, m, answer)
			return
		}
		r := g.joined(known)
		r.members = nil
		answer(r)
	default:
		answer(joinFailed(m.id, errUnknownMemberID))
	}
}

// replaceStatic lets a client take over the place of the static member with
// its instance id; whoever holds the old member id is fenced (KIP-345).
func (c *Coordinator) replaceStatic(g *group, known *member, m member, req *kmsg.JoinGroupRequest, answer func(joinResult)) {
	oldID, oldLeader, before := known.id, g.leader, *known
	known.reply(joinFailed(oldID, errFencedInstanceID))
	known.replySync(syncResult{code: errFencedInstanceID})
	g.rename(known, m.id)
	known.protocols, known.rebalanceTimeout, known.sessionTimeout = m.protocols, m.rebalanceTimeout, m.sessionTimeout
	known.clientID, known.clientHost = m.clientID, m.clientHost
	known.join = answer
	c.touch(g, known)

	switch g.state {
	case stable:
		if g.selectProtocol() != g.protocol {
			c.prepareRebalance(g)
			return
		}
		// Nothing changes for the others; only the new id must survive a
		// fail-over before it is given out.
		c.storeGroup(g, func(code int16) {
			if g.state != stable || g.members[known.id] != known {
				return
			}
			if code != errNone {
				f := known.join
				known.join = nil
				g.rename(known, oldID)
				known.protocols, known.rebalanceTimeout, known.sessionTimeout = before.protocols, before.rebalanceTimeout, before.sessionTimeout
				c.touch(g, known)
				if f != nil {
					f(joinFailed("", code))
				}
				return
			}
			r := g.joined(known)
			if req.Version >= 9 {
				r.skip = g.leader == known.id // KIP-814
			} else {
				// An old client that believes it leads would assign, and a
				// stable group would not tell the others. It must not know.
				r.leader, r.members = oldLeader, nil
			}
			known.fresh = false
			known.reply(r)
			c.touch(g, known)
		})
	case completingRebalance:
		// The leader may have assigned to the old id already.
		c.prepareRebalance(g)
	}
}

func (c *Coordinator) addAndRebalance(g *group, m member, protocolType string, answer func(joinResult)) {
	n := &m
	n.join, n.fresh = answer, true
	if g.state == preparingRebalance && g.generation == 0 {
		g.newMemberAdded = true
	}
	g.protocolType = protocolType
	g.add(n)
	n.expires = c.now + newMemberJoinTimeout
	c.watch(g, n)
	c.maybePrepareRebalance(g)
}

func (c *Coordinator) updateAndRebalance(g *group, known *member, m member, answer func(joinResult)) {
	// A second join replaces the first; the client does not wait for that one.
	known.reply(joinFailed(known.id, errRebalanceInProgress))
	known.protocols, known.rebalanceTimeout, known.sessionTimeout = m.protocols, m.rebalanceTimeout, m.sessionTimeout
	known.join = answer
	c.maybePrepareRebalance(g)
}

// joined is the answer to a join in the generation at hand.
func (g *group) joined(m *member) joinResult {
	r := joinResult{
		generation: g.generation, protocolType: g.protocolType, protocol: g.protocol,
		leader: g.leader, memberID: m.id,
	}
	if g.leader == m.id {
		g.each(func(o *member) {
			rm := kmsg.NewJoinGroupResponseMember()
			rm.MemberID, rm.ProtocolMetadata = o.id, o.metadata(g.protocol)
			if o.static() {
				rm.InstanceID = &o.instance
			}
			r.members = append(r.members, rm)
		})
	}
	return r
}

func (c *Coordinator) maybePrepareRebalance(g *group) {
	if g.state == empty || g.state == completingRebalance || g.state == stable {
		c.prepareRebalance(g)
	}
}

func (c *Coordinator) prepareRebalance(g *group) {
	if g.state == completingRebalance {
		g.each(func(m *member) {
			m.assignment = nil
			if m.sync != nil {
				m.replySync(syncResult{code: errRebalanceInProgress})
				c.touch(g, m)
			}
		})
	}
	c.stopSyncTimer(g)
	first := g.state == empty
	c.enter(g, preparingRebalance)
	timeout := g.rebalanceTimeout()
	if first {
		delay := c.limits.initialDelay
		g.initial, g.newMemberAdded = true, false
		g.initialRemaining = max(timeout-delay, 0)
		g.joinTimer = c.timers.set(c.now+delay, func() { c.initialDelayOver(g) })
		return
	}
	g.joinTimer = c.timers.set(c.now+timeout, func() { c.completeJoin(g) })
}

// initialDelayOver starts the first generation, or waits once more when
// somebody joined meanwhile, up to the rebalance timeout in all (KIP-134).
func (c *Coordinator) initialDelayOver(g *group) {
	if g.newMemberAdded && g.initialRemaining > 0 {
		g.newMemberAdded = false
		delay := min(c.limits.initialDelay, g.initialRemaining)
		g.initialRemaining = max(g.initialRemaining-delay, 0)
		g.joinTimer = c.timers.set(c.now+delay, func() { c.initialDelayOver(g) })
		return
	}
	c.completeJoin(g)
}

func (c *Coordinator) completeJoinIfAll(g *group) {
	if g.state == preparingRebalance && !g.initial && g.allJoined() {
		c.completeJoin(g)
	}
}

// completeJoin ends PreparingRebalance: who has not come back is out, except
// static members, who stay until their session ends.
func (c *Coordinator) completeJoin(g *group) {
	if g.state != preparingRebalance {
		return
	}
	c.timers.stop(g.joinTimer)
	g.joinTimer = nil
	g.initial = false
	g.each(func(m *member) {
		if m.join == nil && !m.static() {
			c.timers.stop(m.session)
			g.remove(m)
		}
	})
	if len(g.members) > 0 && !g.electJoinedLeader() {
		// Only static members are left and none has come back: wait on.
		g.joinTimer = c.timers.set(c.now+g.rebalanceTimeout(), func() { c.completeJoin(g) })
		return
	}
	g.generation++
	if len(g.members) == 0 {
		g.protocol = ""
		c.enter(g, empty)
		c.storeGroup(g, func(int16) {}) // a loss of this record is made good by expiry after a fail-over
		return
	}
	g.protocol = g.selectProtocol()
	c.enter(g, completingRebalance)
	g.pendingSync = map[string]bool{}
	g.each(func(m *member) {
		// A static member that is away gets a new session too, and is held to
		// the sync like the others.
		g.pendingSync[m.id] = true
		m.fresh = false
		m.reply(g.joined(m))
		c.touch(g, m)
	})
	generation := g.generation
	g.syncTimer = c.timers.set(c.now+g.rebalanceTimeout(), func() { c.syncOverdue(g, generation) })
}

// syncOverdue throws out who joined the generation and has not synced within
// the rebalance timeout (KIP-735's companion fix, KAFKA-12126).
func (c *Coordinator) syncOverdue(g *group, generation int32) {
	if g.generation != generation || (g.state != completingRebalance && g.state != stable) {
		return
	}
	late := false
	g.each(func(m *member) {
		if g.pendingSync[m.id] {
			late = true
			c.timers.stop(m.session)
			g.remove(m)
		}
	})
	if late {
		c.maybePrepareRebalance(g)
		c.completeJoinIfAll(g)
	}
}

func (c *Coordinator) stopSyncTimer(g *group) {
	c.timers.stop(g.syncTimer)
	g.syncTimer = nil
	g.pendingSync = map[string]bool{}
}

func (c *Coordinator) synced(g *group, m *member) {
	delete(g.pendingSync, m.id)
	if len(g.pendingSync) == 0 {
		c.stopSyncTimer(g)
	}
}

// sync answers SyncGroup: with the assignment once the leader's is committed.
func (c *Coordinator) sync(req *kmsg.SyncGroupRequest, answer func(syncResult)) {
	if code := c.owns(req.Group); code != errNone {
		answer(syncResult{code: code})
		return
	}
	g := c.groups[req.Group]
	if g == nil {
		answer(syncResult{code: errUnknownMemberID})
		return
	}
	instance := ""
	if req.InstanceID != nil {
		instance = *req.InstanceID
	}
	m, code := g.member(req.MemberID, instance)
	switch {
	case code != errNone:
	case req.Generation != g.generation:
		code = errIllegalGeneration
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType,
		req.Protocol != nil && *req.Protocol != g.protocol:
		code = errInconsistentGroupProtocol
	}
	if code != errNone {
		answer(syncResult{code: code})
		return
	}
	switch g.state {
	case empty, dead:
		answer(syncResult{code: errUnknownMemberID})
	case preparingRebalance:
		answer(syncResult{code: errRebalanceInProgress})
	case stable:
		c.synced(g, m)
		answer(syncResult{protocolType: g.protocolType, protocol: g.protocol, assignment: m.assignment})
		c.touch(g, m)
	case completingRebalance:
		m.replySync(syncResult{code: errRebalanceInProgress})
		m.sync = answer
		c.synced(g, m)
		if m.id == g.leader {
			c.assign(g, req.GroupAssignment)
		}
	}
}

// assign commits the leader's assignment and then gives it out.
func (c *Coordinator) assign(g *group, assignments []kmsg.SyncGroupRequestGroupAssignment) {
	given := map[string][]byte{}
	for _, a := range assignments {
		given[a.MemberID] = a.MemberAssignment
	}
	generation := g.generation
	c.storeAssigned(g, given, func(code int16) {
		// Another rebalance may have begun while the record was replicated.
		if g.state != completingRebalance || g.generation != generation {
			return
		}
		if code != errNone {
			g.each(func(m *member) {
				m.assignment = nil
				if m.sync != nil {
					m.replySync(syncResult{code: code})
					c.touch(g, m)
				}
			})
			c.maybePrepareRebalance(g)
			c.completeJoinIfAll(g)
			return
		}
		c.enter(g, stable)
		g.each(func(m *member) {
			m.assignment = given[m.id]
			if m.sync != nil {
				m.replySync(syncResult{protocolType: g.protocolType, protocol: g.protocol, assignment: m.assignment})
				c.touch(g, m)
			}
		})
	})
}

func (c *Coordinator) heartbeat(req *kmsg.HeartbeatRequest) int16 {
	if code := c.owns(req.Group); code != errNone {
		return code
	}
	g := c.groups[req.Group]
	if g == nil {
		return errUnknownMemberID
	}
	instance := ""
	if req.InstanceID != nil {
		instance = *req.InstanceID
	}
	m, code := g.member(req.MemberID, instance)
	if code != errNone {
		return code
	}
	if req.Generation != g.generation {
		return errIllegalGeneration
	}
	switch g.state {
	case empty, dead:
		return errUnknownMemberID
	case preparingRebalance:
		c.touch(g, m)
		return errRebalanceInProgress
	}
	c.touch(g, m)
	return errNone
}

// leave takes one member out, by its id or by its instance id alone.
func (c *Coordinator) leave(g *group, memberID, instance string) int16 {
	if g == nil {
		return errUnknownMemberID
	}
	if memberID == "" && instance != "" {
		id, ok := g.static[instance]
		if !ok {
			return errUnknownMemberID
		}
		memberID = id
	}
	if tm, ok := g.pending[memberID]; ok {
		c.timers.stop(tm)
		delete(g.pending, memberID)
		c.completeJoinIfAll(g)
		return errNone
	}
	m, code := g.member(memberID, instance)
	if code != errNone {
		return code
	}
	c.drop(g, m)
	return errNone
}

// drop takes a member out and lets the others rebalance.
func (c *Coordinator) drop(g *group, m *member) {
	c.timers.stop(m.session)
	// A member that leaves or expires with an answer owed gets one, so that
	// no client waits on a dead request.
	m.reply(joinFailed("", errUnknownMemberID))
	m.replySync(syncResult{code: errUnknownMemberID})
	g.remove(m)
	c.maybePrepareRebalance(g)
	c.completeJoinIfAll(g)
}

// member finds the member with that id; instance is "" or must be its own.
func (g *group) member(id, instance string) (*member, int16) {
	if instance != "" {
		known, ok := g.static[instance]
		if !ok {
			return nil, errUnknownMemberID
		}
		if known != id {
			return nil, errFencedInstanceID
		}
	}
	if m := g.members[id]; m != nil && g.state != dead {
		return m, errNone
	}
	return nil, errUnknownMemberID
}

// touch starts the member's session anew.
func (c *Coordinator) touch(g *group, m *member) {
	m.expires = c.now + m.sessionTimeout
	c.watch(g, m)
}

// watch makes sure a timer looks at the session when it would end.
func (c *Coordinator) watch(g *group, m *member) {
	if m.session != nil && m.session.index >= 0 {
		if m.session.at <= m.expires {
			return
		}
		c.timers.stop(m.session)
	}
	m.session = c.timers.set(m.expires, func() { c.sessionOver(g, m) })
}

func (c *Coordinator) sessionOver(g *group, m *member) {
	if g.state == dead || g.members[m.id] != m {
		return
	}
	if m.expires > c.now {
		c.watch(g, m)
		return
	}
	if m.awaiting() && !m.fresh {
		return // the answer starts the session anew
	}
	c.drop(g, m)
}
